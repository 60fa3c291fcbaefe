//! Facts that a policy declares secret: used to decide, and written down nowhere.

use std::path::Path;

use kernex_tests::harness::{Answer, Client, TestServer, eventually, run};
use serde_json::{Value, json};
use ulid::Ulid;

/// A text that stands nowhere else.
fn secret() -> String {
    format!("hush-{}", Ulid::new())
}

/// Writes a revision that keeps facts secret, and activates it; gives its number.
async fn keeping(server: &TestServer, policy: &str, gate: &str, secret_facts: Value) -> u64 {
    let body = json!({
        "plugin": server.plugin(policy).await, "gate": gate, "settings": server.settings_of(policy).await,
        "secret_facts": secret_facts,
    });
    let written = server.admin().await.put(&format!("/policies/{policy}")).json(body).await.expect(201);
    assert_eq!(written["secret_facts"], secret_facts);
    let revision = written["revision"].as_u64().expect("a number");
    assert_eq!(server.activate(policy, revision).await["active"]["secret_facts"], secret_facts);
    revision
}

/// Waits until the log's buffer has been written.
pub(super) async fn written(admin: &Client, denied: &Answer) -> Answer {
    let id = denied["decision"].as_str().expect("a decision").to_owned();
    eventually("the decision is written", async || {
        let found = admin.get(&format!("/decisions/{id}")).await;
        (found.status == 200).then_some(found)
    })
    .await
}

/// Whether the text stands in any file of a directory. What is compressed keeps a text that it has not seen before.
fn somewhere_in(directory: &Path, text: &str) -> bool {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries.map(|entry| entry.expect("an entry").path()).any(|path| {
        if path.is_dir() {
            return somewhere_in(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        String::from_utf8_lossy(&bytes).contains(text)
    })
}

async fn replayed(admin: &Client, revision: u64) -> Answer {
    let body = json!({"revision": revision, "from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"});
    let begun = admin.post("/policies/rbac/replay").json(body).await.expect(202);
    let path = begun.header("location").expect("a location").to_owned();
    eventually("the replay's end", async || {
        let operation = admin.get(&path).await.expect(200);
        (operation["state"] == "succeeded").then_some(operation)
    })
    .await
}

#[test]
fn what_is_secret_is_found_nowhere() {
    run(async {
        let mut server = TestServer::durable().await;
        let (admin, operator) = (server.admin().await, server.user("operator").await);
        let viewer = server.account(&["viewer"]).await;
        let revision = keeping(&server, "rbac", "authorization", json!(["resource.selector"])).await;
        // The one that looks on declares nothing, and denies operators a preview.
        let mut stricter = server.settings_of("rbac").await;
        stricter["roles"]["operator"]["grants"] = json!(["device:list"]);
        let candidate = server.revision("rbac", "rbac", "authorization", stricter).await;
        admin.post("/policies/rbac/shadow").json(json!({"revision": candidate})).await.expect(200);

        let secret = secret();
        let wanted = json!({"name": "a", "selector": format!("fact.n={secret}"), "config": {}});
        let denied = viewer.client.post("/deployments/preview").json(wanted.clone()).await.expect(403);
        let decision = written(&admin, &denied.never_says(&secret)).await.never_says(&secret);
        assert_eq!(decision["redacted"], true, "{decision}");
        let facts = json!([
            {"name": "target", "value": {"text": "config"}}, {"name": "selector", "value": {"text": "(redacted)"}},
        ]);
        assert_eq!(decision["input"]["resource"]["facts"], facts, "{decision}");
        operator.post("/deployments/preview").json(wanted).await.expect(200);
        let differences = eventually("a difference", async || {
            let listed = admin.get("/policies/rbac/differences").await.expect(200);
            listed.items().iter().any(|one| one["question"] == "deployment:preview").then_some(listed)
        })
        .await
        .never_says(&secret);
        let preview = differences.items().iter().find(|one| one["question"] == "deployment:preview");
        assert_eq!(preview.map(|one| &one["input"]["resource"]["facts"]), Some(&facts), "{differences}");

        let explained = admin.post(&format!("/decisions/{}/explain", decision.id())).await.expect(200);
        let why = explained["unrepeatable"].as_str().unwrap_or_default();
        assert!(explained["again"].is_null() && why.contains("secret"), "{explained}");
        let operation = replayed(&admin, candidate).await.never_says(&secret);
        assert_eq!(operation["replay"]["comparison"]["unrepeatable"], 1, "{operation}");
        assert!(operation["replay"]["comparison"]["asked"].as_u64() > Some(0), "the others: {operation}");
        admin.get("/decisions").query("limit", 1_000).await.expect(200).never_says(&secret);
        assert!(revision < candidate);

        server.stop().await;
        let directory = server.directory();
        assert!(somewhere_in(directory, &viewer.username), "what is stored is found");
        assert!(!somewhere_in(directory, &secret), "{secret} stands in {}", directory.display());
    });
}

#[test]
fn what_is_asked_before_a_start_is_written_down_without_its_secrets() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        keeping(&server, "rbac", "authorization", json!(["resource.selector"])).await;
        let secret = secret();
        let body = json!({"name": "a", "config": {"level": 1}, "selector": format!("fact.n={secret}")});
        admin.post("/deployments").json(body).await.expect(201);
        let asked = |decisions: &Answer, question: &str| {
            decisions.items().iter().find(|decision| decision["question"] == question).cloned()
        };
        let decisions = eventually("the start is decided", async || {
            let listed = admin.get("/decisions").query("gate", "authorization").query("limit", 1_000).await.expect(200);
            asked(&listed, "deployment:start").is_some().then_some(listed)
        })
        .await
        .never_says(&secret);
        for question in ["deployment:create", "deployment:start"] {
            let decision = asked(&decisions, question).unwrap_or_else(|| panic!("no {question}\n{decisions}"));
            assert_eq!(decision["redacted"], true, "{decision}");
        }
    });
}

