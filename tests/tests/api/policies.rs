//! Policies on a running server: new revisions, activation, the way back, several that all have to allow.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use kernex::app::{Caller, Scope};
use kernex_model::action::Action;
use kernex_tests::guests::MISBEHAVING;
use kernex_tests::harness::{TestServer, eventually, run};
use serde_json::{Value, json};

const FREEZE: &str = "freeze";

/// Nobody creates a deployment, ever.
fn frozen() -> Value {
    json!({
        "covers": ["deployment:create"],
        "freezes": [{"name": "for ever", "from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}],
    })
}

fn deployment() -> Value {
    json!({"name": "a", "selector": "fact.n=nothing", "config": {"level": 1}})
}

#[test]
fn a_revision_decides_from_its_activation_until_it_is_taken_back() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let viewer = server.user("viewer").await;
        let before = admin.get("/policies/rbac").await.expect(200);
        let mut settings = before["active"]["settings"].clone();
        settings["roles"]["viewer"]["grants"] = json!(["user:read"]);
        let revision = server.revision("rbac", "rbac", "authorization", settings).await;
        assert_eq!(revision, 2);
        viewer.get("/devices").await.expect(200);

        let after = server.activate("rbac", revision).await;
        assert_eq!((&after["active"]["revision"], &after["history"]), (&json!(2), &json!([1])));
        viewer.get("/devices").await.expect(403);
        let revisions = admin.get("/policies/rbac/revisions").await.expect(200);
        let numbers: Vec<_> = revisions.items().iter().map(|one| one["revision"].as_u64()).collect();
        assert_eq!(numbers, [Some(2), Some(1)]);

        let back = admin.post("/policies/rbac/rollback").await.expect(200);
        assert_eq!((&back["active"]["revision"], &back["history"]), (&json!(1), &json!([])));
        viewer.get("/devices").await.expect(200);
        // Nobody would be asked about anything.
        admin.post("/policies/rbac/rollback").await.problem(409, "uncovered-actions");
        let steps = admin.get("/audit").query("action", "policy:activate").await.expect(200);
        assert_eq!(steps.items().len(), 2, "{steps}");
    });
}

#[test]
fn what_a_revision_was_made_with_is_still_there_after_a_restart() {
    run(async {
        let mut server = TestServer::durable_with(|settings| settings.plugins.allow_unsigned = true).await;
        let uploaded = server.admin().await.post("/plugins").bytes(MISBEHAVING).await.expect(201).text("digest");
        let body = json!({"plugin": uploaded, "gate": "targeting", "settings": {"decide": "none"}});
        server.admin().await.put("/policies/mine").json(body).await.expect(201);
        server.activate("mine", 1).await;
        server.restart().await;
        let found = server.admin().await.get("/policies/mine").await.expect(200);
        assert_eq!((&found["active"]["plugin_digest"], &found["gate"]), (&json!(uploaded), &json!("targeting")));
        let mut wanted = deployment();
        wanted["plan"] = json!({"targeting_policy": "mine"});
        let preview = server.admin().await.post("/deployments/preview").json(wanted).await.expect(200);
        // The uploaded plugin's own waves.
        assert_eq!(preview["waves"][0]["name"], "wave-0", "{preview}");
    });
}

#[test]
fn what_does_not_fit_is_pointed_at() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let (rbac, rings) = (server.plugin("rbac").await, server.plugin("rings").await);
        let nobody = "0".repeat(64);
        let put = |name: &str, plugin: &str, gate: &str, settings: Value| {
            admin.put(&format!("/policies/{name}")).json(json!({"plugin": plugin, "gate": gate, "settings": settings}))
        };
        for (call, code, pointer) in [
            (put("new", &nobody, "targeting", json!({})), "unknown-plugin", "/plugin"),
            (put("new", &rbac, "targeting", json!({})), "wrong-gate", "/gate"),
            (put("rbac", &rings, "targeting", json!({"waves": [{"name": "all"}]})), "wrong-gate", "/gate"),
            // By the schema.
            (put("new", &rings, "targeting", json!({"waves": "all"})), "invalid-settings", "/settings/waves"),
            // By the plugin.
            (
                put("new", &rings, "targeting", json!({"waves": [{"name": "a"}, {"name": "a"}]})),
                "invalid-settings",
                "/settings/waves/1/name",
            ),
        ] {
            let refused = call.await.problem(400, code);
            assert_eq!(refused.pointers(), [pointer], "{refused}");
        }
        let settings = json!({"waves": [{"name": "all"}]});
        let targeting = json!({"plugin": rings, "gate": "targeting", "settings": settings, "actions": ["*"]});
        admin.put("/policies/new").json(targeting).await.problem(400, "no-actions");
        admin.get("/policies/new").await.problem(404, "not-found");
        admin.post("/policies/new/activate").json(json!({"revision": 1})).await.problem(404, "not-found");
        admin.post("/policies/rbac/activate").json(json!({"revision": 7})).await.problem(400, "unknown-revision");
    });
}

