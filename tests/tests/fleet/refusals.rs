//! Owns what is refused: calls that make no sense, and that nothing changes by them.

use kernex_tests::harness::run;
use serde_json::json;

use super::commander::{Commander, count, quick, quick_with, server};

#[test]
fn a_deployment_must_say_what_to_whom() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let post = |body| commander.client.post("/deployments").json(body);

        let empty = post(Commander::order(&bundle, "", quick())).await.expect(400);
        empty.check_problem();
        assert!(empty.pointers().contains(&"/selector".to_owned()), "{empty}");
        for body in [
            json!({"name": "x", "selector": "*"}),
            json!({"name": "x", "selector": "*", "bundle_id": bundle, "config": {}}),
            json!({"name": "x", "selector": "a=b=c", "bundle_id": bundle}),
            json!({"name": "x", "selector": "*", "bundle_id": bundle, "plan": {"max_in_flight": 0}}),
            json!({"name": "x", "selector": "*", "bundle_id": bundle, "plan": {"max_attempts": 11}}),
            json!({"name": "x", "selector": "*", "bundle_id": bundle, "plan": {"targeting_policy": "nobody"}}),
            json!({"name": "x", "selector": "*", "bundle_id": bundle, "plan": {"rollback_policy": "rings"}}),
        ] {
            let refused = post(body).await;
            refused.clone().expect(400).check_problem();
        }
        let unknown = "bun_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D";
        post(Commander::order(unknown, "*", quick())).await.problem(404, "not-found");
        commander.client.post(&format!("/bundles/{bundle}/retire")).json(json!({})).await.expect(200);
        post(Commander::order(&bundle, "*", quick())).await.problem(409, "bundle-retired");

        let all = commander.client.get("/deployments").await.expect(200);
        assert!(all.items().is_empty(), "nothing was created\n{all}");
    });
}

#[test]
fn reports_that_make_no_sense_change_nothing() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let (device, stranger) = (server.device().await, server.device().await);
        let id = device.id.clone();
        commander.client.post(&format!("/devices/{}/block", stranger.id)).json(json!({})).await.expect(200);
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let deployment = commander.deploy(&bundle, "*", quick_with(json!({"soak_s": 30}))).await;
        commander.assignment_in(&deployment, &id, "offered").await;
        let command = device.command().await.expect("it was offered");
        commander.client.post(&format!("/devices/{}/unblock", stranger.id)).json(json!({})).await.expect(200);
        let before = commander.assignment(&deployment, &id).await.expect("it is assigned");

        let foreign = stranger.report(&command, "installed").await;
        assert!([403, 404].contains(&foreign.status.as_u16()), "another device's assignment\n{foreign}");
        for (state, status) in [("exploded", 400), ("", 400)] {
            device.report(&command, state).await.expect(status).check_problem();
        }
        let mut later = command.clone();
        later["attempt"] = 7.into();
        device.report(&later, "installed").await.expect(409).check_problem();
        later["attempt"] = 0.into();
        device.report(&later, "installed").await.expect(400).check_problem();
        later["attempt"] = 1.into();
        later["assignment_id"] = "asg_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D_01JD5Z8Q0V3W4X5Y6Z7A8B9C0E".into();
        let unknown = device.report(&later, "installed").await;
        assert!([403, 404].contains(&unknown.status.as_u16()), "{unknown}");
        later["assignment_id"] = "somebody".into();
        device.report(&later, "installed").await.expect(400).check_problem();
        for more in [json!({"progress": 101}), json!({"error": {"code": "", "message": "x"}}), json!({"mood": "good"})]
        {
            device.report_with(&command, "failed", more).await.expect(400).check_problem();
        }
        assert_eq!(commander.assignment(&deployment, &id).await.as_ref(), Some(&before), "nothing changed");

        // A person is not a device.
        commander.client.post("/device/heartbeat").json(json!({})).await.check_problem();
        let as_person = commander.client.post("/device/reports");
        let body = json!({"assignment_id": command["assignment_id"], "attempt": 1, "state": "installed"});
        let refused = as_person.json(body).await;
        assert!(refused.status.is_client_error(), "an administrator reported for a device\n{refused}");

        device.report(&command, "installed").await.expect(200);
        let again = device.report(&command, "installed").await.expect(200);
        assert_eq!(again["acknowledged"], true, "the same again is answered the same");
        device.report(&command, "downloading").await.problem(409, "attempt-ended");
        let seen = commander.deployment(&deployment).await;
        assert_eq!(count(&seen, "installed"), 1, "{seen}");
        assert_eq!(commander.codes(&id, &deployment).await, ["assigned", "offered", "report.installed"]);
    });
}

#[test]
fn only_a_device_that_is_told_to_may_download() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let (device, other) = (server.device().await, server.device().await);
        commander.client.post(&format!("/devices/{}/block", other.id)).json(json!({})).await.expect(200);
        let bundle = server.bundle("gateway-os", "1.0.0", b"content").await;
        device.download(&bundle).await.expect(403).check_problem();
        let deployment = commander.deploy(&bundle, "*", quick()).await;
        commander.assignment_in(&deployment, &device.id, "offered").await;
        commander.client.post(&format!("/devices/{}/unblock", other.id)).json(json!({})).await.expect(200);
        assert_eq!(device.download(&bundle).await.expect(200).body, b"content");
        let part = device.download(&bundle).header("range", "bytes=3-").await.expect(206);
        assert_eq!(part.body, b"tent");
        commander.client.post(&format!("/devices/{}/block", device.id)).json(json!({})).await.expect(200);
        let blocked = device.download(&bundle).await;
        assert!(blocked.status.is_client_error(), "a blocked device downloads\n{blocked}");
    });
}
