//! Owns attempts: time-outs, retries, offers that are not taken up, late reports, and the soak.

use kernex_tests::harness::{Answer, TestDevice, run};
use serde_json::{Value, json};

use super::commander::{Commander, count, crowd, quick_with, server};
use super::squad::{Simulated, puppets};

/// The device's next command, once the deployment has offered it one with this attempt.
async fn told(commander: &Commander, deployment: &str, device: &TestDevice, attempt: u64) -> Value {
    let what = format!("attempt {attempt} is offered");
    commander
        .assignment_until(deployment, &device.id, &what, |found| {
            found["state"] == "offered" && found["attempt"] == attempt
        })
        .await;
    // The command is published right after the offer is stored.
    kernex_tests::harness::eventually(&what, async || {
        device.command().await.filter(|command| command["attempt"] == attempt)
    })
    .await
}

#[test]
fn an_attempt_that_takes_too_long_is_ended_and_tried_again() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let device = server.device().await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let plan = quick_with(json!({"attempt_timeout_s": 2, "max_attempts": 2, "soak_s": 0}));
        let deployment = commander.deploy(&bundle, "*", plan).await;
        let first = told(&commander, &deployment, &device, 1).await;
        device.report_with(&first, "downloading", json!({"progress": 10})).await.expect(200);

        let waiting = commander.assignment_in(&deployment, &device.id, "queued").await;
        assert_eq!(waiting["error"]["code"], "attempt-timed-out", "{waiting:#}");
        assert_eq!((waiting["failed_attempts"].as_u64(), waiting["attempt"].as_u64()), (Some(1), Some(1)));
        assert!(device.command().await.is_none(), "the command is withdrawn");
        let before = commander.deployment(&deployment).await;
        device.report(&first, "installed").await.problem(409, "attempt-ended");
        device.report(&first, "failed").await.problem(409, "attempt-ended");
        let after = commander.deployment(&deployment).await;
        assert_eq!(after["waves"], before["waves"], "a late report has no effect");
        let message = commander.explained(&device.id, &deployment, "backoff").await;
        assert!(message.contains("not ended within 2 s"), "{message}");

        let second = told(&commander, &deployment, &device, 2).await;
        device.report(&first, "installed").await.problem(409, "attempt-ended");
        device.report(&second, "installed").await.expect(200);
        let _life = Simulated::of(device.clone());
        let done = commander.settled(&deployment, "completed").await;
        assert_eq!(count(&done, "verified"), 1, "{done}");
        let codes = commander.codes(&device.id, &deployment).await;
        let story = [
            "assigned",
            "offered",
            "report.downloading",
            "attempt.timed-out",
            "offered",
            "report.installed",
            "soak.verified",
        ];
        assert_eq!(codes, story);
    });
}

#[test]
fn every_phase_of_an_attempt_is_kept_once() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let device = server.device().await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let deployment = commander.deploy(&bundle, "*", quick_with(json!({"soak_s": 3_600}))).await;
        let command = told(&commander, &deployment, &device, 1).await;
        for state in ["downloading", "downloading", "installing", "downloading", "installing"] {
            device.report(&command, state).await.expect(200);
        }
        let running = commander.assignment(&deployment, &device.id).await.expect("it is assigned");
        assert_eq!((running["state"].as_str(), running["phase"].as_str()), (Some("running"), Some("installing")));
        device.report(&command, "installed").await.expect(200);
        let codes = commander.codes(&device.id, &deployment).await;
        let story = ["assigned", "offered", "report.downloading", "report.installing", "report.installed"];
        assert_eq!(codes, story);
        let id = command["assignment_id"].as_str().expect("an assignment").parse().expect("an identifier");
        let reports = server.app().store.reports_of(id).await.expect("a store");
        let states: Vec<_> = reports.iter().map(|report| report.state.as_str()).collect();
        assert_eq!(states, ["downloading", "installing", "installed"]);
    });
}

#[test]
fn a_failed_attempt_is_tried_again_and_the_same_failure_counts_once() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let device = server.device().await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let plan = quick_with(json!({"max_attempts": 3, "soak_s": 0}));
        let deployment = commander.deploy(&bundle, "*", plan).await;
        let first = told(&commander, &deployment, &device, 1).await;
        let error = json!({"error": {"code": "disk-full", "message": "no space left"}});
        for _ in 0..3 {
            device.report_with(&first, "failed", error.clone()).await.expect(200);
        }
        let waiting = commander.assignment(&deployment, &device.id).await.expect("it is assigned");
        assert_eq!((waiting["state"].as_str(), waiting["failed_attempts"].as_u64()), (Some("queued"), Some(1)));
        assert_eq!(waiting["error"]["code"], "disk-full");
        let second = told(&commander, &deployment, &device, 2).await;
        device.report(&second, "installed").await.expect(200);
        let _life = Simulated::of(device.clone());
        commander.settled(&deployment, "completed").await;
    });
}

