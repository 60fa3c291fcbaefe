//! Owns the documentation page, used by a real browser as a person uses it.

use std::process::Stdio;

use kernex_tests::harness::{TestServer, run, tool};
use tokio::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/docs.mjs");

#[test]
fn each_kind_of_credentials_calls_an_operation_in_the_page() {
    run(async {
        let server = TestServer::start().await;
        let (person, service) = (server.admin().await, server.api_key(&["viewer"]).await);
        let device = server.device().await;
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let mut browse = Command::new(tool("puppeteer"));
        browse.args([SCRIPT, &server.base(), person.token(), service.token(), device.client.token()]);
        browse.arg(scratch.path().join("docs.png"));
        let output = browse.stdin(Stdio::null()).kill_on_drop(true).output().await.expect("node runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let used =
            ["user", "api_key", "device"].into_iter().all(|kind| said.contains(&format!("docs: used as {kind}")));
        assert!(output.status.success() && used, "{said}");
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
