//! Owns sending one device back by hand: where to, and every clear error.

use kernex_tests::harness::{ServerProcess, eventually, run};
use serde_json::{Value, json};

use super::commander::{Commander, quick_with, server};
use super::squad::squad;

const NOBODY: &str = "dev_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D";
const NOTHING: &str = "bun_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D";

#[test]
fn one_device_goes_back_and_the_others_stay() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = squad(&server, 2, json!({})).await;
        let one = server.bundle("gateway-os", "1.0.0", b"one").await;
        let two = server.bundle("gateway-os", "2.0.0", b"two").await;
        for bundle in [&one, &two] {
            let deployment = commander.deploy(bundle, "*", quick_with(json!({"canary": 2, "soak_s": 0}))).await;
            commander.settled(&deployment, "completed").await;
        }
        let device = &devices[0];
        let path = format!("/devices/{}/rollback", device.id());
        let accepted = commander.client.post(&path).json(json!({})).await.expect(202);
        assert_eq!(accepted["device_id"], device.id());
        eventually("the device runs the earlier bundle", async || {
            (device.bundle().as_ref() == Some(&one)).then_some(())
        })
        .await;
        let deployment = accepted.text("deployment_id");
        let done = commander.settled(&deployment, "completed").await;
        assert_eq!(done["kind"], "direct", "{done}");
        let last = device.story().commands.last().cloned().expect("it was told to go back");
        assert_eq!((last["kind"].as_str(), last["bundle"]["id"].as_str()), (Some("rollback"), Some(one.as_str())));
        assert_eq!(devices[1].bundle().as_ref(), Some(&two), "the other one stays");
        let stored = commander.device(device.id()).await;
        assert_eq!(stored["bundle_id"], one);
        let history = commander.client.get(&format!("/devices/{}/bundles", device.id())).await.expect(200);
        assert_eq!(history.items()[0]["event"], "rolled_back_to");
        let bundle = commander.client.get(&format!("/bundles/{two}")).await.expect(200);
        assert_eq!(bundle["status"], "available", "one device does not condemn a bundle");

        // Forward again, by name, from the terminal.
        let mut command = tokio::process::Command::new(ServerProcess::program());
        command.args(["device", "rollback"]).arg(device.id()).args(["--to", two.as_str(), "--output", "json"]);
        command.env("KERNEX_SERVER", server.base()).env("KERNEX_TOKEN", commander.client.token());
        let output = command.output().await.expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let sent: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((&sent["device_id"], &sent["bundle_id"]), (&json!(device.id()), &json!(two)), "{sent}");
        eventually("the device runs the later bundle", async || (device.bundle().as_ref() == Some(&two)).then_some(()))
            .await;
        let decisions = commander.decisions("rollback", device.id()).await;
        assert_eq!(decisions.len(), 2, "each was permitted: {decisions:#?}");
        assert!(decisions.iter().all(|decision| decision["outcome"] == "allow" && decision["policy"] == "guardian"));
        let listed = commander.client.get("/deployments").await.expect(200);
        assert!(
            listed.all("kind").iter().all(|kind| kind == "fleet"),
            "single devices are not in the list of deployments"
        );
    });
}

#[test]
fn what_cannot_be_done_is_said_clearly() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = squad(&server, 1, json!({})).await;
        let device = &devices[0];
        let path = format!("/devices/{}/rollback", device.id());
        let back = |body| commander.client.post(&path).json(body);

        back(json!({})).await.problem(409, "nothing-to-go-back-to");
        back(json!({"to_bundle": NOTHING})).await.problem(404, "not-found");
        back(json!({"to_bundle": "yesterday"})).await.expect(400).check_problem();
        let nobody = commander.client.post(&format!("/devices/{NOBODY}/rollback")).json(json!({})).await;
        nobody.problem(404, "not-found");

        let one = server.bundle("gateway-os", "1.0.0", b"one").await;
        let first = commander.deploy(&one, "*", quick_with(json!({"soak_s": 0}))).await;
        commander.settled(&first, "completed").await;
        back(json!({})).await.problem(409, "nothing-to-go-back-to");
        back(json!({"to_bundle": one})).await.problem(409, "already-running");

        let bad = server.bundle("gateway-os", "2.0.0", b"bad").await;
        let second = commander.deploy(&bad, "*", quick_with(json!({"soak_s": 0}))).await;
        commander.settled(&second, "completed").await;
        commander.step(&second, "rollback").await.expect(200);
        commander.settled(&second, "rolled_back").await;
        back(json!({"to_bundle": bad})).await.problem(409, "bundle-bad");
        back(json!({})).await.problem(409, "nothing-to-go-back-to");

        commander.client.post(&format!("/devices/{}/retire", device.id())).json(json!({})).await.expect(200);
        back(json!({"to_bundle": one})).await.problem(409, "device-not-active");
        let viewer = server.user("viewer").await;
        viewer.post(&path).json(json!({})).await.expect(403).check_problem();
    });
}
