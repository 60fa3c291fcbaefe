//! Plugins that do wrong while they are configured: no revision is written, whichever gate it was for.

use kernex_tests::harness::run;
use serde_json::json;

use super::{ANSWER, FUEL, Ground, MEMORY, TRAPPED, blames, deployment};

/// What `configure` does, and what is said of it. The one that hoards memory fails after it, in its snapshot.
const WRONGS: [(&str, &str); 8] = [
    ("panic", TRAPPED),
    ("loop", FUEL),
    ("allocate", MEMORY),
    ("hoard", MEMORY),
    ("giant", ANSWER),
    ("wordy", ANSWER),
    ("garbled", ANSWER),
    ("nonsense", ANSWER),
];

#[test]
fn a_plugin_that_fails_in_configure_makes_no_policy() {
    run(async {
        let ground = Ground::new().await;
        for gate in ["authorization", "targeting", "rollback"] {
            for (wrong, says) in WRONGS {
                let policy = format!("{gate}-{wrong}");
                let refused = ground.put(&policy, gate, &json!({"configure": wrong}), &[]).await;
                let refused = refused.problem(400, "plugin-fails");
                blames(&refused.text("detail"), "the plugin cannot be used: ", says);
                assert_eq!(refused.pointers(), ["/plugin"], "{refused}");
                ground.admin.get(&format!("/policies/{policy}")).await.problem(404, "not-found");
                ground.goes_on().await;
            }
        }
        let written = ground.admin.get("/audit").query("action", "policy:write").await.expect(200);
        assert!(written.items().is_empty(), "{written}");
    });
}

#[test]
fn a_revision_that_cannot_be_made_leaves_the_one_that_decides() {
    run(async {
        let ground = Ground::new().await;
        let gate = "targeting";
        ground.activate("mine", gate, json!({}), &[]).await;
        ground.put("mine", gate, &json!({"configure": "panic"}), &[]).await.problem(400, "plugin-fails");
        // What the plugin itself says of its settings is no failure.
        let refused = ground.put("mine", gate, &json!({"mischief": true}), &[]).await.problem(400, "invalid-settings");
        assert_eq!(refused.pointers(), ["/settings"], "{refused}");
        assert!(refused["errors"][0]["detail"].as_str().is_some_and(|said| said.contains("mischief")), "{refused}");
        let policy = ground.admin.get("/policies/mine").await.expect(200);
        assert_eq!((&policy["active"]["revision"], &policy["quarantined"]), (&json!(1), &json!([])), "{policy}");
        assert_eq!(ground.admin.get("/policies/mine/revisions").await.expect(200).items().len(), 1);
        let wanted = deployment(json!({"targeting_policy": "mine"}));
        let preview = ground.admin.post("/deployments/preview").json(wanted).await.expect(200);
        assert_eq!(preview["waves"][0]["name"], "wave-0", "{preview}");
    });
}