#[test]
fn whoever_has_seen_another_state_changes_nothing() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let settings = server.settings_of("rbac").await;
        let revision = server.revision("rbac", "rbac", "authorization", settings).await;
        let seen = admin.get("/policies/rbac").await.expect(200).header("etag").expect("an ETag").to_owned();
        let activate = |etag: &str, revision: u64| {
            admin.post("/policies/rbac/activate").header("if-match", etag).json(json!({"revision": revision}))
        };
        activate(&seen, revision).await.expect(200);
        activate(&seen, 1).await.problem(412, "stale");
    });
}

#[test]
fn nobody_locks_themselves_out() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let mut settings = server.settings_of("rbac").await;
        settings["roles"]["admin"]["grants"] = json!(["device:*", "policy:list"]);
        let revision = server.revision("rbac", "rbac", "authorization", settings.clone()).await;
        let refused = admin.post("/policies/rbac/activate").json(json!({"revision": revision})).await;
        refused.problem(409, "would-lock-out");
        let narrow = json!({
            "plugin": server.plugin("rbac").await, "gate": "authorization", "actions": ["device:*"],
            "settings": server.settings_of("rbac").await,
        });
        let revision = admin.put("/policies/rbac").json(narrow).await.expect(201)["revision"].clone();
        let refused = admin.post("/policies/rbac/activate").json(json!({"revision": revision})).await;
        refused.problem(409, "uncovered-actions");
        admin.get("/users").await.expect(200);
    });
}

#[test]
fn every_policy_that_is_asked_has_to_allow() {
    run(async {
        let server = TestServer::start().await;
        let (admin, viewer) = (server.admin().await, server.user("viewer").await);
        admin.post("/deployments").json(deployment()).await.expect(201);
        let revision = server.revision(FREEZE, FREEZE, "authorization", frozen()).await;
        admin.post("/deployments").json(deployment()).await.expect(201);
        server.activate(FREEZE, revision).await;

        let denied = admin.post("/deployments").json(deployment()).await.expect(403);
        let id = denied["decision"].as_str().expect("a decision").to_owned();
        let decision = eventually("the decision", async || {
            let found = admin.get(&format!("/decisions/{id}")).await;
            (found.status == 200).then_some(found)
        })
        .await;
        assert_eq!((&decision["policy"], &decision["outcome"]), (&json!(FREEZE), &json!("deny")));
        // It takes nothing away from the other one's denials, and is not asked about the rest.
        viewer.post("/deployments").json(deployment()).await.expect(403);
        admin.get("/devices").await.expect(200);

        // Without a revision that decided before, it decides no more.
        let retired = admin.post("/policies/freeze/rollback").await.expect(200);
        assert_eq!(retired["active"], Value::Null);
        admin.post("/deployments").json(deployment()).await.expect(201);
        admin.post("/policies/freeze/rollback").await.problem(409, "not-active");
    });
}

#[test]
fn a_second_policy_narrows_what_the_first_one_shows() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        for site in ["berlin", "paris"] {
            let key = kernex_tests::harness::DeviceKey::ed25519();
            let body = json!({"public_key": key.public_pem(), "labels": {"site": site}});
            admin.post("/devices/preauthorize").json(body).await.expect(201);
        }
        let grants = json!(["device:*"]);
        server.grant_roles(json!({"site-berlin": {"grants": grants}})).await;
        let berliner = server.user("site-berlin").await;
        assert_eq!(berliner.get("/devices").await.expect(200).items().len(), 2);
        let settings = json!({"narrowed_roles": [], "unrestricted_roles": ["admin"]});
        let revision = server.revision("sites", "sites", "authorization", settings).await;
        server.activate("sites", revision).await;
        let seen = berliner.get("/devices").await.expect(200);
        assert_eq!(seen.items().len(), 1, "{seen}");
        assert_eq!(seen.items()[0]["labels"]["site"], "berlin");
        assert_eq!(admin.get("/devices").await.expect(200).items().len(), 2);
    });
}

