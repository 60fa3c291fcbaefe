//! Lists of devices: every operator of a selector, and pages that lose nothing and repeat nothing.

use std::collections::BTreeSet;

use chrono::{SecondsFormat, Utc};
use kernex::config::AdmissionRule;
use kernex_tests::harness::{Client, DeviceKey, TestDevice, TestServer, run};
use serde_json::{Value, json};

/// A device with labels and facts, admitted before it enrols.
async fn labelled(server: &TestServer, name: &str, labels: Value, facts: Value) -> TestDevice {
    let key = DeviceKey::ed25519();
    let body = json!({"public_key": key.public_pem(), "labels": labels, "name": name});
    server.admin().await.post("/devices/preauthorize").json(body).await.expect(201);
    server.device_with(key, json!({"facts": facts, "model": "gw-200"})).await
}

async fn names(client: &Client, selector: &str) -> BTreeSet<String> {
    client.get("/devices").query("selector", selector).await.expect(200).all("name").into_iter().collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn every_operator_of_a_selector() {
    run(async {
        let server = TestServer::start().await;
        labelled(
            &server,
            "a",
            json!({"channel": "stable", "site": "berlin"}),
            json!({"os": "linux", "nets": ["lte", "wifi"]}),
        )
        .await;
        labelled(&server, "b", json!({"channel": "beta", "site": "paris"}), json!({"os": "linux", "cores": 4})).await;
        labelled(&server, "c", json!({"channel": "stable", "legacy": "yes"}), json!({"os": "qnx", "gpu": true})).await;
        labelled(&server, "d", json!({}), json!({})).await;
        let viewer = server.user("viewer").await;
        for (selector, expected) in [
            ("*", &["a", "b", "c", "d"][..]),
            ("channel=stable", &["a", "c"]),
            ("channel==stable", &["a", "c"]),
            ("channel!=stable", &["b", "d"]),
            ("site in (berlin,paris)", &["a", "b"]),
            ("site in (rome)", &[]),
            ("site notin (berlin)", &["b", "c", "d"]),
            ("legacy", &["c"]),
            ("!legacy", &["a", "b", "d"]),
            ("!channel", &["d"]),
            ("fact.os=linux", &["a", "b"]),
            ("fact.os!=linux", &["c", "d"]),
            ("fact.nets=wifi", &["a"]),
            ("fact.nets notin (wifi,lte)", &["b", "c", "d"]),
            ("fact.cores=4", &["b"]),
            ("fact.gpu=true", &["c"]),
            ("!fact.os", &["d"]),
            ("model=gw-200", &["a", "b", "c", "d"]),
            ("!model", &[]),
            ("bundle.name=gateway-os", &[]),
            ("!bundle.name", &["a", "b", "c", "d"]),
            ("channel=stable,site in (berlin,paris),!legacy", &["a"]),
            ("channel=stable, fact.os in (linux, qnx), site", &["a"]),
            ("channel=Stable", &[]),
            ("channel=stab", &[]),
        ] {
            assert_eq!(names(&viewer, selector).await, set(expected), "{selector}");
        }
    });
}

#[test]
fn a_selector_follows_labels_and_facts() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let device = labelled(&server, "a", json!({"channel": "beta"}), json!({"os": "linux"})).await;
        let path = format!("/devices/{}", device.id);
        let etag = admin.get(&path).await.expect(200).header("etag").expect("an ETag").to_owned();
        let patch = json!({"labels": {"channel": "stable"}});
        admin.patch(&path).header("if-match", &etag).json(patch).await.expect(200);
        device.heartbeat(json!({"facts": {"os": "qnx"}})).await.expect(200);
        for (selector, found) in
            [("channel=beta", false), ("channel=stable", true), ("fact.os=linux", false), ("fact.os=qnx", true)]
        {
            assert_eq!(!names(&admin, selector).await.is_empty(), found, "{selector}");
        }
        let bundle = server.bundle("gateway-os", "1.0.0", b"content").await;
        device.heartbeat(json!({"bundle_id": bundle})).await.expect(200);
        assert_eq!(names(&admin, "bundle.name=gateway-os,bundle.version=1.0.0").await, set(&["a"]));
        assert_eq!(names(&admin, "bundle.version=1.0.1").await, set(&[]));
    });
}

