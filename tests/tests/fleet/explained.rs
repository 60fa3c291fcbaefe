//! Owns the question "why is this device (not) updating?", answered in one call.

use kernex_tests::harness::run;
use serde_json::json;

use super::commander::{Commander, count, crowd, quick_with, server};
use super::squad::{Simulated, puppets, squad};

#[test]
fn why_a_device_waits_is_said_in_one_call() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = puppets(&server, 10).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let plan = quick_with(json!({"max_in_flight": 1, "soak_s": 0}));
        let deployment = commander.deploy(&bundle, "*", plan).await;
        commander.until(&deployment, "the canary was offered it", |found| count(found, "offered") == 1).await;
        let assignments = commander.assignments(&deployment).await;
        let (wave, peers) = crowd(&assignments);
        let message = commander.explained(&peers[0], &deployment, "wave-waiting").await;
        assert!(message.contains("has not opened yet"), "{message}");
        let canary = assignments.iter().find(|found| found["wave"] == 0).expect("there is a canary");
        let canary = canary["device_id"].as_str().expect("an identifier");
        let message = commander.explained(canary, &deployment, "device-silent").await;
        assert!(message.contains("never"), "{message}");

        // Everybody before the crowd gets it; of the crowd one has the only slot.
        let before =
            |id: &str| assignments.iter().any(|found| found["device_id"] == id && found["wave"].as_u64() < Some(wave));
        let (early, rest): (Vec<_>, Vec<_>) = devices.into_iter().partition(|device| before(&device.id));
        let lives: Vec<_> = early.into_iter().map(Simulated::of).collect();
        let offered = commander.until(&deployment, "the crowd's wave is open", |found| {
            found["wave"] == wave && count(found, "offered") == 1
        });
        offered.await;
        let waiting = commander.assignments(&deployment).await;
        let waiting =
            waiting.iter().find(|found| found["wave"] == wave && found["state"] == "queued").expect("a crowd");
        let waiting = waiting["device_id"].as_str().expect("an identifier");
        commander.explained(waiting, &deployment, "no-slot").await;
        commander.explained(lives[0].id(), &deployment, "verified").await;
        assert!(rest.len() > 1);
    });
}

#[test]
fn a_device_that_is_not_meant_learns_which_selector_leaves_it_out() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let stranger = server.device().await;
        let meant = squad(&server, 1, json!({"model": "cam-7"})).await;
        let bundle = server.bundle("camera-os", "1.0.0", b"two").await;
        let deployment = commander.deploy(&bundle, "model=cam-7", quick_with(json!({"soak_s": 600}))).await;
        let message = commander.explained(&stranger.id, &deployment, "not-selected").await;
        assert!(message.contains("model=cam-7"), "{message}");
        let message = commander.explained(meant[0].id(), &deployment, "installed").await;
        assert!(message.contains("attempt 1"), "{message}");
    });
}

#[test]
fn what_happened_stays_in_the_timeline_with_its_decisions() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = squad(&server, 1, json!({"name": "gate 7"})).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let deployment = commander.deploy(&bundle, "*", quick_with(json!({"soak_s": 0}))).await;
        commander.settled(&deployment, "completed").await;
        let timeline = commander.timeline(devices[0].id()).await;
        let entries = timeline.items();
        assert!(
            entries.iter().all(|entry| entry["message"].as_str().is_some_and(|text| !text.is_empty())),
            "{timeline}"
        );
        let times: Vec<_> = entries.iter().map(|entry| entry["at"].as_str().unwrap_or_default()).collect();
        assert!(times.is_sorted_by(|later, earlier| later >= earlier), "newest first: {times:?}");
        assert_eq!(entries.last().map(|entry| &entry["code"]), Some(&json!("enrolled")), "{timeline}");
        let assigned = entries.iter().find(|entry| entry["code"] == "assigned").expect("it was assigned");
        let decision = assigned["decision_id"].as_str().expect("by a decision");
        let decision = commander.client.get(&format!("/decisions/{decision}")).await.expect(200);
        assert_eq!((decision["gate"].as_str(), decision["policy"].as_str()), (Some("targeting"), Some("rings")));
    });
}

#[test]
fn a_device_that_joined_later_points_at_a_decision_too() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let _slow = server.device().await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let deployment = commander.deploy(&bundle, "*", quick_with(json!({}))).await;
        commander.until(&deployment, "it runs", |found| found["state"] == "running").await;
        let late = server.device().await;
        commander.assignment_until(&deployment, &late.id, "it has joined", |_| true).await;
        let timeline = commander.timeline(&late.id).await;
        let assigned = timeline.items().iter().find(|entry| entry["code"] == "assigned").expect("it was assigned");
        let decision = assigned["decision_id"].as_str().expect("by a decision");
        commander.client.get(&format!("/decisions/{decision}")).await.expect(200);
    });
}
