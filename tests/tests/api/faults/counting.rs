//! How failures count: in the metrics by their kind, and towards a quarantine.

use kernex_tests::harness::{eventually, run};
use serde_json::{Value, json};

use super::{Ground, deployment};
use crate::api::telemetry::{measured, sample};

/// A function of the authorization gate, what it does, and what the metrics call it.
const FAULTS: [(&str, &str, &str); 5] = [
    ("check", "panic", "trapped"),
    ("check", "loop", "out_of_fuel"),
    ("check", "allocate", "out_of_memory"),
    ("check", "giant", "bad_output"),
    ("scope", "unfit", "bad_output"),
];

const DECISIONS: &str = "kernex_decision_duration_seconds_count";

fn settings(function: &str, wrong: &str) -> Value {
    json!({"decide": wrong, "only": function, "allows": true})
}

#[test]
fn the_metrics_say_in_which_way_a_policy_failed() {
    run(async {
        let ground = Ground::new().await;
        for (function, wrong, _) in FAULTS {
            let (action, path) =
                if function == "check" { ("bundle:list", "/bundles") } else { ("device:list", "/devices") };
            let policy = format!("{function}-{wrong}");
            ground.activate(&policy, "authorization", settings(function, wrong), &[action]).await;
            ground.admin.get(path).await.problem(403, "policy-fault");
            ground.take_back(&policy).await;
        }
        ground.activate("survey-unfit", "targeting", settings("survey", "unfit"), &[]).await;
        let wanted = deployment(json!({"targeting_policy": "survey-unfit"}));
        ground.admin.post("/deployments/preview").json(wanted).await.problem(409, "not-planned");

        let text = measured(&ground.admin).await;
        let decisions = |policy: &str, outcome: &str, fault: &str| {
            let label = |name: &str, value: &str| format!("{name}=\"{value}\"");
            let labels = [label("policy", policy), label("outcome", outcome), label("fault", fault)];
            sample(&text, DECISIONS, &[&labels[0], &labels[1], &labels[2]])
        };
        for (function, wrong, fault) in FAULTS {
            assert_eq!(decisions(&format!("{function}-{wrong}"), "fault", fault), 1.0, "{function} {wrong}");
        }
        assert_eq!(decisions("survey-unfit", "fault", "bad_output"), 1.0);
        assert!(decisions("rbac", "allow", "") > 1.0, "no failure has no kind");
    });
}

#[test]
fn selectors_that_the_host_cannot_apply_lead_to_a_quarantine() {
    run(async {
        let ground = Ground::new().await;
        let gates: [(&str, &str, &[&str]); 2] =
            [("authorization", "scope", &["device:list"]), ("targeting", "survey", &[])];
        for (gate, function, actions) in gates {
            for decide in ["none", "unfit"] {
                ground.activate(function, gate, settings(function, decide), actions).await;
            }
            eventually("the revision before decides again", async || {
                if gate == "authorization" {
                    ground.admin.get("/devices").await;
                } else {
                    let wanted = deployment(json!({"targeting_policy": function}));
                    ground.admin.post("/deployments/preview").json(wanted).await;
                }
                let policy = ground.admin.get(&format!("/policies/{function}")).await.expect(200);
                (policy["active"]["revision"] == 1 && policy["quarantined"] == json!([2])).then_some(())
            })
            .await;
        }
    });
}