#[test]
fn a_revision_that_keeps_failing_gives_way_to_the_one_before() {
    run(async {
        let server = TestServer::start_with(|settings| settings.plugins.allow_unsigned = true).await;
        let admin = server.admin().await;
        let digest = admin.post("/plugins").bytes(MISBEHAVING).await.expect(201).text("digest");
        let revision = async |decide: &str| {
            let body = json!({"plugin": digest, "gate": "targeting", "settings": {"decide": decide}});
            admin.put("/policies/mine").json(body).await.expect(201)["revision"].as_u64().expect("a number")
        };
        let (good, bad) = (revision("none").await, revision("panic").await);
        server.activate("mine", good).await;
        server.activate("mine", bad).await;
        let mut wanted = deployment();
        wanted["plan"] = json!({"targeting_policy": "mine"});
        let after = eventually("the good revision", async || {
            admin.post("/deployments/preview").json(wanted.clone()).await;
            let policy = admin.get("/policies/mine").await.expect(200);
            (policy["active"]["revision"] == good).then_some(policy)
        })
        .await;
        assert_eq!(after["quarantined"], json!([bad]), "{after}");
        // It is written first and decides a moment later.
        eventually("a plan", async || {
            (admin.post("/deployments/preview").json(wanted.clone()).await.status == 200).then_some(())
        })
        .await;
        let told = admin.get("/audit").query("action", "policy:quarantine").await.expect(200);
        assert_eq!(told.items()[0]["detail"], json!({"failed": bad, "active": good}), "{told}");
    });
}

#[test]
fn a_policy_tells_how_often_it_has_failed_in_a_row() {
    run(async {
        let server = TestServer::start_with(|settings| settings.plugins.allow_unsigned = true).await;
        let admin = server.admin().await;
        let digest = admin.post("/plugins").bytes(MISBEHAVING).await.expect(201).text("digest");
        let body = json!({
            "plugin": digest, "gate": "authorization", "actions": ["device:list"], "settings": {"decide": "panic"},
        });
        admin.put("/policies/mine").json(body).await.expect(201);
        server.activate("mine", 1).await;
        for faults in 0..3 {
            assert_eq!(admin.get("/policies/mine").await.expect(200)["faults_in_a_row"], faults);
            admin.get("/devices").await.problem(403, "policy-fault");
        }
        let listed = admin.get("/policies").await.expect(200);
        let told: Vec<_> = listed.items().iter().map(|one| (&one["name"], &one["faults_in_a_row"])).collect();
        assert!(told.contains(&(&json!("mine"), &json!(3))) && told.contains(&(&json!("rbac"), &json!(0))), "{listed}");
    });
}

#[test]
fn a_failing_revision_stays_where_without_it_an_action_would_not_be_covered() {
    run(async {
        let server = TestServer::start_with(|settings| settings.plugins.allow_unsigned = true).await;
        let admin = server.admin().await;
        let digest = admin.post("/plugins").bytes(MISBEHAVING).await.expect(201).text("digest");
        let write = async |name: &str, body: Value| {
            let number = admin.put(&format!("/policies/{name}")).json(body).await.expect(201)["revision"].as_u64();
            server.activate(name, number.expect("a number")).await;
        };
        let mine = |decide: &str, action: Action| {
            let settings = json!({"decide": decide});
            json!({"plugin": digest, "gate": "authorization", "settings": settings, "actions": [action]})
        };
        write("mine", mine("trusting", Action::BundleRetire)).await;
        write("mine", mine("panic", Action::DeviceList)).await;
        let others: Vec<_> = Action::ALL.iter().filter(|action| **action != Action::DeviceList).collect();
        let narrow = json!({
            "plugin": server.plugin("rbac").await, "gate": "authorization", "actions": others,
            "settings": server.settings_of("rbac").await,
        });
        write("rbac", narrow).await;
        for _ in 0..8 {
            admin.get("/devices").await.problem(403, "policy-fault");
        }

        // What fails after it is taken out after it was looked at.
        let later = |decide: &str| json!({"plugin": digest, "gate": "targeting", "settings": {"decide": decide}});
        write("later", later("none")).await;
        write("later", later("panic")).await;
        let mut wanted = deployment();
        wanted["plan"] = json!({"targeting_policy": "later"});
        eventually("a quarantine", async || {
            admin.post("/deployments/preview").json(wanted.clone()).await;
            let policy = admin.get("/policies/later").await.expect(200);
            (policy["quarantined"] == json!([2])).then_some(())
        })
        .await;
        let stays = admin.get("/policies/mine").await.expect(200);
        assert_eq!((&stays["active"]["revision"], &stays["quarantined"]), (&json!(2), &json!([])), "{stays}");
        admin.get("/devices").await.problem(403, "policy-fault");
    });
}

