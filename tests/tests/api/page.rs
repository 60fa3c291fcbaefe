//! Owns the documentation page, used by a real browser as a person uses it.

use std::process::Stdio;

use kernex_tests::harness::{TestServer, run, tool};
use tokio::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/docs.mjs");

#[test]
fn a_person_authorizes_and_calls_an_operation_in_the_page() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let mut browse = Command::new(tool("puppeteer"));
        browse.args([SCRIPT, &server.base(), admin.token()]).arg(scratch.path().join("docs.png"));
        let output = browse.stdin(Stdio::null()).kill_on_drop(true).output().await.expect("node runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("docs: used"), "{said}");
        let picture = std::fs::metadata(scratch.path().join("docs.png")).expect("a picture");
        assert!(picture.len() > 10_000, "of more than an empty page");
    });
}

#[test]
fn the_page_shows_the_document_that_is_served() {
    run(async {
        let server = TestServer::start().await;
        let answer = server.anonymous().root(reqwest::Method::GET, "/docs").start().await.expect("an answer");
        let page = answer.text().await.expect("a text");
        assert!(page.contains("Idempotency-Key"), "what is added to the derived document is in the page, too");
    });
}
