//! Owns replays of plans: on the devices as they were when the plan was made, whatever has become of them since.

use std::collections::BTreeSet;

use kernex_tests::guests::MISBEHAVING;
use kernex_tests::harness::{Answer, TestServer, eventually, run};
use serde_json::{Value, json};

use super::commander::{Commander, open_server, quick_with, server};
use super::squad::{Simulated, squad};

/// Settings by which who stands in the lab goes first.
fn lab_first() -> Value {
    json!({"waves": [{"name": "lab", "selector": "site=lab"}, {"name": "rest"}]})
}

async fn rings(server: &TestServer, settings: Value) -> u64 {
    server.revision("rings", "rings", "targeting", settings).await
}

impl Commander {
    async fn label(&self, device: &str, site: &str) {
        let path = format!("/devices/{device}");
        let etag = self.client.get(&path).await.expect(200).header("etag").expect("an ETag").to_owned();
        let labels = json!({"labels": {"site": site}});
        self.client.patch(&path).header("if-match", &etag).json(labels).await.expect(200);
    }

    /// What a replay came to.
    async fn replayed(&self, body: Value) -> Value {
        let begun = self.client.post("/policies/rings/replay").json(body).await.expect(202);
        let path = begun.header("location").expect("a location").to_owned();
        let ended = eventually("the replay's end", async || {
            let operation = self.client.get(&path).await.expect(200);
            (operation["state"] != "running").then_some(operation)
        })
        .await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
        ended["replay"].clone()
    }

    async fn explained_plan(&self, decision: &Value) -> Answer {
        let id = decision["id"].as_str().expect("an identifier");
        self.client.post(&format!("/decisions/{id}/explain")).await.expect(200)
    }
}

/// A comparison is of so many devices, of which so many differ, and everything else of it is 0.
fn assert_compared(replay: &Value, asked: u64, differing: u64) {
    let comparison = &replay["comparison"];
    assert_eq!((&comparison["asked"], &comparison["differing"]), (&json!(asked), &json!(differing)), "{replay}");
    for nothing in ["faults", "unrepeatable", "not_kept", "missed"] {
        assert_eq!(comparison[nothing], 0, "{nothing}: {replay}");
    }
}

/// The devices that a replay shows, of those that were in one wave and would be this.
fn differing(replay: &Value, decided: &str, outcome: &str, candidate: &str) -> BTreeSet<String> {
    let shown = replay["differences"].as_array().expect("differences");
    let wanted = |difference: &&Value| {
        difference["decided"]["code"] == decided
            && difference["candidate"]["outcome"] == outcome
            && difference["candidate"]["code"] == candidate
    };
    shown.iter().filter(wanted).map(|difference| difference["subject"].as_str().expect("a text").to_owned()).collect()
}

fn ids(devices: &[Simulated]) -> BTreeSet<String> {
    devices.iter().map(|device| device.id().to_owned()).collect()
}

#[test]
fn a_plan_is_replayed_on_the_devices_as_they_were() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = squad(&server, 12, json!({"model": "gw-200"})).await;
        let (lab, others) = devices.split_at(4);
        let (kiosks, shops) = others.split_at(3);
        for (group, site) in [(lab, "lab"), (kiosks, "kiosk"), (shops, "shop")] {
            for device in group {
                commander.label(device.id(), site).await;
            }
        }
        let unchanged = rings(&server, lab_first()).await;
        server.activate("rings", unchanged).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let plan = quick_with(json!({"soak_s": 0, "canary": 0, "frozen": true}));
        let deployment = commander.deploy(&bundle, "model=gw-200", plan).await;
        commander.settled(&deployment, "completed").await;
        let decision = commander.decisions("targeting", &deployment).await.remove(0);
        let kept = json!({"read": 12, "devices": 12, "parts": 1, "batches": [12], "left_out": []});
        assert_eq!(decision["output"]["kept"], kept);

        // Every device is another one now: it runs the bundle, stands elsewhere, or is gone.
        for device in &devices {
            commander.label(device.id(), "elsewhere").await;
        }
        commander.client.post(&format!("/devices/{}/retire", lab[0].id())).await.expect(200);

        let of = |revision: u64| json!({"revision": revision, "deployment_id": deployment});
        let replay = commander.replayed(of(unchanged)).await;
        assert_compared(&replay, 12, 0);
        assert_eq!(replay["comparison"]["other_fuel"], 0, "{replay}");
        assert_eq!(replay["comparison"]["decided_fuel"], decision["fuel"], "{replay}");
        assert_eq!((&replay["deployment_id"], &replay["differences"]), (&json!(deployment), &json!([])));
        let explained = commander.explained_plan(&decision).await;
        assert_eq!((&explained["same"], &explained["unrepeatable"]), (&json!(true), &Value::Null), "{explained}");
        let again = &explained["again"];
        assert_eq!((&again["message"], &again["fuel"]), (&decision["message"], &decision["fuel"]), "{explained}");

        let wider = json!({"waves": [{"name": "lab", "selector": "site in (lab,kiosk)"}, {"name": "rest"}]});
        let replay = commander.replayed(of(rings(&server, wider).await)).await;
        assert_compared(&replay, 12, 3);
        assert_eq!(differing(&replay, "rest", "planned", "lab"), ids(kiosks), "{replay}");
        assert_eq!(replay["breakdown"]["changes"], json!([{"decided": "planned", "candidate": "planned", "count": 3}]));
        assert_eq!(replay["breakdown"]["questions"], json!([{"name": "classify", "count": 3}]));
        let devices: Vec<Value> = ids(kiosks).into_iter().map(|id| json!({"name": id, "count": 1})).collect();
        assert_eq!(replay["breakdown"]["devices"], json!(devices), "{replay}");
        let first = &replay["differences"][0];
        let facts = first["input"]["resource"]["facts"].as_array().expect("facts");
        assert!(facts.contains(&json!({"name": "site", "value": {"text": "kiosk"}})), "{first}");

        // The kiosks stay in the second wave, whatever it is called.
        let fewer = json!({
            "candidates": "site!=lab",
            "waves": [{"name": "nobody", "selector": "site=none"}, {"name": "kiosks", "selector": "site=kiosk"}],
        });
        let everything = json!({
            "revision": rings(&server, fewer).await, "from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z",
        });
        let replay = commander.replayed(everything).await;
        assert_compared(&replay, 12, 9);
        assert_eq!(differing(&replay, "lab", "deny", "not-a-candidate"), ids(lab), "{replay}");
        assert_eq!(differing(&replay, "rest", "deny", "no-wave"), ids(shops), "{replay}");
    });
}

