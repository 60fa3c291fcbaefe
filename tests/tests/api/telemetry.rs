//! Owns what leaves the server for those on call: metrics for Prometheus, and traces, metrics and logs for a
//! collector. Read by the real programs: Prometheus' own checker, and rotel, a collector.

mod collector;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use kernex_tests::harness::{
    Call, Client, ProcessOptions, ServerProcess, TestServer, eventually, eventually_within, run, tool,
};
use serde_json::{Value, json};

use super::redaction::written;
use collector::{Collector, PATIENCE, free_port, silent};

/// The trace of a caller, and its span in it.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
/// Heartbeats that come at once.
const ABREAST: usize = 200;
/// How long the server may take to stop where the collector does not answer: it waits for each signal some seconds.
const STOPPED: Duration = Duration::from_secs(30);

/// Fails the test unless Prometheus can read it and finds nothing to complain about.
fn prometheus_accepts(text: &str) {
    let mut check = Command::new(tool("promtool"));
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut check = check.spawn().expect("promtool runs");
    check.stdin.take().expect("piped").write_all(text.as_bytes()).expect("promtool reads");
    let output = check.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{text}");
}

/// What `/metrics` answers.
pub(super) async fn measured(client: &Client) -> String {
    let answer = client.root(reqwest::Method::GET, "/metrics").start().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.text().await.expect("a text")
}

/// The value of the only sample whose line begins with `name` and holds all of `labels`.
pub(super) fn sample(text: &str, name: &str, labels: &[&str]) -> f64 {
    let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    let found: Vec<_> = lines.filter(|line| labels.iter().all(|label| line.contains(label))).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?} in\n{text}");
    found[0].rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a sample has a value")
}

