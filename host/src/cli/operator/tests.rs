//! Owns the tests of the kept login: that one command at a time renews it, and what the others use.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const RENEWED: &str = r#"{"access_token":"next","expires_in":3600,"refresh_token":"once"}"#;

/// A server that answers every call like this, after it has done something; with how many calls there were.
async fn answering(
    status: &'static str,
    body: &'static str,
    before: impl Fn(&str) + Send + 'static,
) -> (Api, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let server = format!("http://{}", listener.local_addr().expect("an address"));
    let api = Api::new(&server, 1).expect("an address");
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut asked = Vec::<u8>::new();
            // Every call here has a JSON object as its body.
            while !asked.ends_with(b"}") {
                assert_ne!(stream.read_buf(&mut asked).await.expect("a request"), 0, "it is cut off");
            }
            counted.fetch_add(1, Ordering::Relaxed);
            before(&server);
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.expect("written");
        }
    });
    (api, calls)
}

/// Keeps a login that expires in so many seconds; gives its file.
fn kept(directory: &Path, server: &str, lasts_s: i64) -> CredentialsFile {
    let file = CredentialsFile::at(directory.join("credentials.json"));
    let expires_at = now_s() + lasts_s;
    let login = Credentials {
        server: server.to_owned(),
        access_token: "kept".to_owned(),
        expires_at,
        refresh_token: "first".to_owned(),
    };
    file.write(&login).expect("written");
    file
}

#[tokio::test]
async fn of_commands_at_once_one_renews_the_login() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (api, calls) = answering("200 OK", RENEWED, |_| {}).await;
    // It was written with a slash at its end.
    let file = kept(directory.path(), &format!("{}/", api.address()), 0);
    let tokens = futures_util::future::join_all((0..5).map(|_| renew(&api, &file))).await;
    for token in tokens {
        assert_eq!(token.expect("renewed").expose_secret(), "next");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1, "the refresh token was used once");
    assert_eq!(file.read().expect("a login").expect("somebody").refresh_token, "once");
}

#[tokio::test]
async fn who_loses_a_race_uses_what_the_winner_has_got() {
    let raced = r#"{"code":"refresh-raced","detail":"another renewal was faster"}"#;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let place = directory.path().to_owned();
    // The winner keeps what it has got, without the lock.
    let (api, calls) = answering("409 Conflict", raced, move |server| drop(kept(&place, server, 3_600))).await;
    let file = kept(directory.path(), api.address(), 0);
    assert_eq!(renew(&api, &file).await.expect("the winner's").expose_secret(), "kept");

    let (api, more) = answering("409 Conflict", raced, |_| {}).await;
    let file = kept(directory.path(), api.address(), 0);
    assert!(renew(&api, &file).await.is_err(), "nobody has written anything down");
    assert_eq!((calls.load(Ordering::Relaxed), more.load(Ordering::Relaxed)), (1, 1), "the token is not sent again");
}

#[tokio::test]
async fn a_login_is_for_its_server_only() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (api, calls) = answering("200 OK", RENEWED, |_| {}).await;
    let file = kept(directory.path(), "http://127.0.0.1:1", 0);
    let error = renew(&api, &file).await.expect_err("nobody").to_string();
    assert!(error.contains("nobody is logged in at") && error.contains("`kernex login --username NAME`"), "{error}");
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_login_that_has_ended_is_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let refused = r#"{"code":"refresh-token-reused","detail":"the session has ended"}"#;
    let (api, _) = answering("401 Unauthorized", refused, |_| {}).await;
    let file = kept(directory.path(), api.address(), 0);
    let error = renew(&api, &file).await.expect_err("it has ended").to_string();
    assert!(error.contains("has ended: the session has ended; use `kernex login --username NAME`"), "{error}");
    let (busy, _) = answering("503 Service Unavailable", "{}", |_| {}).await;
    let file = kept(directory.path(), busy.address(), 0);
    let error = renew(&busy, &file).await.expect_err("it is busy");
    assert!(matches!(error, CliError::Api(ApiError::Problem { status: 503, .. })), "{error}");
}

#[test]
fn tokens_are_not_shown() {
    let server = Server { server: None, token: Some("hunter2".into()) };
    let api = Api::new(DEFAULT_SERVER, 1).expect("an address");
    let operator = Operator { api, token: "hunter2".into() };
    let shown = format!("{server:?} {operator:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(operator.token(), "hunter2");
}
