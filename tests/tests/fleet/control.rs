//! Owns what people do with a running deployment: pause, resume, cancel, roll back.

use kernex_tests::harness::{TestDevice, run};
use serde_json::{Value, json};

use super::commander::{Commander, count, quick_with, server};
use super::squad::{Simulated, puppets, squad};
use super::watch::waves;

/// Enough devices for one to be in flight while others wait.
const DEVICES: usize = 6;

/// The first of the devices that has a command, with it.
async fn first_told<'a>(commander: &Commander, deployment: &str, devices: &'a [TestDevice]) -> (&'a TestDevice, Value) {
    commander.until(deployment, "somebody was offered it", |deployment| count(deployment, "offered") > 0).await;
    for device in devices {
        if let Some(command) = device.command().await {
            return (device, command);
        }
    }
    panic!("somebody was offered it, and nobody has a command");
}

/// One at a time, all of them canaries.
fn one_by_one() -> Value {
    quick_with(json!({"max_in_flight": 1, "canary": DEVICES}))
}

#[test]
fn a_paused_deployment_offers_nothing_new_and_lets_work_finish() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = puppets(&server, DEVICES).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let deployment = commander.deploy(&bundle, "*", one_by_one()).await;
        let (device, command) = first_told(&commander, &deployment, &devices).await;

        let paused = commander.step(&deployment, "pause").await.expect(200);
        assert_eq!(paused["state"], "paused");
        assert_eq!(paused["reason"]["message"], "a test says pause");
        device.report(&command, "installed").await.expect(200);
        // It is verified while the deployment is paused: the driver has passed over it, with a free slot.
        let verified = commander.until(&deployment, "it is verified", |found| count(found, "verified") == 1);
        let beat = async {
            loop {
                device.heartbeat(json!({"bundle_id": bundle})).await.expect(200);
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        let seen = tokio::select! { seen = verified => seen, () = beat => unreachable!("it beats for ever") };
        assert_eq!(count(&seen, "queued"), DEVICES as u64 - 1, "nobody new was offered it\n{seen}");
        let waiting = devices.iter().find(|other| other.id != device.id).expect("there are several");
        let message = commander.explained(&waiting.id, &deployment, "deployment-not-running").await;
        assert!(message.contains("paused") && message.contains("a test says pause"), "{message}");

        let resumed = commander.step(&deployment, "resume").await.expect(200);
        assert_eq!(resumed["state"], "running");
        let others: Vec<TestDevice> = devices.iter().filter(|other| other.id != device.id).cloned().collect();
        first_told(&commander, &deployment, &others).await;
        let _lives: Vec<_> = devices.into_iter().map(Simulated::of).collect();
        let done = commander.settled(&deployment, "completed").await;
        assert_eq!(count(&done, "verified"), DEVICES as u64, "{done}");
    });
}

#[test]
fn a_cancelled_deployment_lets_devices_in_flight_finish_and_nobody_else_begin() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = puppets(&server, DEVICES).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let deployment = commander.deploy(&bundle, "*", one_by_one()).await;
        let (device, command) = first_told(&commander, &deployment, &devices).await;
        device.report(&command, "downloading").await.expect(200);

        commander.step(&deployment, "cancel").await.expect(200);
        let seen = commander
            .until(&deployment, "who waited is let go", |found| count(found, "cancelled") == DEVICES as u64 - 1)
            .await;
        assert_eq!(count(&seen, "running"), 1, "{seen}");
        assert_eq!(seen["settled"], false, "somebody is still in flight\n{seen}");
        assert!(device.command().await.is_some(), "its command stays");
        device.download(&bundle).await.expect(200);

        let _life = Simulated::of(device.clone());
        let done = commander.settled(&deployment, "cancelled").await;
        assert_eq!(count(&done, "verified"), 1, "{done}");
        for step in ["resume", "pause", "cancel"] {
            commander.step(&deployment, step).await.problem(409, "wrong-state");
        }
    });
}

#[test]
fn a_fleet_is_rolled_back_by_hand_once() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = squad(&server, DEVICES, json!({})).await;
        let one = server.bundle("gateway-os", "1.0.0", b"one").await;
        let two = server.bundle("gateway-os", "2.0.0", b"two").await;
        for bundle in [&one, &two] {
            let deployment = commander.deploy(bundle, "*", quick_with(json!({"canary": DEVICES, "soak_s": 0}))).await;
            commander.settled(&deployment, "completed").await;
            if bundle == &two {
                let back = commander.step(&deployment, "rollback").await.expect(200);
                assert_eq!(
                    (back["state"].as_str(), back["rollback"].as_str()),
                    (Some("rolling_back"), Some("everyone"))
                );
                let done = commander.settled(&deployment, "rolled_back").await;
                assert_eq!(count(&done, "rolled_back"), DEVICES as u64, "{done}");
                assert!(done["reason"]["by"].as_str().is_some_and(|by| by.starts_with("usr_")), "{done}");
                commander.step(&deployment, "rollback").await.problem(409, "wrong-state");
            }
        }
        for device in &devices {
            assert_eq!(device.bundle().as_ref(), Some(&one));
            let kinds: Vec<_> = device.story().commands.iter().map(|command| command["kind"].clone()).collect();
            assert_eq!(kinds, ["install", "install", "rollback"]);
        }
        let stored = commander.client.get(&format!("/bundles/{two}")).await.expect(200);
        assert_eq!(stored["status"], "bad", "a person said so");
    });
}

#[test]
fn the_way_back_keeps_to_the_limit_too() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let _devices = squad(&server, 12, json!({})).await;
        let one = server.bundle("gateway-os", "1.0.0", b"one").await;
        let two = server.bundle("gateway-os", "2.0.0", b"two").await;
        let first = commander.deploy(&one, "*", quick_with(json!({"canary": 12, "soak_s": 0}))).await;
        commander.settled(&first, "completed").await;
        let plan = quick_with(json!({"canary": 12, "soak_s": 0, "max_in_flight": 3}));
        let second = commander.deploy(&two, "*", plan).await;
        let watch = super::watch::Watch::on(&commander, &second);
        commander.settled(&second, "completed").await;
        commander.step(&second, "rollback").await.expect(200);
        let done = commander.settled(&second, "rolled_back").await;
        assert_eq!(count(&done, "rolled_back"), 12, "{done}");
        watch.never_more_in_flight_than(3);
        assert_eq!(waves(&done)[0]["name"], "canary");
    });
}
