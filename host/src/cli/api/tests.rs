//! Owns the tests of calls to a server's API: where tokens go, what is tried again, and how much is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

#[test]
fn a_token_is_sent_to_its_own_server_only() {
    let api = Api::new("http://127.0.0.1:1", 1).expect("an address");
    assert!(api.request(Method::GET, "/api/v1/devices", Some("secret")).is_ok());
    assert!(api.request(Method::GET, "http://evil.example/", Some("secret")).is_err());
    assert!(api.request(Method::GET, "//evil.example/", Some("secret")).is_err());
    assert!(Api::new("127.0.0.1:8080", 1).is_err());
}

#[test]
fn an_address_is_known_however_it_is_written() {
    let api = Api::new("http://There:80", 1).expect("an address");
    assert_eq!(api.address(), "http://there");
    for same in ["http://there", "http://there/", "http://THERE:80/"] {
        assert!(api.is_at(same), "{same}");
    }
    for other in ["https://there", "http://there:8080", "http://there.example", "http://there/below", "there", ""] {
        assert!(!api.is_at(other), "{other}");
    }
    assert!(Api::new("http://there/below/", 1).expect("an address").is_at("http://there/below"));
}

/// Answers one call with this body, and closes the connection.
async fn answering(body: Vec<u8>) -> Api {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut asked = vec![0; 4_096];
        let _ = stream.read(&mut asked).await.expect("a request");
        let head = format!("HTTP/1.1 500 Oh\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.expect("written");
        // The other side stops to read where it has enough.
        let _ = stream.write_all(&body).await;
    });
    Api::new(&format!("http://{address}"), 1).expect("an address")
}

#[tokio::test]
async fn no_more_of_an_error_is_read_than_fits() {
    let api = answering(vec![b'a'; 8 * MAX_ERROR_BYTES]).await;
    let error = api.get::<()>("/", None).await.expect_err("it was refused");
    match error {
        ApiError::Problem { status: 500, detail, .. } => assert_eq!(detail.len(), MAX_SHOWN_BYTES),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_limit() {
    for (length, limit, whole) in [(10, 10, true), (10, 9, false), (0, 0, true)] {
        let api = answering(vec![b'a'; length]).await;
        let response = api.request(Method::GET, "/", None).expect("a request").send().await.expect("an answer");
        let read = beginning(response, limit).await.expect("a body");
        assert_eq!(read, (vec![b'a'; length.min(limit)], whole));
    }
}

/// A server that is always busy; with how many calls it has refused.
async fn busy() -> (Api, Arc<AtomicU32>) {
    const ANSWER: &[u8] = b"HTTP/1.1 503 Busy\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let api = Api::new(&format!("http://{}", listener.local_addr().expect("an address")), 3).expect("an address");
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut asked = vec![0; 4_096];
            let _ = stream.read(&mut asked).await.expect("a request");
            counted.fetch_add(1, Ordering::Relaxed);
            stream.write_all(ANSWER).await.expect("written");
        }
    });
    (api, calls)
}

#[tokio::test]
async fn what_is_read_is_asked_for_again_and_a_change_is_not() {
    let (api, calls) = busy().await;
    let refused = |error: &ApiError| error.is(StatusCode::SERVICE_UNAVAILABLE);
    let page = api.get_with::<Value>("/", None, &[("limit", "1".to_owned())]).await;
    assert!(refused(&page.expect_err("it is busy")));
    assert_eq!(calls.swap(0, Ordering::Relaxed), 3);
    assert!(refused(&api.tag("/", None).await.expect_err("it is busy")));
    assert_eq!(calls.swap(0, Ordering::Relaxed), 3);
    let change = api.request(Method::PUT, "/", None).expect("a request");
    assert!(refused(&api.answer::<Value>(change).await.expect_err("it is busy")));
    assert_eq!(calls.swap(0, Ordering::Relaxed), 1);
}

#[test]
fn only_what_passes_is_tried_again() {
    let refused = |status| ApiError::Problem { status, code: String::new(), detail: String::new(), retry_after: None };
    assert!(refused(503).passing().is_some() && refused(429).passing().is_some());
    assert!(refused(409).passing().is_none() && refused(401).passing().is_none());
    assert!((1..20).all(|attempt| backoff(attempt) <= Duration::from_millis(200 << 7)));
}

#[test]
fn what_a_plugin_says_does_not_move_the_cursor() {
    let (code, detail) = ("a\u{9b}2J".to_owned(), "no\u{1b}]0;gone\u{7}\nkernex: done".to_owned());
    let refused = ApiError::Problem { status: 403, code, detail, retry_after: None }.to_string();
    assert_eq!(refused, "no ]0;gone  kernex: done (403 a 2J)");
    let unreadable = ApiError::Unreadable("unknown variant `\u{1b}[2J`".to_owned()).to_string();
    assert!(unreadable.ends_with("unknown variant ` [2J`"), "{unreadable}");
}
