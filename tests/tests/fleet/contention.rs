//! Owns deployments in each other's way, and windows that withhold offers.

use std::time::{SystemTime, UNIX_EPOCH};

use kernex_tests::harness::run;
use serde_json::json;

use super::commander::{Commander, count, quick_with, server};
use super::squad::{Simulated, squad};

#[test]
fn two_deployments_take_turns_on_one_device() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let device = server.device().await;
        let one = server.bundle("gateway-os", "1.0.0", b"one").await;
        let two = server.bundle("camera-os", "1.0.0", b"two").await;
        let first = commander.deploy(&one, "*", quick_with(json!({"soak_s": 3}))).await;
        commander.assignment_in(&first, &device.id, "offered").await;
        let second = commander.deploy(&two, "*", quick_with(json!({"soak_s": 0}))).await;
        commander.until(&second, "it runs", |found| found["state"] == "running").await;

        let life = Simulated::of(device.clone());
        let done = commander.settled(&first, "completed").await;
        assert_eq!(count(&done, "verified"), 1, "the second one did not spoil the first one's soak\n{done}");
        let done = commander.settled(&second, "completed").await;
        assert_eq!(count(&done, "verified"), 1, "{done}");
        let kinds: Vec<_> = life.story().commands.iter().map(|command| command["bundle"]["id"].clone()).collect();
        assert_eq!(kinds, [json!(one), json!(two)], "one after the other");
        assert!(life.story().refused.is_empty(), "{:?}", life.story().refused);
    });
}

#[test]
fn a_window_that_is_shut_withholds_offers() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = squad(&server, 2, json!({})).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
        let minute = (since / 60) % 1_440;
        let shut = json!({"from_minute": (minute + 600) % 1_440, "to_minute": (minute + 700) % 1_440});
        let deployment =
            commander.deploy(&bundle, "*", quick_with(json!({"canary": 2, "maintenance_window": shut}))).await;
        commander.until(&deployment, "it runs", |found| found["state"] == "running").await;
        let assignments = commander.assignments(&deployment).await;
        let canary = assignments.iter().find(|found| found["wave"] == 0).expect("there is a canary");
        let canary = canary["device_id"].as_str().expect("an identifier");
        commander.explained(canary, &deployment, "outside-window").await;
        // Another one that is not bound to a window goes ahead meanwhile: the driver has passed over both.
        let other = server.bundle("camera-os", "1.0.0", b"two").await;
        let open = json!({"from_minute": (minute + 1_430) % 1_440, "to_minute": (minute + 60) % 1_440});
        let plan = quick_with(json!({"canary": 2, "soak_s": 0, "maintenance_window": open}));
        let ahead = commander.deploy(&other, "*", plan).await;
        commander.settled(&ahead, "completed").await;
        let seen = commander.deployment(&deployment).await;
        assert_eq!(count(&seen, "queued"), devices.len() as u64, "{seen}");
    });
}

#[test]
fn a_device_that_is_busy_gives_its_slot_to_others() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let busy = server.device().await;
        let one = server.bundle("gateway-os", "1.0.0", b"one").await;
        let hold = commander.deploy(&one, "*", quick_with(json!({"attempt_timeout_s": 600, "frozen": true}))).await;
        commander.assignment_in(&hold, &busy.id, "offered").await;

        let others = squad(&server, 9, json!({})).await;
        let two = server.bundle("camera-os", "1.0.0", b"two").await;
        let plan = quick_with(json!({"max_in_flight": 1, "soak_s": 0}));
        let deployment = commander.deploy(&two, "*", plan).await;
        commander.until(&deployment, "it runs", |found| found["state"] == "running").await;
        let mine = commander.assignment(&deployment, &busy.id).await.expect("it is assigned")["wave"].clone();
        let assignments = commander.assignments(&deployment).await;
        // Those of its own wave and of earlier ones do not wait for it; later ones may.
        let reached = assignments.iter().filter(|found| found["wave"].as_u64() <= mine.as_u64()).count() as u64;
        let seen = commander
            .until(&deployment, "the others are verified", |found| count(found, "verified") >= reached - 1)
            .await;
        assert_eq!(seen["state"], "running", "{seen}");
        let waiting = commander.assignment(&deployment, &busy.id).await.expect("it is assigned");
        assert_eq!((waiting["state"].as_str(), waiting["attempt"].as_u64()), (Some("queued"), Some(0)));
        let kinds = others.iter().flat_map(|device| device.story().commands);
        assert!(kinds.into_iter().all(|command| command["bundle"]["id"] == two), "nobody else got the first one");
    });
}
