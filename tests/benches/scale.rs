//! A server with many devices: how long it takes to start, what it weighs, how fast a deployment to all of them is
//! planned and its first wave offered, and what the store's bulk work costs a row. On the real process and disk.
//!
//! `cargo bench --profile dev --bench scale -- [devices]`

use std::time::{Duration, Instant};

use kernex_tests::harness::{Client, ProcessOptions, ServerProcess, eventually_within, populate, run};
use serde_json::json;

/// Devices, where nothing else is asked for.
const DEVICES: u64 = 100_000;
/// How long a deployment may take before this gives up.
const PATIENCE: Duration = Duration::from_secs(1_200);

fn told(what: &str, began: Instant, rows: u64) {
    let took = began.elapsed().as_secs_f64();
    println!("{what}: {rows} in {took:.2} s, {:.0} µs each", took * 1e6 / rows as f64);
}

async fn pages(admin: &Client) {
    for selector in ["*", "channel=beta", "channel=beta,site=s0", "channel in (beta,none)", "!site", "fact.os=linux"] {
        let began = Instant::now();
        let listed = admin.get("/devices").query("selector", selector).query("limit", 100).await.expect(200);
        println!(
            "page of `{selector}`: {} devices in {:.1} ms",
            listed.items().len(),
            began.elapsed().as_secs_f64() * 1e3
        );
    }
}

async fn deployment(server: &ServerProcess, admin: &Client, devices: u64) {
    let bundle = server.bundle("gateway-os", "2.0.0", b"two").await;
    let plan = json!({ "max_in_flight": 1_000, "canary": 100 });
    let order = json!({ "name": "all", "bundle_id": bundle, "selector": "*", "plan": plan });
    let began = Instant::now();
    let created = admin.post("/deployments").json(order).await.expect(201).id();
    let offered = eventually_within(PATIENCE, "the first wave is offered", async || {
        let deployment = admin.get(&format!("/deployments/{created}")).await.expect(200);
        let waves = deployment["waves"].as_array().cloned().unwrap_or_default();
        let offered: u64 = waves.iter().filter_map(|wave| wave["counts"]["offered"].as_u64()).sum();
        (offered > 0).then_some(offered)
    })
    .await;
    told("a deployment to all planned and its first wave offered", began, devices);
    println!("  {offered} devices were offered it (goal for 100,000 devices: under 30 s)");
}

fn main() {
    // `cargo bench` says that it is one; `cargo test --benches` only wants to know that this starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let devices = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(DEVICES);
    run(async move {
        let mut server = ServerProcess::start(ProcessOptions::new()).await;
        let admin = server.admin().await;
        server.terminate().await;
        let began = Instant::now();
        populate(&server, devices).await;
        told("create devices, 1,000 in a transaction", began, devices);
        server.resume().await;
        server.terminate().await;
        let began = Instant::now();
        server.resume().await;
        println!("start with {devices} devices: {:.2} s (goal for 100,000: under 5 s)", began.elapsed().as_secs_f64());
        println!("  {} MiB resident (goal for 100,000: under 600)", server.resident_kib() / 1_024);
        pages(&admin).await;
        deployment(&server, &admin, devices).await;
        println!("  {} MiB resident after it", server.resident_kib() / 1_024);
    });
}