#[test]
fn what_is_secret_is_not_kept_and_nobody_is_asked_without_it() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = squad(&server, 3, json!({"model": "gw-200"})).await;
        for device in &devices {
            commander.label(device.id(), "lab").await;
        }
        let body = json!({
            "plugin": server.plugin("rings").await, "gate": "targeting", "settings": lab_first(),
            "secret_facts": ["site"],
        });
        let secretive = commander.client.put("/policies/rings").json(body).await.expect(201);
        let secretive = secretive["revision"].as_u64().expect("a number");
        server.activate("rings", secretive).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let plan = quick_with(json!({"soak_s": 0, "canary": 0, "frozen": true}));
        let deployment = commander.deploy(&bundle, "*", plan).await;
        commander.settled(&deployment, "completed").await;
        let decision = commander.decisions("targeting", &deployment).await.remove(0);
        assert_eq!(decision["output"]["kept"]["left_out"], json!(["site"]), "{decision}");

        let of = |revision: u64| json!({"revision": revision, "deployment_id": deployment});
        let replay = commander.replayed(of(secretive)).await;
        assert_eq!((&replay["comparison"]["asked"], &replay["comparison"]["unrepeatable"]), (&json!(0), &json!(1)));
        assert!(commander.explained_plan(&decision).await["unrepeatable"].is_string());
        // Who does not want to know it can be asked.
        let all = rings(&server, json!({"waves": [{"name": "all"}]})).await;
        assert_compared(&commander.replayed(of(all)).await, 3, 0);
    });
}

#[test]
fn a_plan_that_would_be_refused_is_one_difference() {
    run(async {
        let server = open_server().await;
        let commander = Commander::of(&server).await;
        let _devices = squad(&server, 2, json!({})).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let plan = quick_with(json!({"soak_s": 0, "canary": 0, "frozen": true}));
        let deployment = commander.deploy(&bundle, "*", plan).await;
        commander.settled(&deployment, "completed").await;
        commander.client.post("/plugins").bytes(MISBEHAVING).await.expect(201);
        let broken = server.revision("rings", "misbehaving", "targeting", json!({"decide": "panic"})).await;
        let replay = commander.replayed(json!({"revision": broken, "deployment_id": deployment})).await;
        let comparison = &replay["comparison"];
        assert_eq!((&comparison["asked"], &comparison["faults"]), (&json!(1), &json!(1)), "{replay}");
        let difference = &replay["differences"][0];
        assert_eq!((&difference["subject"], &difference["question"]), (&json!(deployment), &json!("plan")));
        assert_eq!(
            (&difference["decided"]["code"], &difference["candidate"]["code"]),
            (&json!("planned"), &json!("policy-fault"))
        );
        // A fault in a replay counts towards no quarantine.
        let policy = commander.client.get("/policies/rings").await.expect(200);
        assert_eq!(policy["quarantined"], json!([]), "{policy}");
    });
}