#[test]
fn pages_lose_nothing_and_repeat_nothing() {
    run(async {
        const DEVICES: usize = 250;
        let server = TestServer::start_with(|settings| settings.admission = AdmissionRule::Automatic).await;
        let admin = server.admin().await;
        let mut enrolled = Vec::new();
        for batch in 0..10 {
            let enrolments = (0..DEVICES / 10).map(|n| {
                let facts = json!({"parity": if n % 2 == 0 { "even" } else { "odd" }});
                server.enrol(DeviceKey::ed25519(), json!({"name": format!("{batch}-{n}"), "facts": facts}))
            });
            enrolled.extend(futures_util::future::join_all(enrolments).await.into_iter().map(|(device, _)| device.id));
        }
        let all: BTreeSet<String> = enrolled.into_iter().collect();
        assert_eq!(all.len(), DEVICES);

        let seen = walk(&admin, 100, None).await;
        assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 50]);
        let seen = seen.concat();
        assert_eq!(seen.len(), DEVICES);
        assert_eq!(seen.iter().cloned().collect::<BTreeSet<_>>(), all);
        assert!(seen.is_sorted(), "not in the order of enrolment");
        for limit in [1, 7, 249, 250, 1_000] {
            assert_eq!(walk(&admin, limit, None).await.concat(), seen, "limit {limit}");
        }
        let even = walk(&admin, 20, Some("fact.parity=even")).await.concat();
        assert_eq!(even.len(), 130);
        assert_eq!(even.iter().collect::<BTreeSet<_>>().len(), 130);
        let both = walk(&admin, 33, Some("fact.parity in (even,odd)")).await.concat();
        assert_eq!(both.iter().cloned().collect::<BTreeSet<_>>(), all);
        assert_eq!(both.len(), DEVICES);
    });
}

/// All pages of the list, as the identifiers on them.
async fn walk(client: &Client, limit: usize, selector: Option<&str>) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut call = client.get("/devices").query("limit", limit);
        if let Some(selector) = selector {
            call = call.query("selector", selector);
        }
        if let Some(cursor) = &cursor {
            call = call.query("cursor", cursor);
        }
        let page = call.await.expect(200);
        assert!(page.items().len() <= limit);
        pages.push(page.all("id"));
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return pages,
        }
    }
}

#[test]
fn devices_that_come_and_go_between_pages_disturb_nobody() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let mut ids = Vec::new();
        for _ in 0..6 {
            ids.push(server.enrol(DeviceKey::ed25519(), json!({})).await.0.id);
        }
        let first = admin.get("/devices").query("limit", 3).await.expect(200);
        admin.post(&format!("/devices/{}/retire", ids[2])).await.expect(200);
        let late = server.enrol(DeviceKey::ed25519(), json!({})).await.0.id;
        let next = first["next"].as_str().expect("more").to_owned();
        let second = admin.get("/devices").query("limit", 100).query("cursor", next).await.expect(200);
        ids.push(late);
        assert_eq!([first.all("id"), second.all("id")].concat(), ids);
        assert_eq!(second["next"], Value::Null);
    });
}

#[test]
fn lists_narrow_by_standing_and_silence() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let silent = server.device().await;
        let (pending, _) = server.enrol(DeviceKey::ed25519(), json!({})).await;
        let lively = server.device().await;
        lively.heartbeat(json!({})).await.expect(200);
        let ids = async |name: &str, value: &str| admin.get("/devices").query(name, value).await.expect(200).all("id");
        assert_eq!(ids("status", "pending").await, std::slice::from_ref(&pending.id));
        assert_eq!(ids("status", "active").await, [silent.id.clone(), lively.id.clone()]);
        assert!(ids("status", "retired").await.is_empty());
        let at = |seconds: i64| {
            (Utc::now() + chrono::Duration::seconds(seconds)).to_rfc3339_opts(SecondsFormat::Millis, true)
        };
        assert_eq!(ids("seen_before", &at(-60)).await, [silent.id.clone(), pending.id.clone()]);
        assert_eq!(ids("seen_before", &at(60)).await.len(), 3);
        admin.get("/devices").query("status", "asleep").await.expect(400).never_says("asleep").check_problem();
        admin
            .get("/devices")
            .query("seen_before", "yesterday")
            .await
            .expect(400)
            .never_says("yesterday")
            .check_problem();
    });
}
