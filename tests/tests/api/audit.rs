//! The audit log: every change has its record, with who, what, where from, and the decision that allowed it.

use std::collections::BTreeSet;

use kernex_tests::harness::{Answer, Client, TestServer, eventually, run};
use reqwest::Method;
use serde_json::{Value, json};

use super::operations::{OPERATIONS, Operation, ROLES};
use super::world::{World, generous};

/// Operations that change nothing although they are no GET.
const UNAUDITED: [&str; 3] = ["issue_device_token", "preview_deployment", "explain_decision"];

#[test]
fn every_operation_that_changes_something_says_what_it_leaves() {
    run(async {
        let server = TestServer::start().await;
        let document = server.anonymous().root(Method::GET, "/openapi.json").await.expect(200);
        let mut changing = BTreeSet::new();
        for methods in document["paths"].as_object().expect("paths").values() {
            let others = methods.as_object().expect("methods").iter().filter(|(method, _)| *method != "get");
            changing.extend(others.filter_map(|(_, operation)| operation["operationId"].as_str().map(str::to_owned)));
        }
        let audited = OPERATIONS.iter().filter(|operation| !operation.audited.is_empty()).map(|operation| operation.id);
        let listed: BTreeSet<String> = audited.chain(UNAUDITED).map(str::to_owned).collect();
        assert_eq!(listed, changing);
    });
}

#[test]
fn every_change_leaves_its_record() {
    run(async {
        let server = TestServer::start_with(generous).await;
        let world = World::new(&server).await;
        let admin = server.admin().await;
        for operation in OPERATIONS.iter().filter(|operation| !operation.audited.is_empty()) {
            let caller = world.client(caller(operation), operation).await;
            let answer = operation.call(&world, &caller).await;
            assert!(answer.status.is_success(), "{}\n{answer}", operation.id);
            let record = record_of(&admin, operation, &answer).await;
            assert!(record["at"].is_string() && record["resource_kind"].is_string(), "{record}");
            assert_eq!(record["address"], "127.0.0.1", "{}: {record}", operation.id);
            check_decision(&admin, operation, &record).await;
        }
    });
}

/// The column that does it: who needs no credentials does without, devices do what is theirs, an admin all else.
fn caller(operation: &Operation) -> usize {
    let role = match operation.cells.split_whitespace().next() {
        Some("+") => "anonymous",
        _ if operation.call.contains("/api/v1/device/") => "device",
        _ => "admin",
    };
    ROLES.iter().position(|name| *name == role).expect("a column")
}

/// The one audit record of the request.
async fn record_of(admin: &Client, operation: &Operation, answer: &Answer) -> Value {
    let request = answer.header("x-request-id").expect("a request id");
    let records = admin.get("/audit").query("action", operation.audited).query("limit", 50).await.expect(200);
    let mut found = records.items().iter().filter(|record| record["request_id"] == request);
    let record = found.next().unwrap_or_else(|| panic!("{} left no record of {request}\n{records}", operation.id));
    assert!(found.next().is_none(), "{} left two records", operation.id);
    record.clone()
}

