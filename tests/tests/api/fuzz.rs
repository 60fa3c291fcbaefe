//! Owns requests that nobody wrote: made from the document, good and bad, by everybody who may call something, and every
//! answer must be one that the document tells by number. By Schemathesis, within bounds of examples and of time.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use kernex_tests::harness::{Client, TestDevice, TestServer, eventually, run, tool};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use super::world::generous;

/// What every answer is held to.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
const PHASES: &str = "examples,coverage,fuzzing";
/// It follows the document's links. Where there are none that is an error.
const FOLLOWING: &str = "examples,coverage,fuzzing,stateful";
/// What may happen to any call, whatever it is for; the document tells of them together, as `default`. So it does of
/// 500 and 503, which no request may bring about.
const OF_ANY_CALL: [&str; 3] = ["408", "414", "431"];
/// They end their caller's session: somebody calls them who has nothing else to do.
const ENDS_SESSION: [&str; 3] = ["logout", "revoke_all_sessions", "revoke_session"];
/// A service would revoke its own key in the middle; a person has none.
const OF_KEYS: [&str; 3] = ["create_api_key", "list_api_keys", "revoke_api_key"];

/// Somebody with credentials of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Device,
    Person,
    /// A person who logs out.
    Leaving,
    Service,
}

/// What one caller does.
struct Round {
    caller: Caller,
    /// Examples for each operation in each phase.
    examples: u32,
    /// It is ended after so long.
    time_out: Duration,
    /// Requests that it makes at least.
    requests: u32,
    /// Links of the document that it follows at least; `None` where its operations have none.
    links: Option<u32>,
}

const ROUNDS: [Round; 4] = [
    // Reports take away what there is to do, so that it may have no link to follow in the end.
    Round { caller: Caller::Device, examples: 8, time_out: minutes(5), requests: 40, links: Some(0) },
    Round { caller: Caller::Person, examples: 8, time_out: minutes(5), requests: 40, links: Some(1) },
    Round { caller: Caller::Leaving, examples: 2, time_out: minutes(2), requests: 3, links: None },
    // The last one: it blocks devices and ends other people's sessions.
    Round { caller: Caller::Service, examples: 8, time_out: minutes(10), requests: 300, links: Some(5) },
];

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// Who calls an operation.
fn callers(id: &str, operation: &Value) -> Vec<Caller> {
    if ENDS_SESSION.contains(&id) {
        return vec![Caller::Leaving];
    }
    if OF_KEYS.contains(&id) {
        return vec![Caller::Person];
    }
    let credentials = operation["security"].as_array();
    let takes = |kind: &str| credentials.is_some_and(|kinds| kinds.iter().any(|one| one.get(kind).is_some()));
    let anybody = credentials.is_none();
    let of_devices = operation["tags"][0] == "Device";
    let device = takes("device") || (anybody && of_devices);
    let service = takes("api_key") || (anybody && !of_devices);
    let who = [(Caller::Device, device), (Caller::Service, service), (Caller::Person, !device && !service)];
    who.into_iter().filter_map(|(caller, calls)| calls.then_some(caller)).collect()
}

/// Every operation of the document with its identifier.
fn operations(document: &Value) -> Vec<(&str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flat_map(|paths| paths.values());
    let all = paths.filter_map(Value::as_object).flat_map(|methods| methods.values());
    all.map(|operation| (operation["operationId"].as_str().expect("an identifier"), operation)).collect()
}

/// The document, which answers are held to by number: where any is as good as another, none is looked at.
fn strict(document: &Value) -> Value {
    let mut strict = document.clone();
    let paths = strict["paths"].as_object_mut().expect("paths");
    for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(|methods| methods.values_mut()) {
        let answers = operation["responses"].as_object_mut().expect("answers");
        let of_any_call = answers.remove("default").expect("an answer that any call may get");
        for status in OF_ANY_CALL {
            answers.entry(status).or_insert_with(|| of_any_call.clone());
        }
    }
    strict
}