#[test]
fn a_list_is_narrowed_by_the_revision_that_allowed_it() {
    run(async {
        let server = TestServer::start().await;
        server.grant_roles(json!({"watcher": {"grants": ["device:list"]}})).await;
        let roles = ["watcher".parse().expect("a role's name")];
        let caller = Caller { roles: roles.into(), ..Caller::anonymous(None, None) };
        let caller = Caller { principal: "usr_01M6DMBE00ZQQ463A0QNBXXTP1".parse().expect("a user"), ..caller };
        let gatekeeper = &server.app().gatekeeper;
        let ask = || gatekeeper.authorize(&caller, Action::DeviceList, "device", None, Vec::new());
        let before = ask().expect("the role grants it");
        let narrowed = json!({"grants": ["device:list"], "devices": "site=a"});
        server.grant_roles(json!({"watcher": narrowed})).await;
        // Between the two questions of one call another revision was activated.
        assert_eq!(gatekeeper.scope(&before, "device").expect("a scope"), Scope::All);
        let after = ask().expect("the role grants it");
        assert!(matches!(gatekeeper.scope(&after, "device").expect("a scope"), Scope::Matching(_)));
    });
}

#[test]
fn activation_under_load_is_atomic() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        for site in ["a", "b"] {
            let key = kernex_tests::harness::DeviceKey::ed25519();
            let body = json!({"public_key": key.public_pem(), "labels": {"site": site}});
            admin.post("/devices/preauthorize").json(body).await.expect(201);
        }
        // One revision shows the role everything, the other one denies it the list: whoever is allowed by the one and
        // narrowed by the other sees an empty one.
        let role = async |role: Value| {
            let mut settings = server.settings_of("rbac").await;
            settings["roles"]["watcher"] = role;
            server.revision("rbac", "rbac", "authorization", settings).await
        };
        let all = role(json!({"grants": ["device:list"]})).await;
        let nothing = role(json!({"grants": ["device:read"]})).await;
        server.activate("rbac", all).await;
        let watcher = server.user("watcher").await;
        let (stop, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
        let watch = async || {
            let (mut listed, mut denied) = (0_usize, 0_usize);
            while !stop.load(Ordering::Relaxed) {
                let answer = watcher.get("/devices").await;
                if answer.status == 403 {
                    answer.problem(403, "role-missing");
                    denied += 1;
                } else {
                    let answer = answer.expect(200);
                    assert_eq!(answer.items().len(), 2, "a mixture of two revisions\n{answer}");
                    listed += 1;
                }
                calls.fetch_add(1, Ordering::Relaxed);
            }
            (listed, denied)
        };
        let change = async {
            for round in 0..20_usize {
                let reached = calls.load(Ordering::Relaxed) + 8;
                server.activate("rbac", if round % 2 == 0 { nothing } else { all }).await;
                eventually("calls", async || (calls.load(Ordering::Relaxed) >= reached).then_some(())).await;
            }
            stop.store(true, Ordering::Relaxed);
        };
        let (one, two, three, four, ()) = tokio::join!(watch(), watch(), watch(), watch(), change);
        let seen = [one, two, three, four];
        let listed: usize = seen.iter().map(|(listed, _)| listed).sum();
        let denied: usize = seen.iter().map(|(_, denied)| denied).sum();
        assert!(listed > 0 && denied > 0, "{listed} saw the devices, {denied} were denied");
    });
}