async fn check_decision(admin: &Client, operation: &Operation, record: &Value) {
    let id = record["decision_id"].as_str().unwrap_or_else(|| panic!("{}: no decision: {record}", operation.id));
    let decision = eventually("the decision is there", async || {
        let answer = admin.get(&format!("/decisions/{id}")).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!((&decision["gate"], &decision["outcome"]), (&json!("authorization"), &json!("allow")), "{decision}");
    assert_eq!(decision["question"], operation.audited, "{decision}");
    assert_eq!(decision["subject"], record["principal"], "{decision}");
    assert_eq!(decision["request_id"], record["request_id"], "{decision}");
}

#[test]
fn a_record_names_every_decision_that_allowed_it() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let long_ago = json!({"name": "over", "from": "2000-01-01T00:00:00Z", "to": "2000-01-02T00:00:00Z"});
        let freeze = json!({
            "plugin": server.plugin("freeze").await, "gate": "authorization", "actions": ["deployment:create"],
            "settings": {"covers": ["deployment:create"], "freezes": [long_ago]},
        });
        let written = admin.put("/policies/freeze").json(freeze).await.expect(201);
        server.activate("freeze", written["revision"].as_u64().expect("a number")).await;
        let body = json!({"name": "a", "selector": "fact.n=nothing", "config": {"level": 1}});
        admin.post("/deployments").json(body).await.expect(201);
        let records = admin.get("/audit").query("action", "deployment:create").await.expect(200);
        let ids = records.items()[0]["decision_ids"].as_array().expect("a list").clone();
        assert_eq!(ids.first(), Some(&records.items()[0]["decision_id"]), "{records}");
        let mut named = Vec::new();
        for id in ids {
            let id = id.as_str().expect("an identifier");
            let decision = admin.get(&format!("/decisions/{id}")).await.expect(200);
            assert_eq!(decision["outcome"], "allow", "{decision}");
            named.push((decision.text("policy"), decision.text("question")));
        }
        let wanted = [
            ("rbac", "deployment:create"),
            ("freeze", "deployment:create"),
            ("rbac", "scope deployment:create"),
            ("freeze", "scope deployment:create"),
        ];
        assert_eq!(named, wanted.map(|(policy, question)| (policy.to_owned(), question.to_owned())));
    });
}

#[test]
fn the_log_is_searched_by_who_what_and_which() {
    run(async {
        let server = TestServer::start().await;
        let account = server.admin_account().await.clone();
        let admin = &account.client;
        let (one, two) = (server.device().await, server.device().await);
        admin.post(&format!("/devices/{}/block", one.id)).await.expect(200);
        let list = async |filters: &[(&str, &str)]| {
            let call = filters.iter().fold(admin.get("/audit"), |call, (name, value)| call.query(name, value));
            call.await.expect(200).all("action")
        };
        assert_eq!(list(&[("resource", &one.id)]).await, ["device:block", "device:admit", "device:enrol"]);
        assert_eq!(list(&[("resource", &two.id)]).await, ["device:admit", "device:enrol"]);
        assert_eq!(list(&[("principal", &account.id)]).await, ["device:block", "device:admit", "device:admit"]);
        assert_eq!(list(&[("action", "device:block")]).await, ["device:block"]);
        assert_eq!(list(&[("principal", "anonymous"), ("action", "device:enrol")]).await.len(), 2);
        assert_eq!(list(&[("resource_kind", "user")]).await, ["user:register"]);
        assert!(list(&[("principal", &one.id)]).await.is_empty());
        admin.get("/audit").query("action", "device:explode").await.expect(400).check_problem();
    });
}

#[test]
fn pages_of_the_log_lose_nothing() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        for _ in 0..10 {
            server.device().await;
        }
        let whole = admin.get("/audit").query("limit", 1_000).await.expect(200).all("id");
        let mut seen = Vec::new();
        let mut page = admin.get("/audit").query("limit", 7).await.expect(200);
        loop {
            seen.extend(page.all("id"));
            let Some(next) = page["next"].as_str().map(str::to_owned) else { break };
            page = admin.get("/audit").query("limit", 7).query("cursor", next).await.expect(200);
        }
        assert_eq!(seen, whole);
        assert!(seen.len() > 20 && seen.is_sorted_by(|a, b| a > b), "newest first");
    });
}

#[test]
fn no_secret_is_written_down() {
    run(async {
        let server = TestServer::start().await;
        let account = server.admin_account().await.clone();
        let key = server.api_key(&["viewer"]).await;
        let setup = server.setup_token().expect("it was printed");
        let refresh = account.tokens.text("refresh_token");
        let mut log = account.client.get("/audit").query("limit", 1_000).await.expect(200);
        for path in ["/decisions", "/users", "/api-keys"] {
            for secret in [kernex_tests::harness::PASSWORD, &setup, &refresh, key.token(), account.client.token()] {
                log = log.never_says(secret);
            }
            log = account.client.get(path).query("limit", 1_000).await.expect(200);
        }
        log.never_says(key.token());
    });
}
