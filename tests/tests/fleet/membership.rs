//! Owns who belongs to a deployment: exclusions with their reasons, devices that come later, frozen ones.

use kernex_tests::harness::{DeviceKey, run};
use serde_json::{Value, json};

use super::commander::{Commander, count, quick_with, server};
use super::squad::{Simulated, squad};

fn exclusion<'a>(answer: &'a Value, code: &str) -> Option<&'a Value> {
    answer["exclusions"].as_array()?.iter().find(|exclusion| exclusion["code"] == code)
}

#[test]
fn who_is_left_out_is_said_beforehand_and_afterwards() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let newer = squad(&server, 2, json!({"model": "gw-200"})).await;
        let two = server.bundle("gateway-os", "2.0.0", b"two").await;
        let first = commander.deploy(&two, "*", quick_with(json!({"canary": 2, "soak_s": 0}))).await;
        commander.settled(&first, "completed").await;
        let other_model = squad(&server, 3, json!({"model": "cam-7"})).await;
        let fitting = squad(&server, 1, json!({"model": "gw-200"})).await;

        let upload = commander.client.post("/bundles").query("name", "gateway-os").query("version", "1.9.9");
        let upload = upload.query("labels", "models=gw-100+gw-200").text("application/octet-stream", "one");
        let one = upload.await.expect(201).id();
        let preview =
            commander.client.post("/deployments/preview").json(Commander::order(&one, "*", quick_with(json!({}))));
        let preview = preview.await.expect(200);
        assert_eq!(preview["devices"], 1, "{preview}");
        let downgrade = exclusion(preview.json(), "downgrade").expect("newer devices are left out");
        assert_eq!(downgrade["count"], 2);
        assert!(
            downgrade["sample"].as_array().is_some_and(|sample| sample.contains(&json!(newer[0].id()))),
            "{preview}"
        );
        let model = exclusion(preview.json(), "incompatible-model").expect("another model is left out");
        assert_eq!(model["count"], 3);
        let none = commander.client.get("/deployments").await.expect(200);
        assert_eq!(none.items().len(), 1, "a preview creates nothing");

        let second = commander.deploy(&one, "*", quick_with(json!({"soak_s": 600}))).await;
        commander.explained(newer[0].id(), &second, "downgrade").await;
        commander.explained(other_model[0].id(), &second, "incompatible-model").await;
        commander.assignment_in(&second, fitting[0].id(), "installed").await;
        let running = commander.deployment(&second).await;
        assert_eq!(exclusion(running.json(), "downgrade").map(|found| &found["count"]), Some(&json!(2)), "{running}");
        assert!(newer.iter().all(|device| !device.was_told(&one)));
        assert!(other_model.iter().all(|device| !device.was_told(&one)));
    });
}

#[test]
fn devices_that_come_later_join_unless_it_is_frozen() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        // One device holds both deployments open.
        let slow = server.device_with(DeviceKey::ed25519(), json!({"facts": {"site": "berlin"}})).await;
        let open = server.bundle("open-os", "1.0.0", b"open").await;
        let frozen = server.bundle("frozen-os", "1.0.0", b"frozen").await;
        let plan = quick_with(json!({"soak_s": 0, "canary": 0}));
        let joined = commander.deploy(&open, "fact.site=berlin", plan.clone()).await;
        let shut = quick_with(json!({"soak_s": 0, "canary": 0, "frozen": true}));
        let closed = commander.deploy(&frozen, "fact.site=berlin", shut).await;
        for deployment in [&joined, &closed] {
            commander.until(deployment, "it runs", |found| found["state"] == "running").await;
        }

        let late = squad(&server, 2, json!({"facts": {"site": "berlin"}})).await;
        let elsewhere = squad(&server, 1, json!({"facts": {"site": "paris"}})).await;
        for device in &late {
            commander.assignment_until(&joined, device.id(), "it has joined", |_| true).await;
            commander.explained(device.id(), &closed, "frozen").await;
        }
        commander.explained(elsewhere[0].id(), &joined, "not-selected").await;
        assert!(commander.assignment(&joined, elsewhere[0].id()).await.is_none());

        // A fact that changes makes a device match, too.
        let moved = json!({"facts": {"site": "berlin"}});
        elsewhere[0].device.heartbeat(moved).await.expect(200);
        commander.assignment_until(&joined, elsewhere[0].id(), "it has joined", |_| true).await;
        assert_eq!(commander.assignments(&closed).await.len(), 1, "nobody joins a frozen one");

        let _life = Simulated::of(slow);
        let done = commander.settled(&joined, "completed").await;
        assert_eq!(count(&done, "verified"), 4, "{done}");
        assert!(late.iter().all(|device| !device.was_told(&frozen)));
    });
}

#[test]
fn devices_that_come_while_it_stands_still_join_once_it_goes_on() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let _slow = server.device().await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let deployment = commander.deploy(&bundle, "*", quick_with(json!({"soak_s": 0, "canary": 0}))).await;
        commander.until(&deployment, "it runs", |found| found["state"] == "running").await;
        let control = |step: &str| commander.client.post(&format!("/deployments/{deployment}/{step}")).json(json!({}));
        control("pause").await.expect(200);
        let late = squad(&server, 1, json!({})).await;
        commander.explained(late[0].id(), &deployment, "deployment-not-running").await;
        assert!(commander.assignment(&deployment, late[0].id()).await.is_none(), "nobody joins while it is paused");
        control("resume").await.expect(200);
        commander.assignment_until(&deployment, late[0].id(), "it has joined", |_| true).await;
    });
}

#[test]
fn blocked_and_pending_devices_are_not_chosen() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = squad(&server, 2, json!({})).await;
        commander.client.post(&format!("/devices/{}/block", devices[0].id())).json(json!({})).await.expect(200);
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let preview =
            commander.client.post("/deployments/preview").json(Commander::order(&bundle, "*", quick_with(json!({}))));
        assert_eq!(preview.await.expect(200)["devices"], 1);
        let deployment = commander.deploy(&bundle, "*", quick_with(json!({"soak_s": 600}))).await;
        commander.assignment_in(&deployment, devices[1].id(), "installed").await;
        commander.explained(devices[0].id(), &deployment, "device-not-active").await;
        // Once it is back it belongs to it like any other.
        commander.client.post(&format!("/devices/{}/unblock", devices[0].id())).json(json!({})).await.expect(200);
        commander.assignment_until(&deployment, devices[0].id(), "it has joined", |_| true).await;
    });
}
