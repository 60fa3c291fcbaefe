//! Owns what happens between an installation and its verification, and what something newer does to it.

use kernex_tests::harness::{eventually, eventually_within, run};
use serde_json::json;

use super::commander::{Commander, PATIENCE, count, quick_with, server};
use super::squad::{Manner, puppets, squad};

/// A soak that no test waits for.
const LONG_S: u32 = 3_600;

#[test]
fn a_device_that_falls_ill_while_it_soaks_fails_at_once() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = squad(&server, 1, json!({})).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let deployment = commander.deploy(&bundle, "*", quick_with(json!({ "soak_s": LONG_S }))).await;
        commander.until(&deployment, "it soaks", |found| count(found, "installed") == 1).await;
        devices[0].behave(Manner::Sickens(bundle.clone()));
        let codes = eventually_within(PATIENCE, "the soak has failed", async || {
            let codes = commander.codes(devices[0].id(), &deployment).await;
            codes.contains(&"soak.failed".to_owned()).then_some(codes)
        })
        .await;
        assert!(!codes.contains(&"soak.verified".to_owned()), "{codes:?}");
    });
}

#[test]
fn a_device_that_a_person_sends_back_while_it_soaks_is_no_failure() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = squad(&server, 1, json!({})).await;
        let one = server.bundle("gateway-os", "1.0.0", b"one").await;
        let two = server.bundle("gateway-os", "2.0.0", b"two").await;
        let first = commander.deploy(&one, "*", quick_with(json!({"soak_s": 0}))).await;
        commander.settled(&first, "completed").await;
        let second = commander.deploy(&two, "*", quick_with(json!({"soak_s": 4}))).await;
        commander.until(&second, "it soaks", |found| count(found, "installed") == 1).await;
        let path = format!("/devices/{}/rollback", devices[0].id());
        commander.client.post(&path).json(json!({"to_bundle": one})).await.expect(202);
        let done = commander.settled(&second, "completed").await;
        let left = commander.assignment(&second, devices[0].id()).await.expect("it was assigned");
        assert_eq!((left["state"].as_str(), left["error"]["code"].as_str()), (Some("cancelled"), Some("superseded")));
        assert_eq!((count(&done, "failed"), count(&done, "cancelled")), (0, 1), "{done}");
        assert_eq!(devices[0].bundle().as_ref(), Some(&one));
        let bundle = commander.client.get(&format!("/bundles/{two}")).await.expect(200);
        assert_eq!(bundle["status"], "available", "one device does not condemn a bundle");
    });
}

#[test]
fn a_rollback_does_not_wait_for_a_device_that_never_came() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = puppets(&server, 1).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let deployment = commander.deploy(&bundle, "*", quick_with(json!({}))).await;
        commander.assignment_in(&deployment, &devices[0].id, "offered").await;
        commander.step(&deployment, "rollback").await.expect(200);
        let done = commander.settled(&deployment, "rolled_back").await;
        assert_eq!(count(&done, "cancelled"), 1, "it never got anything\n{done}");
        assert!(devices[0].command().await.is_none(), "and gets nothing when it comes");
    });
}

#[test]
fn a_rollback_waits_for_a_device_that_came() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = puppets(&server, 1).await;
        let one = server.bundle("gateway-os", "1.0.0", b"one").await;
        let two = server.bundle("gateway-os", "2.0.0", b"two").await;
        devices[0].heartbeat(json!({"bundle_id": one})).await.expect(200);
        let deployment = commander.deploy(&two, "*", quick_with(json!({}))).await;
        let command = eventually("it is told", async || devices[0].command().await).await;
        commander.step(&deployment, "rollback").await.expect(200);
        commander.assignment_in(&deployment, &devices[0].id, "rollback_offered").await;
        let back = eventually("it is told to go back", async || {
            devices[0].command().await.filter(|back| back["attempt"] != command["attempt"])
        })
        .await;
        assert_eq!((back["kind"].as_str(), back["bundle"]["id"].as_str()), (Some("rollback"), Some(one.as_str())));
        devices[0].report(&back, "installed").await.expect(200);
        let done = commander.settled(&deployment, "rolled_back").await;
        assert_eq!(count(&done, "rolled_back"), 1, "{done}");
    });
}

#[test]
fn what_a_device_says_that_it_runs_is_not_proven_by_its_word_while_it_installs() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = puppets(&server, 1).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        commander.deploy(&bundle, "*", quick_with(json!({"soak_s": LONG_S}))).await;
        let command = eventually("it is told", async || devices[0].command().await).await;
        // It runs the bundle before it has reported so: the report is on its way, or lost.
        devices[0].heartbeat(json!({"bundle_id": bundle})).await.expect(200);
        let id = devices[0].id.parse().expect("an identifier");
        let stored = server.app().store.device(id).await.expect("a store").expect("a device");
        assert_eq!(stored.bundle_id.map(|id| id.to_string()), Some(bundle));
        assert_eq!(stored.verified_bundle_id, None, "its soak has not even begun");
        devices[0].report(&command, "installed").await.expect(200);
    });
}

#[test]
fn an_older_config_is_not_applied_after_a_newer_one() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = puppets(&server, 1).await;
        let path = format!("/devices/{}/config", devices[0].id);
        let put = |document| commander.client.put(&path).json(json!({ "document": document }));
        put(json!({"interval_s": 10})).await.expect(200);
        let first = eventually("the first is offered", async || devices[0].command().await).await;
        devices[0].report(&first, "failed").await.expect(200);
        put(json!({"interval_s": 20})).await.expect(200);
        let second = eventually("the second is offered", async || {
            devices[0].command().await.filter(|command| command["config"]["version"] == 2)
        })
        .await;
        devices[0].report(&second, "installed").await.expect(200);
        // The first waits half a minute for its second attempt, which never comes.
        let deployment = first["deployment_id"].as_str().expect("a deployment");
        commander.settled(deployment, "completed").await;
        let left = commander.assignment(deployment, &devices[0].id).await.expect("it was assigned");
        assert_eq!((left["state"].as_str(), left["error"]["code"].as_str()), (Some("cancelled"), Some("superseded")));
        assert!(devices[0].command().await.is_none());
    });
}