#[test]
fn prometheus_reads_what_the_server_counts() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let device = server.device().await;
        for _ in 0..3 {
            device.heartbeat(json!({"health": "healthy"})).await.expect(200);
        }
        admin.get("/devices/dev_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D").await.problem(404, "not-found");
        server.user("viewer").await.post("/deployments").json(json!({})).await;
        let text = measured(&admin).await;
        prometheus_accepts(&text);

        let requests = "http_server_request_duration_seconds_count";
        assert_eq!(sample(&text, requests, &[r#"operation="heartbeat""#, r#"status_code="200""#]), 3.0);
        assert_eq!(sample(&text, requests, &[r#"operation="get_device""#, r#"status_code="404""#]), 1.0);
        assert_eq!(sample(&text, "http_server_active_requests", &[]), 1.0, "this one");
        assert_eq!(sample(&text, "kernex_problems_total", &[r#"code="not-found""#]), 1.0);
        assert_eq!(sample(&text, "kernex_devices", &[r#"status="active""#]), 1.0);
        assert_eq!(sample(&text, "kernex_devices", &[r#"status="pending""#]), 0.0);
        assert!(
            sample(&text, "kernex_decision_duration_seconds_count", &[r#"policy="rbac""#, r#"outcome="allow""#]) > 3.0
        );
        assert!(sample(&text, "kernex_decision_fuel_sum", &[r#"policy="rbac""#]) > 1_000.0);
        assert!(sample(&text, "kernex_store_duration_seconds_count", &[r#"kind="write""#, r#"outcome="done""#]) > 3.0);
        assert_eq!(sample(&text, "kernex_queue_length", &[r#"queue="reports""#]), 0.0);
        assert_eq!(sample(&text, "kernex_decisions_dropped_total", &[]), 0.0);
        assert_eq!(sample(&text, "kernex_telemetry_export_failures_total", &[r#"signal="traces""#]), 0.0);
        assert_eq!(sample(&text, "kernex_telemetry_dropped_total", &[r#"signal="logs""#]), 0.0);
    });
}

/// Questions that wait for revisions that look on.
async fn questions(admin: &Client) -> f64 {
    sample(&measured(admin).await, "kernex_queue_length", &[r#"queue="shadow""#])
}

#[test]
fn questions_that_wait_for_a_revision_that_looks_on_are_counted() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let settings = server.settings_of("rbac").await;
        let revision = server.revision("rbac", "rbac", "authorization", settings).await;
        assert_eq!(questions(&admin).await, 0.0);
        admin.post("/policies/rbac/shadow").json(json!({"revision": revision})).await.expect(200);
        // They are asked in groups with a pause in between, and whether the metrics may be seen is a question, too.
        eventually("a question waits", async || (questions(&admin).await > 0.0).then_some(())).await;
    });
}

/// A server that sends everything to a collector at this port, and traces only those who ask for it.
fn telling(port: u16, protocol: &str) -> ProcessOptions {
    ProcessOptions::new()
        .set("admission", "automatic")
        .set("telemetry.otlp_endpoint", format!("http://127.0.0.1:{port}"))
        .set("telemetry.otlp_protocol", protocol)
        .set("telemetry.sample_ratio", 0)
        .set("telemetry.interval_s", 1)
        .set("log.filter", "warn,kernex=debug")
}

fn traced(call: Call) -> Call {
    call.header("traceparent", &format!("00-{TRACE}-{PARENT}-01"))
}

async fn collected(protocol: &str) {
    let collector = Collector::start().await;
    let mut server = ServerProcess::start(telling(collector.port(protocol), protocol)).await;
    let (admin, device) = (server.admin().await, server.device().await);
    let beat = json!({"health": "healthy", "facts": {"os": "linux"}});
    let answer = traced(device.heartbeat(beat)).await.expect(200);
    let passed_on = answer.header("traceparent").expect("the trace goes on").to_owned();
    assert!(passed_on.contains(TRACE) && !passed_on.contains(PARENT), "{passed_on}");
    let untraced = device.heartbeat(json!({})).await.expect(200);
    assert_eq!(untraced.header("traceparent"), None, "a share of nothing is traced");
    traced(admin.get("/auth/me")).await.expect(200);
    let listed = admin.get("/devices").await.expect(200);
    let administrator = server.admin_account().await.id.clone();
    // What was not sent yet is sent when the server stops.
    server.terminate().await;
    // No other span is called so: the use case is not called like its operation.
    let named = collector.span("the operation", |span| span.is("SERVER", "get_current_user")).await;
    assert_eq!((&*named.trace, &*named.parent), (TRACE, PARENT), "{named:?}");
    collector.shows(&["kernex.decision.duration", "http.server.request.duration", "kernex.devices"]).await;
    collector.shows(&["stopping"]).await;
    // This request is in no trace, so that nothing but a record tells of it.
    collector.record(listed.header("x-request-id").expect("a request id"), &administrator).await;
}

#[test]
fn a_collector_gets_traces_metrics_and_logs_over_grpc() {
    run(collected("grpc"));
}

#[test]
fn a_collector_gets_traces_metrics_and_logs_over_http() {
    run(collected("http"));
}

#[test]
fn a_trace_follows_a_device_from_its_heartbeat_to_its_report() {
    run(async {
        let collector = Collector::start().await;
        let mut server = ServerProcess::start(telling(collector.port("grpc"), "grpc")).await;
        let (admin, device) = (server.admin().await, server.device().await);
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let order = json!({"name": "a", "bundle_id": bundle, "selector": "*", "plan": {}});
        let deployment = admin.post("/deployments").json(order).await.expect(201).id();
        let command = eventually("a command", async || device.command().await).await;
        // What is new in a heartbeat is written.
        traced(device.heartbeat(json!({"facts": {"os": "linux"}}))).await.expect(200);
        traced(device.download(&bundle)).await.expect(200);
        traced(device.report(&command, "installed")).await.expect(200);
        server.terminate().await;

        let assignment = command["assignment_id"].as_str().expect("an identifier");
        let about = [
            ("device.id", &*device.id),
            ("assignment.id", assignment),
            ("deployment.id", &*deployment),
            ("bundle.id", &*bundle),
        ];
        for (name, writes) in [("heartbeat", true), ("download_bundle_as_device", false), ("report", true)] {
            let call = collector.span(name, |span| span.trace == TRACE && span.is("SERVER", name)).await;
            assert_eq!(call.parent, PARENT, "{call:?}");
            let within = |kind: &str, name: &str, parent: &str, span: &collector::Span| {
                span.trace == TRACE && span.parent == parent && span.is(kind, name)
            };
            let work = collector.span(name, |span| within("INTERNAL", name, &call.id, span) && span.has(&about)).await;
            let rbac = [("policy", "rbac")];
            collector
                .span("the policy", |span| within("INTERNAL", "policy.check", &work.id, span) && span.has(&rbac))
                .await;
            if writes {
                let commit = collector.span("a commit", |span| within("INTERNAL", "commit", &work.id, span)).await;
                collector.span("a call", |span| within("INTERNAL", "store.query", &commit.id, span)).await;
            }
        }
    });
}

async fn unheard(protocol: &str) {
    let options = telling(silent().await, protocol).set("telemetry.sample_ratio", 1);
    let mut server = ServerProcess::start(options).await;
    let (admin, device) = (server.admin().await, server.device().await);
    eventually_within(PATIENCE, "too many spans and log records wait", async || {
        for beat in join_all((0..ABREAST).map(|_| device.heartbeat(json!({})).into_future())).await {
            beat.expect(200);
        }
        let text = measured(&admin).await;
        let dropped = |signal| sample(&text, "kernex_telemetry_dropped_total", &[signal]);
        (dropped(r#"signal="traces""#) > 0.0 && dropped(r#"signal="logs""#) > 0.0).then_some(())
    })
    .await;
    eventually_within(PATIENCE, "exports are given up", async || {
        let failed = sample(&measured(&admin).await, "kernex_telemetry_export_failures_total", &[r#"signal="traces""#]);
        (failed > 0.0).then_some(())
    })
    .await;
    let stopping = Instant::now();
    let status = server.terminate().await;
    assert!(status.success(), "{status}\n{}", server.output());
    assert!(stopping.elapsed() < STOPPED, "it took {:?} to stop", stopping.elapsed());
}

#[test]
fn a_collector_that_never_answers_costs_nothing_but_counters_over_grpc() {
    run(unheard("grpc"));
}

#[test]
fn a_collector_that_never_answers_costs_nothing_but_counters_over_http() {
    run(unheard("http"));
}

#[test]
fn a_collector_that_is_away_costs_nothing_but_a_counter() {
    run(async {
        let options = ProcessOptions::new()
            .set("admission", "automatic")
            .set("telemetry.otlp_endpoint", format!("http://127.0.0.1:{}", free_port()))
            .set("telemetry.sample_ratio", 1)
            .set("telemetry.interval_s", 1);
        let mut server = ServerProcess::start(options).await;
        let admin = server.admin().await;
        let device = server.device().await;
        // Nobody sent a trace: this one is the server's own.
        let wanted = json!({"name": "a", "selector": "*", "config": {}});
        let denied = server.user("viewer").await.post("/deployments/preview").json(wanted).await.expect(403);
        let parent = denied.header("traceparent").expect("every call is traced");
        let decision = written(&admin, &denied).await;
        assert_eq!(decision["trace_id"].as_str(), parent.split('-').nth(1), "{parent} {decision}");
        eventually_within(PATIENCE, "failures are counted", async || {
            device.heartbeat(json!({})).await.expect(200);
            let text = measured(&admin).await;
            let failed = |signal| sample(&text, "kernex_telemetry_export_failures_total", &[signal]);
            (failed(r#"signal="metrics""#) > 0.0 && failed(r#"signal="traces""#) > 0.0).then_some(())
        })
        .await;
        let status = server.terminate().await;
        assert!(status.success(), "{status}\n{}", server.output());
    });
}

#[test]
fn a_log_line_says_whose_request_it_belongs_to() {
    run(async {
        let options = ProcessOptions::new().set("log.format", "json").set("log.filter", "warn,kernex=debug");
        let mut server = ServerProcess::start(options).await;
        let admin = server.admin().await;
        let answer = admin.get("/devices").await.expect(200);
        let id = answer.header("x-request-id").expect("a request id").to_owned();
        server.terminate().await;
        let output = server.output();
        let lines: Vec<Value> = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let of_it = |line: &&Value| line["span"]["request.id"] == id.as_str() && line["operation"] == "list_devices";
        let line = lines.iter().find(of_it).unwrap_or_else(|| panic!("no line of {id} in\n{output}"));
        assert!(line["span"]["principal"].as_str().is_some_and(|principal| principal.starts_with("usr_")), "{line}");
        for secret in [admin.token(), kernex_tests::harness::PASSWORD] {
            assert!(!output.contains(secret), "a secret is in the log");
        }
    });
}