#[test]
fn a_verdict_on_a_deployment_keeps_its_settings_secret() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        keeping(&server, "guardian", "rollback", json!(["settings.token"])).await;
        let (_device, secret) = (server.device().await, secret());
        let body = json!({
            "name": "a", "config": {"level": 1}, "selector": "*",
            "plan": {"settings": {"token": secret, "site": "berlin"}},
        });
        let deployment = admin.post("/deployments").json(body).await.expect(201).id();
        let judged = eventually("a verdict", async || {
            let call = admin.get("/decisions").query("gate", "rollback").query("subject", &deployment);
            call.await.expect(200).items().first().cloned()
        })
        .await;
        let facts = json!([
            {"name": "settings.site", "value": {"text": "berlin"}},
            {"name": "settings.token", "value": {"text": "(redacted)"}},
        ]);
        assert_eq!((&judged["input"]["window"]["facts"], &judged["redacted"]), (&facts, &json!(true)), "{judged}");
        // The policy that plans has not declared it.
        let planned = admin.get("/decisions").query("gate", "targeting").query("subject", &deployment);
        let planned = planned.await.expect(200).items()[0].clone();
        assert_eq!(planned["input"]["facts"][1]["value"]["text"], secret, "{planned}");
        assert_eq!(planned["redacted"], false, "{planned}");
    });
}

#[test]
fn too_many_secrets_and_bad_names_are_refused() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let (plugin, settings) = (server.plugin("guardian").await, server.settings_of("guardian").await);
        let put = |secret_facts: Value| {
            let body =
                json!({"plugin": plugin, "gate": "rollback", "settings": settings, "secret_facts": secret_facts});
            admin.put("/policies/guardian").json(body)
        };
        let many = |count: usize| json!((0..count).map(|number| format!("fact.{number}")).collect::<Vec<_>>());
        put(many(64)).await.expect(201);
        for wrong in [many(65), json!(["fact serial"]), json!([""]), json!("fact.serial")] {
            put(wrong).await.problem(400, "invalid-body");
        }
    });
}
