//! Plugins that do wrong when they are asked: the gate stays shut with the reason, and other policies decide.

use kernex_tests::harness::{Answer, eventually, run};
use serde_json::{Value, json};

use super::{ANSWER, FUEL, Ground, MEMORY, TRAPPED, blames, deployment};

/// A function, what it does, and what is said of it.
type Wrong = (&'static str, &'static str, &'static str);

const AUTHORIZING: [Wrong; 9] = [
    ("check", "panic", TRAPPED),
    ("check", "loop", FUEL),
    ("check", "allocate", MEMORY),
    ("check", "giant", ANSWER),
    // One decision too many.
    ("check", "nonsense", ANSWER),
    ("scope", "panic", TRAPPED),
    ("scope", "wordy", ANSWER),
    // A selector that compares with nothing.
    ("scope", "nonsense", ANSWER),
    // A selector whose key has a space in it.
    ("scope", "unfit", ANSWER),
];

const TARGETING: [Wrong; 10] = [
    ("survey", "panic", TRAPPED),
    ("survey", "loop", FUEL),
    ("survey", "allocate", MEMORY),
    ("survey", "garbled", ANSWER),
    // More waves than there may be.
    ("survey", "nonsense", ANSWER),
    ("survey", "unfit", ANSWER),
    ("classify", "loop", FUEL),
    ("classify", "giant", ANSWER),
    // Classes for devices that nobody asked about.
    ("classify", "wordy", ANSWER),
    // A class that the plan does not have.
    ("classify", "nonsense", ANSWER),
];

const JUDGING: [Wrong; 5] = [
    ("judge", "panic", TRAPPED),
    ("judge", "loop", FUEL),
    ("judge", "allocate", MEMORY),
    ("judge", "wordy", ANSWER),
    // A state that is too long to be kept.
    ("judge", "nonsense", ANSWER),
];

const PERMITTING: [Wrong; 2] = [
    ("permit", "panic", TRAPPED),
    // A reason whose code is none.
    ("permit", "nonsense", ANSWER),
];

/// A policy is named after what it does.
fn name((function, wrong, _): Wrong) -> String {
    format!("{function}-{wrong}")
}

fn settings((function, wrong, _): Wrong) -> Value {
    json!({"decide": wrong, "only": function, "allows": true})
}

#[test]
fn an_authorization_policy_that_fails_denies_what_it_is_asked_about() {
    run(async {
        let ground = Ground::new().await;
        let mut denials = Vec::new();
        for case in AUTHORIZING {
            let (action, path) =
                if case.0 == "check" { ("bundle:list", "/bundles") } else { ("device:list", "/devices") };
            let policy = name(case);
            ground.activate(&policy, "authorization", settings(case), &[action]).await;
            let denied = ground.admin.get(path).await.problem(403, "policy-fault");
            blames(&denied.text("detail"), "the authorization policy failed: ", case.2);
            denials.push((policy.clone(), denied.text("decision")));
            ground.goes_on().await;
            ground.take_back(&policy).await;
            ground.admin.get(path).await.expect(200);
        }
        for (policy, id) in denials {
            let decision = eventually("the decision is written", async || {
                let found = ground.admin.get(&format!("/decisions/{id}")).await;
                (found.status == 200).then_some(found)
            })
            .await;
            assert_eq!((&decision["policy"], &decision["outcome"]), (&json!(policy), &json!("fault")), "{decision}");
        }
    });
}

/// Waits until a deployment stands like this for its policy's failure; gives the deployment.
async fn failed(ground: &Ground, id: &str, state: &str) -> Answer {
    eventually("the policy has failed", async || {
        let found = ground.admin.get(&format!("/deployments/{id}")).await.expect(200);
        (found["state"] == state && found["reason"]["code"] == "policy-fault").then_some(found)
    })
    .await
}

/// Fails unless a deployment's reason names the policy and says what its plugin did.
#[track_caller]
fn explained(deployment: &Answer, gate: &str, case: Wrong) {
    let reason = &deployment["reason"];
    assert_eq!(reason["by"], format!("policy:{}", name(case)), "{deployment}");
    let message = reason["message"].as_str().expect("a message");
    blames(message, &format!("the {gate} policy failed: "), case.2);
}

#[test]
fn a_targeting_policy_that_fails_halts_the_deployment_and_adds_nobody() {
    run(async {
        let ground = Ground::new().await;
        let device = ground.server.device().await;
        for case in TARGETING {
            let policy = name(case);
            ground.activate(&policy, "targeting", settings(case), &[]).await;
            let wanted = deployment(json!({"targeting_policy": policy}));
            let refused = ground.admin.post("/deployments/preview").json(wanted.clone()).await;
            let detail = refused.problem(409, "not-planned").text("detail");
            blames(&detail, "the targeting policy failed: ", case.2);
            assert!(detail.ends_with("(policy-fault)"), "{detail}");

            let id = ground.admin.post("/deployments").json(wanted).await.expect(201).id();
            let halted = failed(&ground, &id, "halted").await;
            explained(&halted, "targeting", case);
            let chosen = ground.admin.get(&format!("/deployments/{id}/assignments")).await.expect(200);
            assert!(chosen.items().is_empty(), "{chosen}");
            ground.goes_on().await;
        }
        assert!(device.command().await.is_none(), "nobody was chosen");
        // The bundled policy chooses as ever.
        ground.admin.post("/deployments").json(deployment(json!({}))).await.expect(201);
        let command = eventually("a command", async || device.command().await).await;
        assert_eq!(command["kind"], "configure", "{command}");
    });
}

#[test]
fn a_rollback_policy_that_fails_holds() {
    run(async {
        let ground = Ground::new().await;
        let device = ground.server.device().await;
        for case in JUDGING {
            let policy = name(case);
            ground.activate(&policy, "rollback", settings(case), &[]).await;
            let wanted = deployment(json!({"rollback_policy": policy}));
            let id = ground.admin.post("/deployments").json(wanted).await.expect(201).id();
            let held = failed(&ground, &id, "running").await;
            explained(&held, "rollback", case);
            assert!(device.command().await.is_none(), "it was chosen, and is offered nothing\n{held}");
            let queued = ground.admin.get(&format!("/deployments/{id}/assignments")).await.expect(200);
            assert_eq!(queued.all("state"), ["queued"], "{queued}");
            ground.goes_on().await;
            let remark = json!({"reason": "its policy fails"});
            ground.admin.post(&format!("/deployments/{id}/cancel")).json(remark).await.expect(200);
        }
        // The bundled policy lets a deployment go on as ever.
        ground.admin.post("/deployments").json(deployment(json!({}))).await.expect(201);
        eventually("a command", async || device.command().await).await;
    });
}

#[test]
fn a_rollback_policy_that_fails_sends_no_single_device_back() {
    run(async {
        let ground = Ground::new().await;
        let device = ground.server.device().await;
        let bundle = ground.server.bundle("gateway-os", "1.0.0", b"one").await;
        let back = || {
            let call = ground.admin.post(&format!("/devices/{}/rollback", device.id));
            call.json(json!({"to_bundle": bundle}))
        };
        for case in PERMITTING {
            // People are permitted by the default policy.
            ground.activate("guardian", "rollback", settings(case), &[]).await;
            let detail = back().await.problem(409, "rollback-refused").text("detail");
            blames(&detail, "the rollback policy failed: ", case.2);
            assert!(detail.ends_with("(policy-fault)"), "{detail}");
            // It was written down before it was answered.
            let decisions = ground.admin.get("/decisions").query("gate", "rollback").query("subject", &device.id);
            let decisions = decisions.await.expect(200);
            let last = &decisions.items()[0];
            assert_eq!((&last["question"], &last["outcome"]), (&json!("permit"), &json!("fault")), "{last}");
            assert!(detail.contains(last["message"].as_str().expect("a text")), "{detail}\n{last}");
            ground.goes_on().await;
            ground.take_back("guardian").await;
        }
        assert!(device.command().await.is_none());
        back().await.expect(202);
        let command = eventually("a command", async || device.command().await).await;
        assert_eq!(command["kind"], "rollback", "{command}");
    });
}
