//! A plan for thousands of devices is written in many transactions: what comes in between loses and doubles nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use kernex_tests::harness::{Answer, ProcessOptions, ServerProcess, eventually_within, populate, run};

use super::commander::{Commander, PATIENCE, count, quick};

/// Several transactions' worth.
const DEVICES: u64 = 9_500;
/// How often it is looked whether the plan is being written.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A server with so many devices.
async fn large() -> (ServerProcess, Commander) {
    let mut server = ServerProcess::start(ProcessOptions::new().set("store.cache_mib", 16)).await;
    let commander = Commander { client: server.admin().await };
    server.terminate().await;
    populate(&server, DEVICES).await;
    server.resume().await;
    (server, commander)
}

/// Assignments that are stored, by state.
async fn stored(commander: &Commander, deployment: &str) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::<String, u64>::new();
    for assignment in commander.assignments(deployment).await {
        *found.entry(assignment["state"].as_str().expect("a state").to_owned()).or_default() += 1;
    }
    found
}

/// A deployment to all of them, as it is when its devices are chosen, and not all of them are written.
async fn half_planned(server: &ServerProcess, commander: &Commander) -> (String, Answer) {
    let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
    let deployment = commander.deploy(&bundle, "*", quick()).await;
    let began = std::time::Instant::now();
    loop {
        let seen = commander.deployment(&deployment).await;
        if seen["waves"].as_array().is_some_and(|waves| !waves.is_empty()) {
            assert_eq!(seen["state"], "draft", "it was planned faster than anybody could look\n{seen}");
            return (deployment, seen);
        }
        assert!(began.elapsed() < PATIENCE, "it is never planned\n{seen}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[test]
fn a_server_that_is_killed_while_it_plans_goes_on_where_it_was() {
    run(async {
        let (mut server, commander) = large().await;
        let (deployment, seen) = half_planned(&server, &commander).await;
        assert_eq!(count(&seen, "queued"), DEVICES, "all are counted before they are written\n{seen}");
        server.kill().await;
        server.resume().await;
        let running = eventually_within(PATIENCE, "the plan is done", async || {
            let seen = commander.deployment(&deployment).await;
            (seen["state"] == "running" && count(&seen, "offered") > 0).then_some(seen)
        })
        .await;
        let (queued, offered) = (count(&running, "queued"), count(&running, "offered"));
        assert_eq!(queued + offered, DEVICES, "{running}");
        let stored = stored(&commander, &deployment).await;
        assert_eq!(stored.values().sum::<u64>(), DEVICES, "{stored:?}");
        let device = commander.assignments(&deployment).await.pop().expect("there are thousands");
        let codes = commander.codes(device["device_id"].as_str().expect("an identifier"), &deployment).await;
        assert_eq!(codes.iter().filter(|code| *code == "assigned").count(), 1, "{codes:?}");
    });
}

#[test]
fn a_deployment_that_is_cancelled_while_it_is_planned_comes_to_its_end() {
    run(async {
        let (server, commander) = large().await;
        let (deployment, _) = half_planned(&server, &commander).await;
        commander.step(&deployment, "cancel").await.expect(200);
        let done = commander.settled(&deployment, "cancelled").await;
        assert_eq!(count(&done, "queued"), 0, "{done}");
        let stored = stored(&commander, &deployment).await;
        let cancelled = count(&done, "cancelled");
        assert!(cancelled < DEVICES, "the plan was written to its end before it was cancelled\n{done}");
        assert_eq!(stored, BTreeMap::from([("cancelled".to_owned(), cancelled)]), "{done}");
    });
}
