//! Heartbeats: what they store, what they refuse, and what a restart remembers of them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kernex_tests::harness::{Client, TestDevice, TestServer, eventually, run};
use serde_json::{Value, json};

async fn device(client: &Client, id: &str) -> Value {
    client.get(&format!("/devices/{id}")).await.expect(200).json().clone()
}

fn seen(device: &Value) -> Option<DateTime<Utc>> {
    device["last_seen_at"].as_str().map(|text| text.parse().expect("an RFC 3339 time"))
}

#[test]
fn facts_are_stored_when_they_change() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let device_a = server.device().await;
        let before = device(&admin, &device_a.id).await;
        assert_eq!(seen(&before), None);

        device_a.heartbeat(json!({"facts": {"os": "linux", "cores": 4}})).await.expect(200);
        let told = device(&admin, &device_a.id).await;
        assert_eq!(told["facts"], json!({"os": "linux", "cores": 4}));
        assert!(seen(&told).is_some_and(|seen| (Utc::now() - seen).num_seconds() < 10), "{told}");

        // Neither silence nor the same facts write anything.
        let audited = async || admin.get("/audit").query("action", "device:heartbeat").await.expect(200).items().len();
        let records = audited().await;
        device_a.heartbeat(json!({})).await.expect(200);
        device_a.heartbeat(json!({"facts": {"cores": 4, "os": "linux"}})).await.expect(200);
        let same = device(&admin, &device_a.id).await;
        assert_eq!((&same["facts"], &same["updated_at"]), (&told["facts"], &told["updated_at"]));
        assert_eq!(audited().await, records);

        // Facts are told as a whole.
        device_a.heartbeat(json!({"facts": {"os": "qnx"}})).await.expect(200);
        assert_eq!(device(&admin, &device_a.id).await["facts"], json!({"os": "qnx"}));
        device_a.heartbeat(json!({"facts": {}})).await.expect(200);
        assert_eq!(device(&admin, &device_a.id).await["facts"], json!({}));
    });
}

#[test]
fn what_a_device_runs_is_history() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let one = server.bundle("gateway-os", "1.0.0", b"one").await;
        let two = server.bundle("gateway-os", "2.0.0", b"two").await;
        let device_a = server.device().await;
        for bundle in [&one, &one, &two] {
            device_a.heartbeat(json!({"bundle_id": bundle})).await.expect(200);
        }
        assert_eq!(device(&admin, &device_a.id).await["bundle_id"], json!(two));
        let history = admin.get(&format!("/devices/{}/bundles", device_a.id)).await.expect(200);
        assert_eq!(history.all("bundle_id"), [two, one]);
    });
}

#[test]
fn an_unknown_bundle_is_refused_and_hurts_nobody_else() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let mut devices = Vec::new();
        for _ in 0..8 {
            devices.push(server.device().await);
        }
        let liar = devices.pop().expect("eight devices");
        let unknown = json!({"bundle_id": "bun_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D", "facts": {"os": "liar"}});
        let beats = devices.iter().map(|honest| honest.heartbeat(json!({"facts": {"os": "linux"}})).into_future());
        let (honest, refused) =
            tokio::join!(futures_util::future::join_all(beats), liar.heartbeat(unknown.clone()).into_future());
        refused.problem(400, "unknown-bundle");
        liar.heartbeat(unknown).await.problem(400, "unknown-bundle");
        for (answer, device_a) in honest.into_iter().zip(&devices) {
            answer.expect(200);
            assert_eq!(device(&admin, &device_a.id).await["facts"], json!({"os": "linux"}));
        }
        let untouched = device(&admin, &liar.id).await;
        assert_eq!((&untouched["facts"], &untouched["bundle_id"]), (&json!({}), &Value::Null));
    });
}

#[test]
fn the_next_poll_is_spread_around_the_setting() {
    run(async {
        let server = TestServer::start_with(|settings| settings.heartbeat.poll_s = 100).await;
        let device = server.device().await;
        let mut polls = Vec::new();
        for _ in 0..40 {
            polls.push(device.heartbeat(json!({})).await.expect(200)["next_poll_s"].as_u64().expect("seconds"));
        }
        assert!(polls.iter().all(|poll| (90..=110).contains(poll)), "{polls:?}");
        let different: std::collections::BTreeSet<_> = polls.iter().collect();
        assert!(different.len() > 5, "hardly any jitter: {polls:?}");
    });
}

#[test]
fn nonsense_in_a_heartbeat_changes_nothing() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let device_a = server.device().await;
        let many: serde_json::Map<String, Value> = (0..65).map(|n| (format!("fact-{n}"), json!(n))).collect();
        for body in [
            json!({"health": "splendid"}),
            json!({"facts": {"os": null}}),
            json!({"facts": many}),
            json!({"facts": {"os": "x".repeat(257)}}),
            json!({"bundle_id": "hunter2"}),
            json!({"config_version": -1}),
            json!({"config_version": u64::MAX}),
            json!({"status": "active"}),
            json!([]),
        ] {
            let answer = device_a.heartbeat(body.clone()).await;
            assert_eq!(answer.status, 400, "{body}\n{answer}");
            answer.check_problem();
            answer.never_says("hunter2").never_says("splendid");
        }
        let untouched = device(&admin, &device_a.id).await;
        assert_eq!((seen(&untouched), &untouched["facts"]), (None, &json!({})));
    });
}

#[test]
fn only_devices_send_heartbeats() {
    run(async {
        let server = TestServer::start().await;
        let device = server.device().await;
        for client in [server.admin().await, server.api_key(&["admin"]).await] {
            let answer = client.post("/device/heartbeat").json(json!({})).await;
            assert!((400..500).contains(&answer.status.as_u16()), "{answer}");
            answer.check_problem();
        }
        server.anonymous().post("/device/heartbeat").json(json!({})).await.expect(401);
        // And devices do nothing else.
        for path in ["/devices", "/users", "/audit", "/bundles"] {
            device.client.get(path).await.expect(403);
        }
    });
}

/// A command for the device, made by writing its config.
async fn commanded(admin: &Client, device: &TestDevice) -> Value {
    let body = json!({"document": {"level": 3}});
    admin.put(&format!("/devices/{}/config", device.id)).json(body).await.expect(200);
    eventually("a command", async || device.command().await).await
}

#[test]
fn a_restart_remembers_presence_and_the_pending_command() {
    run(async {
        let mut server = TestServer::durable_with(|settings| settings.presence.flush_interval_s = 1).await;
        let admin = server.admin().await;
        let device_a = server.device().await;
        let command = commanded(&admin, &device_a).await;
        assert_eq!((&command["kind"], &command["config"]["document"]), (&json!("configure"), &json!({"level": 3})));
        let before = seen(&device(&admin, &device_a.id).await).expect("it was seen");

        server.restart().await;
        let after = seen(&device(&admin, &device_a.id).await).expect("it is still known when it was seen");
        assert!((after - before).num_milliseconds().abs() < 1_000, "{before} {after}");
        assert_eq!(device_a.command().await, Some(command.clone()), "the same command, before anything else happens");

        device_a.report(&command, "installed").await.expect(200);
        eventually("the command is done", async || device_a.command().await.is_none().then_some(())).await;
        server.restart().await;
        assert_eq!(device_a.command().await, None);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(device_a.command().await, None);
    });
}
