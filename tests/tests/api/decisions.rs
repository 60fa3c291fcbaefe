//! What a recorded decision tells beside what was asked and answered: the plugin's own lines, and the trace.

use chrono::Utc;
use kernex::app::decision_log::DECISION_BUFFER;
use kernex_model::id::DecisionId;
use kernex_model::record::Decision;
use kernex_tests::guests::MISBEHAVING;
use kernex_tests::harness::{Answer, TestServer, eventually, run};
use serde_json::{Value, json};

use super::comparisons::{everything, replayed};
use super::redaction::written;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn deployment() -> Value {
    json!({"name": "a", "selector": "*", "config": {"level": 1}})
}

/// A server that has the plugin which does as its settings say, and the plugin's digest.
async fn prepared() -> (TestServer, String) {
    let server = TestServer::start_with(|settings| settings.plugins.allow_unsigned = true).await;
    let digest = server.admin().await.post("/plugins").bytes(MISBEHAVING).await.expect(201).text("digest");
    (server, digest)
}

/// Lets a revision decide.
async fn decide(server: &TestServer, revision: Value) {
    let written = server.admin().await.put("/policies/mine").json(revision).await.expect(201);
    server.activate("mine", written["revision"].as_u64().expect("a number")).await;
}

/// The decision of a denied call by a policy that does this, and keeps these facts secret.
async fn denied_by(server: &TestServer, plugin: &str, decide_as: &str, secret_facts: Value) -> Answer {
    let body = json!({
        "plugin": plugin, "gate": "authorization", "actions": ["deployment:create"],
        "settings": {"decide": decide_as}, "secret_facts": secret_facts,
    });
    decide(server, body).await;
    let admin = server.admin().await;
    let denied = admin.post("/deployments").json(deployment()).await.expect(403);
    let decision = written(&admin, &denied).await;
    assert_eq!((&decision["policy"], &decision["code"]), (&json!("mine"), &json!("as-asked")), "{decision}");
    decision
}

#[test]
fn a_decision_has_what_its_plugin_wrote() {
    run(async {
        let (server, plugin) = prepared().await;
        let decision = denied_by(&server, &plugin, "telling", json!([])).await;
        let wrote = json!([{"level": "warn", "message": "as asked"}]);
        assert_eq!((&decision["log"], &decision["log_truncated"]), (&wrote, &json!(false)), "{decision}");
        let explain = format!("/decisions/{}/explain", decision.id());
        let explained = server.admin().await.post(&explain).await.expect(200);
        assert_eq!((&explained["decision"]["log"], &explained["same"]), (&wrote, &json!(true)), "{explained}");

        let silent = denied_by(&server, &plugin, "none", json!([])).await;
        assert_eq!((&silent["log"], &silent["log_truncated"]), (&json!([]), &json!(false)), "{silent}");

        let chatty = denied_by(&server, &plugin, "chatty", json!([])).await;
        let lines = chatty["log"].as_array().expect("lines");
        let bytes: usize = lines.iter().filter_map(|line| line["message"].as_str()).map(str::len).sum();
        assert!((8_192..=16_384).contains(&bytes) && lines.len() < 1_000, "{bytes} bytes in {} lines", lines.len());
        assert_eq!(chatty["log_truncated"], true);
    });
}

#[test]
fn lines_are_not_kept_where_facts_are_secret() {
    run(async {
        let (server, plugin) = prepared().await;
        let decision = denied_by(&server, &plugin, "telling", json!(["fact.serial"])).await;
        assert_eq!((&decision["log"], &decision["log_truncated"]), (&json!([]), &json!(true)), "{decision}");
        assert_eq!(decision["redacted"], false, "the question has no such fact: {decision}");
    });
}

/// The decision of a plan for the one device there is.
async fn planned(server: &TestServer) -> Value {
    let (admin, _device) = (server.admin().await, server.device().await);
    let mut wanted = deployment();
    wanted["plan"] = json!({"targeting_policy": "mine"});
    let id = admin.post("/deployments").json(wanted).await.expect(201).id();
    // The oldest is the plan itself: devices that join are decided about later.
    eventually("the plan", async || {
        let listed = admin.get("/decisions").query("gate", "targeting").query("subject", &id).await.expect(200);
        listed.items().last().cloned()
    })
    .await
}

#[test]
fn a_plan_has_the_lines_of_all_its_calls() {
    run(async {
        let (server, plugin) = prepared().await;
        decide(&server, json!({"plugin": plugin, "gate": "targeting", "settings": {"decide": "telling"}})).await;
        let planned = planned(&server).await;
        let line = json!({"level": "warn", "message": "as asked"});
        assert_eq!(planned["log"], json!([line, line]), "of the survey and of one batch: {planned}");
        assert_eq!(planned["trace_id"], Value::Null, "no call led to it: {planned}");
    });
}

/// The facts that a plugin looked up for a decision, by their names.
fn looked_up(decision: &Value) -> Vec<&str> {
    let facts = decision["facts_read"].as_array().expect("facts");
    facts.iter().map(|fact| fact["name"].as_str().expect("a name")).collect()
}

