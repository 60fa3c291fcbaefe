//! Owns the sweep: twenty kills at random moments and right after flushes, each followed by a start and a look.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kernex_tests::harness::{Client, ProcessOptions, ServerProcess, Site, TestDevice, eventually_within, run};
use rand::Rng;
use serde_json::{Value, json};

use super::flush;
use super::ledger::Ledger;
use super::load::Load;
use super::torn;

const KILLS: usize = 20;
/// Devices in the deployment that is reported on: about half of them are in its last wave.
const DEVICES: usize = 160;
/// Devices whose labels are edited.
const EDITED: usize = 3;
/// Writes that are acknowledged in every round before its kill.
const LEAST_WRITES: usize = 10;
/// The load goes on for this long after that, in milliseconds.
const LOAD_MS: std::ops::Range<u64> = 0..500;
/// How long a flush is waited for.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);
/// The smallest memtable that the database takes.
const MEMTABLE_KIB: u32 = 64;
const PATIENCE: Duration = Duration::from_secs(90);

/// Devices that enrolled, with tokens; the server admits them by itself.
async fn enrol(site: &Site, count: usize) -> Vec<TestDevice> {
    let mut devices = Vec::with_capacity(count);
    for _ in 0..count {
        devices.push(site.device().await);
    }
    devices
}

/// The command that a device has by now.
async fn told(device: &TestDevice) -> Value {
    eventually_within(PATIENCE, "the device is told to act", async || device.command().await).await
}

/// Brings a deployment to where its last wave is offered to everybody in it; gives the devices of that wave
/// with their commands.
async fn in_flight(admin: &Client, site: &Site, devices: Vec<TestDevice>) -> (String, Vec<(TestDevice, Value)>) {
    let bundle = site.bundle("first-os", "1.0.0", b"one").await;
    let plan = json!({"max_in_flight": 1_000, "soak_s": 0, "attempt_timeout_s": 86_400});
    let order = json!({"name": "under fire", "bundle_id": bundle, "selector": "*", "plan": plan});
    let deployment = admin.post("/deployments").json(order).await.expect(201).id();
    let path = format!("/deployments/{deployment}");
    let waves = eventually_within(PATIENCE, "it is planned", async || {
        let found = admin.get(&path).await.expect(200);
        (found["state"] == "running").then(|| found["waves"].as_array().map_or(0, Vec::len))
    })
    .await;
    let last = waves as u64 - 1;
    let assignments = torn::all(admin, &format!("{path}/assignments"), &[]).await;
    let wave_of =
        |id: &str| assignments.iter().find(|found| found["device_id"] == id).and_then(|found| found["wave"].as_u64());
    let (late, early): (Vec<_>, Vec<_>) = devices.into_iter().partition(|device| wave_of(&device.id) == Some(last));
    for wave in 0..last {
        let own: Vec<_> = early.iter().filter(|device| wave_of(&device.id) == Some(wave)).collect();
        for device in &own {
            let command = told(device).await;
            device.report(&command, "downloading").await.expect(200);
            device.report(&command, "installed").await.expect(200);
        }
        eventually_within(PATIENCE, "the wave passes", async || {
            for device in &own {
                device.heartbeat(json!({"bundle_id": bundle})).await.expect(200);
            }
            (admin.get(&path).await.expect(200)["wave"].as_u64() > Some(wave)).then_some(())
        })
        .await;
    }
    let mut reporters = Vec::with_capacity(late.len());
    for device in late {
        let command = told(&device).await;
        reporters.push((device, command));
    }
    (deployment, reporters)
}

/// Once the load is under way, a random moment; every other kill comes right after a flush. Says whether
/// this one does.
async fn wait_for_the_moment(number: usize, server: &ServerProcess, ledger: &Ledger, before: usize) -> bool {
    eventually_within(PATIENCE, "the load is under way", async || {
        (ledger.entries().len() >= before + LEAST_WRITES).then_some(())
    })
    .await;
    let delay = rand::rng().random_range(LOAD_MS);
    tokio::time::sleep(Duration::from_millis(delay)).await;
    number % 2 == 1 && flush::next(&server.data_dir().join("store"), FLUSH_PATIENCE).await
}

#[test]
fn twenty_kills_lose_nothing_that_was_acknowledged_and_tear_nothing() {
    run(async {
        let begin = Instant::now();
        let options = ProcessOptions::new().set("admission", "automatic").set("store.memtable_kib", MEMTABLE_KIB);
        let mut server = ServerProcess::start(options.set("store.cache_mib", 16)).await;
        let admin = server.admin().await;
        let devices = enrol(&server, DEVICES).await;
        let (deployment, reporters) = in_flight(&admin, &server, devices).await;
        let edited: Vec<String> = enrol(&server, EDITED).await.into_iter().map(|device| device.id).collect();
        let load = Load { admin: admin.clone(), ledger: Arc::new(Ledger::default()), bundles: Arc::default() };
        let share = reporters.len().div_ceil(KILLS);
        let (mut after_flush, mut rounds) = (0, reporters.chunks(share));

        for number in 0..KILLS {
            let reporters = rounds.next().unwrap_or_default().to_vec();
            let before = load.ledger.entries().len();
            let mut writers = load.start(&edited, reporters);
            after_flush += usize::from(wait_for_the_moment(number, &server, &load.ledger, before).await);
            server.kill().await;
            // Whoever was answered before the kill writes it down before the look.
            while let Some(ended) = writers.join_next().await {
                ended.expect("a writer ends because the server has gone");
            }
            let acknowledged = load.ledger.entries();
            server.resume().await;
            torn::nothing_is_lost(&admin, &acknowledged).await;
            torn::reports_are_whole(&admin, &deployment, &acknowledged).await;
        }
        torn::changes_and_records_agree(&admin, &deployment, &edited).await;
        let total = load.ledger.entries().len();
        println!(
            "{total} acknowledged writes, {KILLS} kills, {after_flush} of them after a flush, {:?}",
            begin.elapsed()
        );
        assert!(after_flush >= KILLS / 4, "only {after_flush} kills came right after a flush");
        assert!(total >= KILLS * LEAST_WRITES, "only {total} writes: that is no load");
    });
}