#[test]
fn an_offer_that_nobody_takes_up_is_withdrawn_and_gives_its_slot_to_others() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = puppets(&server, 10).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let plan = quick_with(json!({"max_in_flight": 1, "attempt_timeout_s": 2, "soak_s": 0}));
        let deployment = commander.deploy(&bundle, "*", plan).await;
        commander.until(&deployment, "it runs", |found| found["state"] == "running").await;
        let assignments = commander.assignments(&deployment).await;
        let (wave, peers) = crowd(&assignments);
        let reached = assignments.iter().filter(|found| found["wave"].as_u64() <= Some(wave)).count() as u64;
        let (silent, others): (Vec<_>, Vec<_>) = devices.into_iter().partition(|device| device.id == peers[0]);
        let _lives: Vec<_> = others.into_iter().map(Simulated::of).collect();
        let everybody_else = |found: &Answer| count(found, "verified") == reached - 1;
        let seen = commander.until(&deployment, "all others of its wave are verified", everybody_else).await;
        assert_eq!(seen["state"], "running", "{seen}");
        let withdrawn = commander
            .assignment_until(&deployment, &silent[0].id, "it was offered again", |found| {
                found["attempt"].as_u64().is_some_and(|attempt| attempt > 1)
            })
            .await;
        assert_eq!(withdrawn["failed_attempts"], 0, "an offer that is not taken up is no failure");
        assert!(commander.codes(&silent[0].id, &deployment).await.contains(&"offer.withdrawn".to_owned()));

        // It comes at last.
        let _life = Simulated::of(silent[0].clone());
        let done = commander.settled(&deployment, "completed").await;
        assert_eq!(count(&done, "verified"), 10, "{done}");
    });
}

#[test]
fn a_device_that_is_unhealthy_after_the_installation_has_failed() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let device = server.device().await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let deployment = commander.deploy(&bundle, "*", quick_with(json!({}))).await;
        let command = told(&commander, &deployment, &device, 1).await;
        device.report(&command, "installed").await.expect(200);
        let sick = json!({"bundle_id": bundle, "health": "failed"});
        let failed = kernex_tests::harness::eventually("the soak has failed", async || {
            device.heartbeat(sick.clone()).await.expect(200);
            let codes = commander.codes(&device.id, &deployment).await;
            codes.contains(&"soak.failed".to_owned()).then_some(codes)
        })
        .await;
        assert!(!failed.contains(&"soak.verified".to_owned()), "{failed:?}");
        // Alone in its wave, it has made the whole deployment fail.
        let done = commander.settled(&deployment, "rolled_back").await;
        assert_eq!(done["reason"]["by"], "policy:guardian", "{done}");
        let history = commander.client.get(&format!("/devices/{}/bundles", device.id)).await.expect(200);
        assert_eq!(history.all("event"), ["installed"], "never verified");
    });
}

#[test]
fn a_silent_device_is_not_verified_by_its_silence() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let device = server.device().await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let deployment = commander.deploy(&bundle, "*", quick_with(json!({"attempt_timeout_s": 8}))).await;
        let command = told(&commander, &deployment, &device, 1).await;
        device.report(&command, "installed").await.expect(200);
        let done = commander.settled(&deployment, "rolled_back").await;
        let codes = commander.codes(&device.id, &deployment).await;
        assert!(codes.contains(&"soak.failed".to_owned()), "{codes:?}\n{done}");
        assert!(!codes.contains(&"soak.verified".to_owned()), "{codes:?}");
    });
}

#[test]
fn a_device_may_refuse() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let device = server.device().await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let deployment = commander.deploy(&bundle, "*", quick_with(json!({"max_attempts": 3}))).await;
        let command = told(&commander, &deployment, &device, 1).await;
        let why = json!({"error": {"code": "battery-low", "message": "not now, not ever"}});
        device.report_with(&command, "rejected", why.clone()).await.expect(200);
        device.report_with(&command, "rejected", why).await.expect(200);
        let refused = commander.assignment(&deployment, &device.id).await.expect("it is assigned");
        assert_eq!(refused["state"], "rejected", "a refusal is not tried again");
        assert_eq!(refused["error"]["code"], "battery-low");
        assert!(device.command().await.is_none());
    });
}