#[test]
fn what_a_plugin_looks_up_at_the_host_is_kept_and_found_again() {
    run(async {
        let (server, plugin) = prepared().await;
        let admin = server.admin().await;
        denied_by(&server, &plugin, "none", json!([])).await;
        let before = Utc::now().timestamp_millis();
        let decision = denied_by(&server, &plugin, "curious", json!([])).await;
        assert_eq!(looked_up(decision.json()), ["host.now_ms", "host.version"], "{decision}");
        let facts = &decision["facts_read"];
        let now = facts[0]["value"]["integer"].as_i64().expect("a number");
        assert!((before..=Utc::now().timestamp_millis()).contains(&now), "{decision}");
        assert_eq!(facts[1]["value"], json!({"text": env!("CARGO_PKG_VERSION")}), "{decision}");
        let said = decision.text("message");
        assert!(said.contains(&now.to_string()) && said.contains(env!("CARGO_PKG_VERSION")), "{decision}");

        // Later, and with the same answer for the same fuel.
        let explain = format!("/decisions/{}/explain", decision.id());
        let explained = admin.post(&explain).await.expect(200);
        assert_eq!((&explained["same"], &explained["unrepeatable"]), (&json!(true), &Value::Null), "{explained}");
        let again = &explained["again"];
        assert_eq!((&again["message"], &again["fuel"]), (&decision["message"], &decision["fuel"]), "{explained}");

        // Of the decision that was made without these facts it is not known what the other one would have found.
        let curious = replayed(&admin, "mine", everything(2)).await;
        let counted = |name: &str| curious["replay"]["comparison"][name].as_u64().expect("a number");
        assert_eq!(["asked", "unrepeatable", "differing", "other_fuel"].map(counted), [1, 1, 0, 0], "{curious}");
        let plain = replayed(&admin, "mine", everything(1)).await;
        let counted = |name: &str| plain["replay"]["comparison"][name].as_u64().expect("a number");
        assert_eq!(["asked", "unrepeatable", "differing", "other_fuel"].map(counted), [2, 0, 0, 1], "{plain}");
    });
}

#[test]
fn a_plan_has_each_fact_once_and_is_made_again_with_it() {
    run(async {
        let (server, plugin) = prepared().await;
        decide(&server, json!({"plugin": plugin, "gate": "targeting", "settings": {"decide": "curious"}})).await;
        let planned = planned(&server).await;
        // Two calls looked it up. When that was they are not told: a device's class must not depend on it.
        assert_eq!(looked_up(&planned), ["host.version"], "{planned}");
        let explain = format!("/decisions/{}/explain", planned["id"].as_str().expect("an identifier"));
        let explained = server.admin().await.post(&explain).await.expect(200);
        assert_eq!((&explained["same"], &explained["again"]["fuel"]), (&json!(true), &planned["fuel"]), "{explained}");
    });
}

#[test]
fn a_decision_has_the_trace_that_its_caller_records() {
    run(async {
        let server = TestServer::start().await;
        let (admin, viewer) = (server.admin().await, server.account(&["viewer"]).await);
        let parent = |flags: &str| format!("00-{TRACE}-b7ad6b7169203331-{flags}");
        let deny = |parent: Option<String>| {
            let call = viewer.client.post("/deployments/preview").json(deployment());
            match parent {
                Some(parent) => call.header("traceparent", &parent),
                None => call,
            }
        };
        // This server sends its spans nowhere; the caller's trace is known all the same.
        for (sent, wanted) in [
            (Some(parent("01")), json!(TRACE)),
            (Some(parent("00")), Value::Null),
            (Some("hunter2".to_owned()), Value::Null),
            (None, Value::Null),
        ] {
            let denied = deny(sent.clone()).await.expect(403);
            assert_eq!(denied.header("traceparent"), None, "nothing is traced here");
            let decision = written(&admin, &denied).await;
            assert_eq!(decision["trace_id"], wanted, "{sent:?} {decision}");
            let listed = admin.get("/decisions").query("subject", &viewer.id).await.expect(200);
            assert_eq!(listed.items()[0]["trace_id"], wanted, "{listed}");
        }
        let made = admin.post("/deployments").header("traceparent", &parent("01")).json(deployment());
        made.await.expect(201);
        let audit = admin.get("/audit").query("action", "deployment:create").await.expect(200);
        let id = audit.items()[0]["decision_id"].as_str().expect("a decision").to_owned();
        assert_eq!(admin.get(&format!("/decisions/{id}")).await.expect(200)["trace_id"], TRACE);
    });
}

/// A decision of this server, as it is written down.
async fn denial(server: &TestServer) -> Decision {
    let (admin, viewer) = (server.admin().await, server.user("viewer").await);
    let denied = viewer.post("/deployments/preview").json(deployment()).await.expect(403);
    written(&admin, &denied).await.parse()
}

#[test]
fn what_finds_no_room_in_the_buffer_is_counted() {
    run(async {
        let server = TestServer::start().await;
        let decision = denial(&server).await;
        let app = server.app();
        // Far more than can be written meanwhile.
        for _ in 0..DECISION_BUFFER * 3 {
            app.decisions.offer(Decision { id: DecisionId(app.context.ulid()), ..decision.clone() });
        }
        assert!(app.decisions.waiting() <= DECISION_BUFFER && app.decisions.dropped() > 0);
        let metrics = server.admin().await.root(reqwest::Method::GET, "/metrics").await.expect(200);
        let text = String::from_utf8(metrics.body).expect("text");
        let line = text.lines().find(|line| line.starts_with("kernex_decisions_dropped_total")).expect("the metric");
        let counted: f64 = line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number");
        assert!(counted >= DECISION_BUFFER as f64, "{line}");
        // Nobody has to write them all.
        while let Some(batch) = app.decisions.take(DECISION_BUFFER) {
            batch.lost();
        }
    });
}

#[test]
fn what_the_database_does_not_take_waits_for_it() {
    run(async {
        let server = TestServer::start().await;
        let decision = denial(&server).await;
        let app = server.app();
        let store = app.store.clone();
        tokio::spawn(async move { store.close().await }).await.expect("no panic").expect("it closes");
        for _ in 0..3 {
            app.decisions.offer(Decision { id: DecisionId(app.context.ulid()), ..decision.clone() });
        }
        // Longer than the pause between two writes.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        assert_eq!((app.decisions.waiting(), app.decisions.dropped()), (3, 0));
    });
}
