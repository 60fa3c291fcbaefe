//! Owns what leaves the server for those on call: metrics for Prometheus, and traces, metrics and logs for a
//! collector. Read by the real programs: Prometheus' own checker, and rotel, a collector.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kernex_tests::harness::{ProcessOptions, ServerProcess, TestServer, eventually_within, run, tool};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;

use super::redaction::written;

/// How long a collector may take to show what it got.
const PATIENCE: Duration = Duration::from_secs(40);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

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

/// The value of the only sample whose line begins with `name` and holds all of `labels`.
fn sample(text: &str, name: &str, labels: &[&str]) -> f64 {
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
        let answer = admin.root(reqwest::Method::GET, "/metrics").start().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.expect("a text");
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
    });
}

/// A collector that prints what it gets.
struct Collector {
    grpc: u16,
    http: u16,
    printed: Arc<Mutex<String>>,
    _process: Child,
}

impl Collector {
    async fn start() -> Self {
        let (grpc, http) = (free_port(), free_port());
        let mut process = tokio::process::Command::new(tool("rotel"))
            .args(["start", "--exporter", "blackhole", "--debug-log", "traces", "--debug-log", "metrics"])
            .args(["--debug-log", "logs"])
            .args(["--debug-log-verbosity", "detailed"])
            .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")])
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("rotel runs");
        let printed = Arc::<Mutex<String>>::default();
        keep(process.stdout.take().expect("piped"), &printed);
        keep(process.stderr.take().expect("piped"), &printed);
        eventually_within(PATIENCE, "the collector listens", async || {
            tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, grpc)).await.ok()
        })
        .await;
        Self { grpc, http, printed, _process: process }
    }

    /// Waits until it has shown all of these.
    async fn shows(&self, wanted: &[&str]) {
        let missing = async || {
            let printed = self.printed.lock().expect("nobody panicked while printing").clone();
            wanted.iter().filter(|text| !printed.contains(**text)).map(ToString::to_string).collect::<Vec<_>>()
        };
        let start = std::time::Instant::now();
        while !missing().await.is_empty() {
            assert!(
                start.elapsed() < PATIENCE,
                "not shown: {:?}\n{}",
                missing().await,
                self.printed.lock().expect("text")
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn keep(stream: impl AsyncRead + Unpin + Send + 'static, printed: &Arc<Mutex<String>>) {
    let printed = printed.clone();
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut printed = printed.lock().expect("nobody panicked while printing");
            printed.push_str(&line);
            printed.push('\n');
        }
    });
}

async fn collected(protocol: &str) {
    let collector = Collector::start().await;
    let port = if protocol == "grpc" { collector.grpc } else { collector.http };
    let options = ProcessOptions::new()
        .set("admission", "automatic")
        .set("telemetry.otlp_endpoint", format!("http://127.0.0.1:{port}"))
        .set("telemetry.otlp_protocol", protocol)
        .set("telemetry.sample_ratio", 0)
        .set("telemetry.interval_s", 1)
        .set("log.filter", "warn,kernex=debug");
    let mut server = ServerProcess::start(options).await;
    let device = server.device().await;
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let beat = json!({"health": "healthy", "facts": {"os": "linux"}});
    let answer = device.heartbeat(beat).header("traceparent", &parent).await.expect(200);
    let passed_on = answer.header("traceparent").expect("the trace goes on").to_owned();
    assert!(passed_on.contains(TRACE) && passed_on != parent, "{passed_on}");
    let untraced = device.heartbeat(json!({})).await.expect(200);
    assert_eq!(untraced.header("traceparent"), None, "a share of nothing is traced");
    // What was not sent yet is sent when the server stops.
    server.terminate().await;
    let spans = ["heartbeat", "policy.check", TRACE];
    collector.shows(&spans).await;
    collector.shows(&["kernex.decision.duration", "http.server.request.duration", "kernex.devices"]).await;
    collector.shows(&["stopping"]).await;
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
            let answer = admin.root(reqwest::Method::GET, "/metrics").start().await.expect("an answer");
            let text = answer.text().await.expect("a text");
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
