//! Owns requests that nobody wrote: made from the document, good and bad, and every answer must be one that the
//! document promises. By Schemathesis, within a bounded number of examples.

use std::process::Stdio;

use kernex_tests::harness::{TestServer, run, tool};
use tokio::process::Command;

use super::world::generous;

/// Examples for each operation in each phase.
const EXAMPLES: &str = "10";
/// What every answer is held to.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// They would end the caller's own credentials in the middle.
const LEFT_OUT: [&str; 1] = ["revoke_api_key"];

#[test]
fn every_answer_is_one_that_the_document_promises() {
    run(async {
        let server = TestServer::start_with(generous).await;
        let key = server.api_key(&["admin"]).await;
        // It keeps notes where it runs.
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let mut fuzz = Command::new(tool("schemathesis"));
        fuzz.current_dir(scratch.path())
            .args(["run", &format!("{}/openapi.json", server.base())])
            .args(["--header", &format!("Authorization: Bearer {}", key.token())])
            .args(["--checks", CHECKS, "--max-examples", EXAMPLES, "--seed", "1"])
            .args(["--generation-database", "none", "--request-timeout", "30", "--no-color"]);
        for operation in LEFT_OUT {
            fuzz.args(["--exclude-operation-id", operation]);
        }
        let output = fuzz.stdin(Stdio::null()).kill_on_drop(true).output().await.expect("schemathesis runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let passed = said.lines().find_map(|line| line.trim().split_once(" generated, ")?.0.parse::<u32>().ok());
        assert!(passed.is_some_and(|passed| passed > 500), "it made requests\n{said}");
        server.anonymous().root(reqwest::Method::GET, "/health/ready").await.expect(200);
    });
}
