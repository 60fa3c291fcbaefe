//! Owns targeting revisions that look on: at plans that are made and at devices that join, device by device.

use std::collections::BTreeSet;

use kernex_tests::guests::MISBEHAVING;
use kernex_tests::harness::{Answer, DeviceKey, eventually, run};
use serde_json::{Value, json};

use super::commander::{Commander, count, open_server, quick_with, server};
use super::squad::{Simulated, squad};

/// Settings by which devices of these sites go first.
fn first(sites: &str) -> Value {
    json!({"waves": [{"name": "first", "selector": format!("fact.site in ({sites})")}, {"name": "rest"}]})
}

async fn look_on(commander: &Commander, revision: u64) {
    let policy = commander.client.post("/policies/rings/shadow").json(json!({"revision": revision})).await.expect(200);
    assert_eq!(policy["shadow"], json!(revision), "{policy}");
}

/// What the revision that looks on was seen to do, once that fulfils a condition.
async fn seen(commander: &Commander, what: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
    eventually(what, async || {
        let shadow = commander.client.get("/policies/rings/shadow").await.expect(200);
        wanted(&shadow).then_some(shadow)
    })
    .await
}

/// The devices that differences are about.
fn subjects(shadow: &Answer) -> BTreeSet<String> {
    let subjects = shadow["breakdown"]["subjects"].as_array().expect("subjects");
    subjects.iter().map(|subject| subject["name"].as_str().expect("a name").to_owned()).collect()
}

fn ids(devices: &[Simulated]) -> BTreeSet<String> {
    devices.iter().map(|device| device.id().to_owned()).collect()
}

#[test]
fn a_targeting_revision_looks_on_at_plans_and_at_those_who_join() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        // It never installs anything, and so holds the deployment open.
        let _slow = server.device_with(DeviceKey::ed25519(), json!({"facts": {"site": "lab"}})).await;
        let kiosks = squad(&server, 2, json!({"facts": {"site": "kiosk"}})).await;
        let _shops = squad(&server, 2, json!({"facts": {"site": "shop"}})).await;
        let decides = server.revision("rings", "rings", "targeting", first("lab")).await;
        server.activate("rings", decides).await;
        let candidate = server.revision("rings", "rings", "targeting", first("lab,kiosk")).await;
        look_on(&commander, candidate).await;

        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let deployment = commander.deploy(&bundle, "*", quick_with(json!({"soak_s": 0, "canary": 0}))).await;
        let shadow =
            seen(&commander, "the plan was seen", |shadow| shadow["comparison"]["asked"].as_u64() >= Some(5)).await;
        assert_eq!(subjects(&shadow), ids(&kiosks), "{shadow}");
        for nothing in ["faults", "unrepeatable", "not_kept", "missed"] {
            assert_eq!(shadow["comparison"][nothing], 0, "{nothing}: {shadow}");
        }
        let differences = commander.client.get("/policies/rings/differences").await.expect(200);
        let one = &differences.items()[0];
        assert_eq!((&one["question"], &one["revision"]), (&json!("classify"), &json!(candidate)), "{one}");
        assert_eq!((&one["decided"]["code"], &one["candidate"]["code"]), (&json!("rest"), &json!("first")), "{one}");
        let facts = one["input"]["resource"]["facts"].as_array().expect("facts");
        assert!(facts.contains(&json!({"name": "fact.site", "value": {"text": "kiosk"}})), "{one}");

        // It only looks on: the kiosks are in the wave that the active revision chose.
        for kiosk in &kiosks {
            let assignment = commander.assignment_until(&deployment, kiosk.id(), "it is assigned", |_| true).await;
            assert_eq!(assignment["wave"], 1, "{assignment}");
        }
        let late = squad(&server, 1, json!({"facts": {"site": "kiosk"}})).await;
        commander.assignment_until(&deployment, late[0].id(), "it has joined", |_| true).await;
        seen(&commander, "the one that joins was seen", |shadow| subjects(shadow).contains(late[0].id())).await;
    });
}

#[test]
fn a_targeting_revision_that_fails_while_it_looks_on_stops_nothing() {
    run(async {
        let server = open_server().await;
        let commander = Commander::of(&server).await;
        let _devices = squad(&server, 2, json!({})).await;
        commander.client.post("/plugins").bytes(MISBEHAVING).await.expect(201);
        let broken = server.revision("rings", "misbehaving", "targeting", json!({"decide": "panic"})).await;
        look_on(&commander, broken).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let plan = quick_with(json!({"soak_s": 0, "canary": 0, "frozen": true}));
        let deployment = commander.deploy(&bundle, "*", plan).await;
        let done = commander.settled(&deployment, "completed").await;
        assert_eq!(count(&done, "verified"), 2, "{done}");
        let shadow = seen(&commander, "the plan was seen", |shadow| shadow["comparison"]["asked"] == 1).await;
        assert_eq!((&shadow["comparison"]["faults"], &shadow["comparison"]["differing"]), (&json!(1), &json!(1)));
        let changes = json!([{"decided": "planned", "candidate": "fault", "count": 1}]);
        assert_eq!((&shadow["breakdown"]["changes"], subjects(&shadow)), (&changes, BTreeSet::from([deployment])));
        let policy = commander.client.get("/policies/rings").await.expect(200);
        assert_eq!(policy["quarantined"], json!([]), "{policy}");
    });
}
