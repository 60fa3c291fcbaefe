//! Owns configs: one device's, with history and way back, and a fleet's; status follows from reports.

use kernex_tests::harness::{eventually, run};
use serde_json::json;

use super::commander::{Commander, count, quick_with, server};
use super::squad::squad;

#[test]
fn a_device_gets_its_config_and_an_earlier_one_back() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = squad(&server, 1, json!({})).await;
        let device = &devices[0];
        let path = format!("/devices/{}/config", device.id());
        commander.client.get(&path).await.problem(404, "not-found");
        let back = || commander.client.post(&format!("{path}/rollback")).json(json!({}));
        back().await.problem(409, "nothing-to-go-back-to");

        let documents = [json!({"interval_s": 10}), json!({"interval_s": 20, "b": [1, 2]})];
        for (version, document) in (1_u64..).zip(&documents) {
            let written = commander.client.put(&path).json(json!({"document": document})).await.expect(200);
            assert_eq!((written["version"].as_u64(), &written["document"]), (Some(version), document), "{written}");
            assert_eq!(written["device_id"], device.id());
            eventually("the device has applied it", async || {
                (device.story().config == Some((version, document.clone()))).then_some(())
            })
            .await;
            eventually("the report is in the device's record", async || {
                (commander.device(device.id()).await["config_version"] == version).then_some(())
            })
            .await;
        }
        back().await.expect(200);
        eventually("the first document is there again, as a new version", async || {
            (device.story().config == Some((3, documents[0].clone()))).then_some(())
        })
        .await;
        let latest = commander.client.get(&path).await.expect(200);
        assert_eq!((latest["version"].as_u64(), &latest["document"]), (Some(3), &documents[0]));

        let versions = commander.client.get(&format!("{path}/versions")).await.expect(200);
        let numbers: Vec<_> = versions.items().iter().map(|config| config["version"].as_u64()).collect();
        assert_eq!(numbers, [Some(3), Some(2), Some(1)], "newest first, none is overwritten");
        assert_eq!(versions.items()[0]["digest"], versions.items()[2]["digest"]);
        assert_ne!(versions.items()[0]["digest"], versions.items()[1]["digest"]);
        let one = commander.client.post(&format!("{path}/rollback")).json(json!({"version": 2})).await.expect(200);
        assert_eq!(one["document"], documents[1]);
        commander.client.post(&format!("{path}/rollback")).json(json!({"version": 99})).await.problem(404, "not-found");
        let commands = device.story().commands;
        assert!(commands.iter().all(|command| command["kind"] == "configure"), "{commands:#?}");
    });
}

#[test]
fn a_fleet_gets_a_config_in_waves_and_goes_back_to_its_own() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = squad(&server, 4, json!({})).await;
        for (number, device) in devices.iter().enumerate() {
            let own = json!({"document": {"own": number}});
            commander.client.put(&format!("/devices/{}/config", device.id())).json(own).await.expect(200);
        }
        for device in &devices {
            eventually("its own config is applied", async || device.story().config).await;
            eventually("and known", async || {
                (commander.device(device.id()).await["config_version"] == 1).then_some(())
            })
            .await;
        }
        let plan = quick_with(json!({"canary": 4, "soak_s": 0}));
        let order = json!({"name": "all alike", "config": {"own": "nobody's"}, "selector": "*", "plan": plan});
        let deployment = commander.client.post("/deployments").json(order).await.expect(201).id();
        let done = commander.settled(&deployment, "completed").await;
        assert_eq!(count(&done, "verified"), 4, "{done}");
        for device in &devices {
            assert_eq!(device.story().config, Some((2, json!({"own": "nobody's"}))));
            assert_eq!(commander.device(device.id()).await["config_version"], 2);
        }
        commander.step(&deployment, "rollback").await.expect(200);
        let back = commander.settled(&deployment, "rolled_back").await;
        assert_eq!(count(&back, "rolled_back"), 4, "{back}");
        for (number, device) in devices.iter().enumerate() {
            assert_eq!(device.story().config, Some((3, json!({"own": number}))), "its own document, as a new version");
        }
    });
}

#[test]
fn a_config_that_a_device_refuses_is_known_as_refused() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let device = server.device().await;
        let path = format!("/devices/{}/config", device.id);
        commander.client.put(&path).json(json!({"document": {"interval_s": -1}})).await.expect(200);
        let command = eventually("the config is offered", async || device.command().await).await;
        assert_eq!((command["kind"].as_str(), command["config"]["version"].as_u64()), (Some("configure"), Some(1)));
        let why = json!({"error": {"code": "invalid-config", "message": "a negative interval"}});
        device.report_with(&command, "rejected", why).await.expect(200);
        assert!(commander.device(&device.id).await["config_version"].is_null(), "it does not run it");
        let deployment = command["deployment_id"].as_str().expect("a command names its deployment").to_owned();
        let assignment = commander.assignment(&deployment, &device.id).await.expect("it is assigned");
        assert_eq!(assignment["error"]["code"], "invalid-config", "{assignment:#}");
        commander.settled(&deployment, "completed").await;
        let codes = commander.codes(&device.id, &deployment).await;
        assert!(codes.contains(&"report.rejected".to_owned()), "{codes:?}");
    });
}
