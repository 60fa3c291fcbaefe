//! Owns good deployments: canary first and alone, wave after wave, never more in flight than allowed.

use kernex_tests::harness::run;
use serde_json::json;

use super::commander::{Commander, count, quick_with, server};
use super::squad::squad;
use super::watch::{Watch, size, touched, waves};

const DEVICES: usize = 40;
const LIMIT: u64 = 5;

#[test]
fn a_good_bundle_reaches_everybody_wave_by_wave() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = squad(&server, DEVICES, json!({"model": "gw-200"})).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;

        let plan = quick_with(json!({"max_in_flight": LIMIT}));
        let deployment = commander.deploy(&bundle, "model=gw-200", plan).await;
        let watch = Watch::on(&commander, &deployment);
        let done = commander.settled(&deployment, "completed").await;

        assert_eq!(count(&done, "verified"), DEVICES as u64, "{done}");
        assert!(waves(&done).iter().all(|wave| wave["state"] == "passed"), "{done}");
        let most = watch.never_more_in_flight_than(LIMIT);
        assert!(most > 1, "never more than {most} devices at once: the limit was not put to the test");
        watch.waves_one_after_the_other();

        let canary = &waves(&done)[0];
        assert_eq!((canary["name"].as_str(), size(canary)), (Some("canary"), 1), "{done}");
        for sample in watch.samples() {
            let verified = waves(&sample).first().map_or(0, |wave| wave["counts"]["verified"].as_u64().unwrap_or(0));
            let others: u64 = waves(&sample).iter().skip(1).map(touched).sum();
            assert!(verified == 1 || others == 0, "others were offered it before the canary was verified\n{sample}");
        }
        for device in &devices {
            assert_eq!(device.bundle().as_ref(), Some(&bundle));
            assert_eq!(device.story().commands.len(), 1, "told once");
        }
    });
}

#[test]
fn what_was_deployed_is_found_everywhere_afterwards() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = squad(&server, 3, json!({"model": "gw-200"})).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let deployment = commander.deploy(&bundle, "*", quick_with(json!({"canary": 3}))).await;
        commander.settled(&deployment, "completed").await;

        for device in &devices {
            let stored = commander.device(device.id()).await;
            assert_eq!(stored["bundle_id"], bundle);
            assert_eq!(stored["verified_bundle_id"], bundle);
            let history = commander.client.get(&format!("/devices/{}/bundles", device.id())).await.expect(200);
            assert_eq!(history.all("event"), ["verified", "installed"], "newest first");
            let codes = commander.codes(device.id(), &deployment).await;
            assert_eq!(codes, ["assigned", "offered", "report.downloading", "report.installed", "soak.verified"]);
        }

        let planned = commander.decisions("targeting", &deployment).await;
        assert_eq!(planned[0]["outcome"], "planned");
        assert_eq!(planned[0]["policy"], "rings");
        let judged = commander.decisions("rollback", &deployment).await;
        assert!(judged.iter().any(|decision| decision["outcome"] == "advance" && decision["policy"] == "guardian"));
        assert!(judged.iter().all(|decision| decision["fuel"].as_u64().is_some_and(|fuel| fuel > 0)));
    });
}

#[test]
fn devices_that_have_it_already_are_left_out_the_next_time() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = squad(&server, 2, json!({})).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let first = commander.deploy(&bundle, "*", quick_with(json!({"canary": 2}))).await;
        commander.settled(&first, "completed").await;
        let second = commander.deploy(&bundle, "*", quick_with(json!({}))).await;
        let done = commander.settled(&second, "completed").await;
        assert_eq!(done["exclusions"][0]["code"], "already-running");
        assert_eq!(done["exclusions"][0]["count"], 2);
        assert!(devices.iter().all(|device| device.story().commands.len() == 1));
    });
}
