//! Owns the driver's deaths: the real process is killed again and again during a deployment, and nobody is stranded.

use std::collections::BTreeMap;
use std::time::Duration;

use kernex_tests::harness::{Answer, ProcessOptions, ServerProcess, eventually_within, run};
use rand::Rng;
use serde_json::{Value, json};

use super::commander::{Commander, PATIENCE, count, counts, quick_with};
use super::squad::{Simulated, squad};

const DEVICES: usize = 50;
const KILLS: usize = 5;
/// A kill comes at a random moment up to this long after the deployment has moved.
const LONGEST_DELAY_MS: u64 = 600;

/// Something that changes with every step of the deployment.
fn progress(deployment: &Answer) -> String {
    format!("{} {} {}", deployment["state"], deployment["wave"], counts(deployment))
}

/// Kills the server at a random moment after it has carried the deployment on, and starts it again.
async fn kill_in_the_middle(server: &mut ServerProcess, commander: &Commander, deployment: &str) {
    let before = progress(&commander.deployment(deployment).await);
    let what = "the deployment goes on after a start";
    eventually_within(PATIENCE, what, async || {
        let now = commander.deployment(deployment).await;
        (progress(&now) != before || now["settled"] == true).then_some(())
    })
    .await;
    let delay = rand::rng().random_range(0..LONGEST_DELAY_MS);
    tokio::time::sleep(Duration::from_millis(delay)).await;
    server.kill().await;
    server.resume().await;
}

/// Fails the test where counts and assignments disagree.
async fn counts_are_those_of_the_assignments(commander: &Commander, deployment: &str) {
    let mut found = BTreeMap::<String, u64>::new();
    for assignment in commander.assignments(deployment).await {
        *found.entry(assignment["state"].as_str().expect("a state").to_owned()).or_default() += 1;
    }
    let deployment = commander.deployment(deployment).await;
    let said = counts(&deployment);
    let said: BTreeMap<String, u64> = said
        .as_object()
        .expect("counts by state")
        .iter()
        .filter_map(|(state, count)| Some((state.clone(), count.as_u64().filter(|count| *count > 0)?)))
        .collect();
    assert_eq!(said, found, "{deployment}");
}

/// Fails the test unless the device's story, the server's timeline and its history agree: once, and to the end.
async fn verified_once(commander: &Commander, device: &Simulated, deployment: &str, bundle: &str) {
    assert_eq!(device.bundle().as_deref(), Some(bundle));
    let codes = commander.codes(device.id(), deployment).await;
    for once in ["assigned", "report.installed", "soak.verified"] {
        assert_eq!(codes.iter().filter(|code| *code == once).count(), 1, "{once}: {codes:?}");
    }
    let story = device.story();
    let installed = story.acknowledged.iter().filter(|(_, _, state)| state == "installed").count();
    assert!(installed >= 1, "its report was acknowledged: {story:?}");
    let history = commander.client.get(&format!("/devices/{}/bundles", device.id())).await.expect(200);
    let of_it: Vec<&Value> = history.items().iter().filter(|entry| entry["bundle_id"] == bundle).collect();
    let events: Vec<_> = of_it.iter().map(|entry| entry["event"].as_str().unwrap_or_default()).collect();
    assert_eq!(events, ["verified", "installed"], "{history}");
}

#[test]
fn a_server_that_is_killed_again_and_again_strands_nobody() {
    run(async {
        let options = ProcessOptions::new().set("admission", "automatic").set("store.cache_mib", 16);
        let mut server = ServerProcess::start(options).await;
        let commander = Commander { client: server.admin().await };
        let devices = squad(&server, DEVICES, json!({})).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let plan = quick_with(json!({"max_in_flight": 6, "attempt_timeout_s": 300}));
        let deployment = commander.deploy(&bundle, "*", plan).await;
        for _ in 0..KILLS {
            kill_in_the_middle(&mut server, &commander, &deployment).await;
            counts_are_those_of_the_assignments(&commander, &deployment).await;
        }
        let done = commander.settled(&deployment, "completed").await;
        assert_eq!(count(&done, "verified"), DEVICES as u64, "{done}");
        counts_are_those_of_the_assignments(&commander, &deployment).await;
        for device in &devices {
            verified_once(&commander, device, &deployment, &bundle).await;
        }
    });
}

#[test]
fn a_way_back_goes_on_after_a_kill() {
    run(async {
        let options = ProcessOptions::new().set("admission", "automatic").set("store.cache_mib", 16);
        let mut server = ServerProcess::start(options).await;
        let commander = Commander { client: server.admin().await };
        let devices = squad(&server, 12, json!({})).await;
        let one = server.bundle("gateway-os", "1.0.0", b"one").await;
        let two = server.bundle("gateway-os", "2.0.0", b"two").await;
        let first = commander.deploy(&one, "*", quick_with(json!({"soak_s": 0}))).await;
        commander.settled(&first, "completed").await;
        let plan = quick_with(json!({"soak_s": 0, "max_in_flight": 2, "attempt_timeout_s": 300}));
        let second = commander.deploy(&two, "*", plan).await;
        commander.settled(&second, "completed").await;
        commander.step(&second, "rollback").await.expect(200);
        kill_in_the_middle(&mut server, &commander, &second).await;
        let done = commander.settled(&second, "rolled_back").await;
        assert_eq!(count(&done, "rolled_back"), 12, "{done}");
        assert!(devices.iter().all(|device| device.bundle().as_ref() == Some(&one)));
    });
}
