//! `plugin test --from-decisions`: what a server has decided becomes cases, which the plugin passes and a changed one
//! does not.

use kernex_tests::guests::{MISBEHAVING, RELEASED};
use kernex_tests::harness::{Client, ProcessOptions, ServerProcess, eventually, run};
use serde_json::{Value, json};

use super::desk::Desk;

/// Writes a policy and lets it decide.
async fn decide(admin: &Client, name: &str, revision: Value) {
    admin.put(&format!("/policies/{name}")).json(revision).await.expect(201);
    admin.post(&format!("/policies/{name}/activate")).json(json!({"revision": 1})).await.expect(200);
}

/// Waits until a policy's decision can be read; denials are written a moment after they were made.
async fn decided(admin: &Client, policy: &str) {
    eventually(policy, async || {
        let listed = admin.get("/decisions").query("policy", policy).await.expect(200);
        (!listed.items().is_empty()).then_some(())
    })
    .await;
}

#[test]
fn what_a_server_has_decided_becomes_cases() {
    let mut desk = Desk::new();
    desk.put("unchanged.wasm", MISBEHAVING);
    desk.put("changed.wasm", RELEASED);
    run(async {
        let server = ServerProcess::start(ProcessOptions::new().set("plugins.allow_unsigned", true)).await;
        let admin = server.admin().await;
        desk.log_in(&server.base(), admin.token());
        let plugin = admin.post("/plugins").bytes(MISBEHAVING).await.expect(201).text("digest");
        let create = |targeting: &str| {
            let plan = json!({"targeting_policy": targeting});
            admin
                .post("/deployments")
                .json(json!({"name": "a", "selector": "none=1", "config": {"a": 1}, "plan": plan}))
        };
        decide(&admin, "planner", json!({"plugin": plugin, "gate": "targeting", "settings": {}})).await;
        create("planner").await.expect(201);
        decided(&admin, "planner").await;
        let keeper =
            json!({"plugin": plugin, "gate": "authorization", "settings": {}, "actions": ["deployment:create"]});
        decide(&admin, "keeper", keeper).await;
        create("planner").await.problem(403, "as-asked");
        decided(&admin, "keeper").await;

        for (policy, asked, differs) in [
            ("planner", "survey", "expected the waves wave-0, wave-1, got canary, all"),
            ("keeper", "check", "expected deny, got allow"),
        ] {
            let test = |component: &str| {
                desk.kernex(&["plugin", "test", component, "--from-decisions", policy, "--output", "json"])
            };
            let tested: Value = serde_json::from_str(&test("unchanged.wasm").done()).expect("JSON alone");
            assert!(tested["passed"].as_u64() > Some(0), "{tested}");
            assert_eq!((&tested["failed"], &tested["cases"][0]["asked"]), (&json!(0), &json!(asked)), "{tested}");
            let changed = test("changed.wasm").failed();
            assert!(changed.contains(differs), "{changed}");
        }
    });
}