/// A device that has something to do for as long as it does not report on it.
async fn busy_device(server: &TestServer) -> TestDevice {
    let device = server.device().await;
    let bundle = server.bundle("gateway-os", "1.0.0", b"content").await;
    let order = json!({"name": "to all", "bundle_id": bundle, "selector": "*"});
    server.admin().await.post("/deployments").json(order).await.expect(201);
    eventually("a command", async || device.command().await).await;
    device
}

impl Round {
    async fn client(&self, server: &TestServer) -> Client {
        match self.caller {
            Caller::Device => busy_device(server).await.client,
            Caller::Person | Caller::Leaving => server.user("admin").await,
            Caller::Service => server.api_key(&["admin"]).await,
        }
    }

    /// Sends what Schemathesis makes of `document`, a file, and fails the test where an answer is not in it.
    async fn play(&self, client: &Client, document: &Path, ids: &[&str]) {
        // It keeps notes where it runs.
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let mut fuzz = Command::new(tool("schemathesis"));
        fuzz.current_dir(scratch.path()).arg("run").arg(document).args(["--url", &client.base()]);
        fuzz.args(["--header", &format!("Authorization: Bearer {}", client.token())])
            .args(["--checks", CHECKS, "--seed", "1", "--no-color"])
            .args(["--phases", if self.links.is_some() { FOLLOWING } else { PHASES }])
            .args(["--max-examples", &self.examples.to_string()])
            .args(["--generation-database", "none", "--request-timeout", "30"]);
        for id in ids {
            fuzz.args(["--include-operation-id", id]);
        }
        let ended = fuzz.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = match tokio::time::timeout(self.time_out, ended).await {
            Ok(output) => output.expect("schemathesis runs"),
            Err(_) => panic!("{:?}: not done within {:?}", self.caller, self.time_out),
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}\n{said}", self.caller);
        let requests = counted(&said, "", " generated, ");
        assert!(requests.is_some_and(|requests| requests >= self.requests), "{:?}: {requests:?}\n{said}", self.caller);
        // It says so of the last phase alone, and only where that ran.
        let links = counted(&said, "API Links:", " covered");
        assert!(links >= self.links, "{:?}: {links:?} links were followed\n{said}", self.caller);
    }
}

/// The number between `before`, with which a line begins, and `after`.
fn counted(said: &str, before: &str, after: &str) -> Option<u32> {
    let number = |line: &str| line.trim().strip_prefix(before)?.split_once(after)?.0.trim().parse().ok();
    said.lines().find_map(number)
}

#[test]
fn every_answer_is_one_that_the_document_promises() {
    run(async {
        let server = TestServer::start_with(generous).await;
        let served = server.anonymous().root(Method::GET, "/openapi.json").await.expect(200);
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let document = scratch.path().join("strict.json");
        std::fs::write(&document, strict(served.json()).to_string()).expect("the document");
        let operations = operations(served.json());
        for (id, operation) in &operations {
            assert!(!callers(id, operation).is_empty(), "nobody calls {id}");
        }
        for round in ROUNDS {
            let called = operations.iter().filter(|(id, operation)| callers(id, operation).contains(&round.caller));
            let ids: Vec<&str> = called.map(|(id, _)| *id).collect();
            assert!(ids.len() >= 3, "{:?} calls {ids:?}", round.caller);
            round.play(&round.client(&server).await, &document, &ids).await;
        }
        server.anonymous().root(Method::GET, "/health/ready").await.expect(200);
    });
}

#[test]
fn what_it_printed_is_understood() {
    let said = "Stateful (in 2.1s)\n\n    Scenarios:    21\n    API Links:    12 covered / 34 selected / 40 total (9 inferred)\n\
                \nTest cases:\n  910 generated, 910 passed, 4 skipped\n";
    assert_eq!(counted(said, "", " generated, "), Some(910));
    assert_eq!(counted(said, "API Links:", " covered"), Some(12));
    assert_eq!(counted("Stateful (skipped)", "API Links:", " covered"), None);
}
