//! Owns bad bundles: they stop after a handful of devices, and every exposed device goes back to what it ran before.

use kernex_tests::harness::{Site, run};
use serde_json::json;

use super::commander::{Commander, count, quick_with, server};
use super::squad::{Manner, Simulated, squad};
use super::watch::Watch;

const DEVICES: usize = 40;
const CANARIES: u64 = 4;

/// Half of the fleet on one bundle, half on another: what each goes back to is its own.
async fn two_halves(site: &Site, commander: &Commander) -> (Vec<Simulated>, [String; 2]) {
    let mut devices = squad(site, DEVICES / 2, json!({"facts": {"half": "left"}})).await;
    devices.extend(squad(site, DEVICES / 2, json!({"facts": {"half": "right"}})).await);
    let bundles = [site.bundle("left-os", "1.0.0", b"left").await, site.bundle("gateway-os", "1.0.0", b"right").await];
    for (bundle, half) in bundles.iter().zip(["left", "right"]) {
        let deployment = commander.deploy(bundle, &format!("fact.half={half}"), quick_with(json!({"soak_s": 0}))).await;
        commander.settled(&deployment, "completed").await;
    }
    (devices, bundles)
}

async fn everybody_is_back(commander: &Commander, devices: &[Simulated], bundles: &[String; 2]) {
    for (number, device) in devices.iter().enumerate() {
        let own = &bundles[number / (DEVICES / 2)];
        assert_eq!(device.bundle().as_ref(), Some(own), "device {number} runs its own bundle again");
        let stored = commander.device(device.id()).await;
        assert_eq!(stored["bundle_id"], *own, "{stored}");
        assert_eq!(stored["verified_bundle_id"], *own, "{stored}");
    }
}

#[test]
fn a_bundle_that_sickens_its_canaries_takes_itself_back() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let (devices, bundles) = two_halves(&server, &commander).await;
        let bad = server.bundle("gateway-os", "2.0.0", b"bad").await;
        devices.iter().for_each(|device| device.behave(Manner::Sickens(bad.clone())));

        let deployment = commander.deploy(&bad, "*", quick_with(json!({"canary": CANARIES}))).await;
        let watch = Watch::on(&commander, &deployment);
        let done = commander.settled(&deployment, "rolled_back").await;

        let told = devices.iter().filter(|device| device.was_told(&bad)).count() as u64;
        assert!((1..=CANARIES).contains(&told), "{told} devices were told to install it");
        assert_eq!(count(&done, "rolled_back"), told, "everybody who was exposed went back\n{done}");
        assert_eq!(count(&done, "cancelled"), DEVICES as u64 - told, "the others never heard of it\n{done}");
        watch.waves_one_after_the_other();
        everybody_is_back(&commander, &devices, &bundles).await;

        assert_eq!(done["reason"]["by"], "policy:guardian", "{done}");
        assert_eq!(done["reason"]["code"], "failure-share-exceeded", "{done}");
        let decisions = commander.decisions("rollback", &deployment).await;
        let decisive: Vec<_> = decisions.iter().filter(|decision| decision["outcome"] == "roll_back").collect();
        assert_eq!(decisive.len(), 1, "it was decided once: {decisions:#?}");
        assert_eq!(decisive[0]["policy"], "guardian");
        assert!(decisive[0]["message"].as_str().is_some_and(|message| message.contains("failed")), "{:#}", decisive[0]);
        let failures = &decisive[0]["input"]["window"]["failures"];
        assert_eq!(failures[0]["code"], "unhealthy-after-install", "{:#}", decisive[0]);
    });
}

#[test]
fn a_bundle_that_does_not_install_stops_and_is_never_deployed_again() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let (devices, bundles) = two_halves(&server, &commander).await;
        let bad = server.bundle("gateway-os", "2.0.0", b"bad").await;
        devices.iter().for_each(|device| device.behave(Manner::Fails(bad.clone())));

        let deployment = commander.deploy(&bad, "*", quick_with(json!({"canary": CANARIES}))).await;
        let done = commander.settled(&deployment, "rolled_back").await;
        let told = devices.iter().filter(|device| device.was_told(&bad)).count() as u64;
        assert!((1..=CANARIES).contains(&told), "{told} devices were told to install it");
        assert_eq!(done["rollback"], "everyone", "{done}");
        everybody_is_back(&commander, &devices, &bundles).await;

        let bundle = commander.client.get(&format!("/bundles/{bad}")).await.expect(200);
        assert_eq!(bundle["status"], "bad");
        let order = Commander::order(&bad, "*", quick_with(json!({})));
        commander.client.post("/deployments").json(order.clone()).await.problem(409, "bundle-bad");
        commander.client.post("/deployments/preview").json(order).await.problem(409, "bundle-bad");
        // Whoever was sent back is not sent back once more.
        commander.step(&deployment, "rollback").await.problem(409, "wrong-state");
        commander.step(&deployment, "resume").await.problem(409, "wrong-state");
    });
}

#[test]
fn devices_without_an_earlier_bundle_are_listed_with_the_reason() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = squad(&server, 5, json!({})).await;
        let bad = server.bundle("gateway-os", "1.0.0", b"bad").await;
        devices.iter().for_each(|device| device.behave(Manner::Sickens(bad.clone())));
        let deployment = commander.deploy(&bad, "*", quick_with(json!({"canary": 5}))).await;
        let done = commander.settled(&deployment, "rolled_back").await;
        assert_eq!(count(&done, "rolled_back"), 0, "{done}");
        let stuck: Vec<_> = commander.assignments(&deployment).await;
        let stuck: Vec<_> = stuck.iter().filter(|assignment| assignment["state"] == "rollback_failed").collect();
        assert!(!stuck.is_empty(), "{done}");
        assert!(stuck.iter().all(|assignment| assignment["error"]["code"] == "nothing-to-go-back-to"), "{stuck:#?}");
    });
}
