//! Uploading bundles: what goes in comes out, and whatever breaks off leaves nothing behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt, stream};
use kernex_tests::harness::{Call, Client, TestServer, eventually, run};
use reqwest::Body;
use serde_json::json;
use sha2::{Digest, Sha256};

fn upload(client: &Client, name: &str, version: &str) -> Call {
    client.post("/bundles").query("name", name).query("version", version)
}

pub(super) fn repr_digest(content: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(content)))
}

/// Content that does not repeat within a few hundred bytes.
fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n * 31 + n / 251) as u8).collect()
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries
        .flat_map(|entry| {
            let path = entry.expect("a directory's entry").path();
            if path.is_dir() { files(&path) } else { vec![path] }
        })
        .collect()
}

/// The files that hold bundles' bytes, whole or not.
fn kept(server: &TestServer) -> Vec<PathBuf> {
    files(&server.directory().join("data").join("bundles"))
}

#[test]
fn what_goes_in_comes_out() {
    run(async {
        let server = TestServer::start().await;
        let operator = server.user("operator").await;
        let content = content(300_000);
        let made = upload(&operator, "gateway-os", "1.0.0")
            .query("labels", "models=gw-100+gw-200,board=a")
            .header("repr-digest", &repr_digest(&content))
            .header("x-bundle-signature", "c2lnbmF0dXJl")
            .text("application/vnd.gateway", content.clone())
            .await
            .expect(201);
        assert_eq!(made.header("location"), Some(&*format!("/api/v1/bundles/{}", made.id())));
        assert_eq!((&made["name"], &made["version"]), (&json!("gateway-os"), &json!("1.0.0")));
        assert_eq!((&made["size"], &made["status"]), (&json!(300_000), &json!("available")));
        assert_eq!(made["sha256"], hex::encode(Sha256::digest(&content)));
        assert_eq!(
            (&made["media_type"], &made["signature"]),
            (&json!("application/vnd.gateway"), &json!("c2lnbmF0dXJl"))
        );
        assert_eq!(made["labels"], json!({"models": "gw-100+gw-200", "board": "a"}));

        let read = operator.get(&format!("/bundles/{}", made.id())).await.expect(200);
        assert_eq!(read.json(), made.json());
        let down = operator.get(&format!("/bundles/{}/content", made.id())).await.expect(200);
        assert!(down.body == content, "{} bytes came back", down.body.len());
        assert_eq!(down.header("content-type"), Some("application/vnd.gateway"));
        assert_eq!(down.header("repr-digest"), Some(&*repr_digest(&content)));
        assert_eq!(kept(&server).len(), 1);
    });
}

#[test]
fn a_name_and_version_stand_for_one_content() {
    run(async {
        let server = TestServer::start().await;
        let operator = server.user("operator").await;
        let first = upload(&operator, "gateway-os", "1.0.0").bytes("one").await.expect(201);
        let again = upload(&operator, "gateway-os", "1.0.0").bytes("one").await.expect(200);
        assert_eq!(again.id(), first.id());
        // With and without an announced size or digest, before and after the body.
        upload(&operator, "gateway-os", "1.0.0").bytes("two").await.problem(409, "bundle-exists");
        upload(&operator, "gateway-os", "1.0.0").bytes("longer").await.problem(409, "bundle-exists");
        upload(&operator, "gateway-os", "1.0.0")
            .header("repr-digest", &repr_digest(b"two"))
            .bytes("two")
            .await
            .problem(409, "bundle-exists");
        // The same content under another name or version is another bundle; its bytes are kept once.
        let other = upload(&operator, "gateway-os", "1.0.1").bytes("one").await.expect(201);
        upload(&operator, "other-os", "1.0.0").bytes("one").await.expect(201);
        assert_eq!(kept(&server).len(), 1);
        let listed = operator.get("/bundles").await.expect(200);
        assert_eq!(listed.items().len(), 3);
        assert_eq!(listed.all("id")[1], other.id(), "newest first");
        let down = operator.get(&format!("/bundles/{}/content", first.id())).await.expect(200);
        assert_eq!(down.body, b"one");
    });
}

#[test]
fn of_uploads_at_once_one_makes_the_bundle() {
    run(async {
        let server = TestServer::start().await;
        let operator = server.user("operator").await;
        let calls =
            (0..6).map(|n| upload(&operator, "gateway-os", "1.0.0").bytes(format!("content {}", n % 2)).into_future());
        let answers = futures_util::future::join_all(calls).await;
        let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
        assert_eq!(made.len(), 1, "{answers:#?}");
        let same = answers.iter().filter(|answer| answer.status == 200).count();
        let other = answers.iter().filter(|answer| answer.status == 409 && answer["code"] == "bundle-exists").count();
        assert_eq!((same, other), (2, 3), "{answers:#?}");
        assert_eq!(operator.get("/bundles").await.expect(200).all("id"), [made[0].id()]);
        assert_eq!(kept(&server).len(), 1, "the losers' bytes are gone");
        operator.get(&format!("/bundles/{}/content", made[0].id())).await.expect(200);
    });
}

#[test]
fn content_must_have_the_digest_that_was_announced() {
    run(async {
        let server = TestServer::start().await;
        let operator = server.user("operator").await;
        let wrong = upload(&operator, "gateway-os", "1.0.0").header("repr-digest", &repr_digest(b"other"));
        wrong.bytes("content").await.problem(400, "digest-mismatch");
        for nonsense in ["sha-256=hunter2", "sha-256", "sha-256=:AAAA:"] {
            let call = upload(&operator, "gateway-os", "1.0.0").header("repr-digest", nonsense);
            call.bytes("content").await.problem(400, "invalid-parameter").never_says("hunter2");
        }
        assert!(operator.get("/bundles").await.expect(200).items().is_empty());
        assert!(kept(&server).is_empty(), "{:?}", kept(&server));
        // Another algorithm may be ignored.
        upload(&operator, "gateway-os", "1.0.0")
            .header("repr-digest", "sha-512=:AAAA:")
            .bytes("content")
            .await
            .expect(201);
    });
}

#[test]
fn nonsense_makes_no_bundle() {
    run(async {
        let server = TestServer::start().await;
        let operator = server.user("operator").await;
        let post = |query: &[(&str, &str)]| {
            query.iter().fold(operator.post("/bundles"), |call, (name, value)| call.query(name, value)).bytes("content")
        };
        for (query, secret) in [
            (&[("version", "1.0.0")][..], "1.0.0\""),
            (&[("name", "gateway-os")], "gateway-os\""),
            (&[("name", "../../etc/passwd"), ("version", "1")], "passwd"),
            (&[("name", "x"), ("version", "one two")], "one two"),
            (&[("name", "x"), ("version", "1"), ("labels", "no-label")], "no-label"),
        ] {
            post(query).await.expect(400).never_says(secret).check_problem();
        }
        upload(&operator, "x", "1").bytes("").await.problem(400, "empty-body");
        let long = "s".repeat(4_097);
        upload(&operator, "x", "1")
            .header("x-bundle-signature", &long)
            .bytes("content")
            .await
            .problem(400, "invalid-signature");
        upload(&server.user("viewer").await, "x", "1").bytes("content").await.expect(403).check_problem();
        upload(&server.anonymous(), "x", "1").bytes("content").await.expect(401);
        assert!(operator.get("/bundles").await.expect(200).items().is_empty());
        assert!(kept(&server).is_empty(), "{:?}", kept(&server));
    });
}

#[test]
fn a_bundle_has_a_largest_size() {
    run(async {
        let server = TestServer::start_with(|settings| settings.bundles.max_bytes = 100_000).await;
        let operator = server.user("operator").await;
        upload(&operator, "x", "1").bytes(content(100_000)).await.expect(201);
        upload(&operator, "x", "2").bytes(content(100_001)).await.problem(413, "body-too-large");
        // Without an announced length, too: the server stops reading by itself.
        let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(vec![7_u8; 16_384])).take(1_000);
        match upload(&operator, "x", "3").bytes(Body::wrap_stream(endless)).send().await {
            Ok(answer) => drop(answer.problem(413, "body-too-large")),
            // The server may hang up on a client that goes on sending.
            Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
        }
        assert_eq!(operator.get("/bundles").await.expect(200).all("version"), ["1"]);
        eventually("nothing is left of it", async || (kept(&server).len() == 1).then_some(())).await;
    });
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    run(async {
        let server = TestServer::start().await;
        let operator = server.user("operator").await;
        let parts = stream::iter(0..40).then(|n| async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if n < 30 { Ok(vec![n as u8; 100_000]) } else { Err(std::io::Error::other("the client goes away")) }
        });
        let broken = upload(&operator, "gateway-os", "1.0.0").bytes(Body::wrap_stream(parts)).send();
        let (outcome, seen) = tokio::join!(
            broken,
            eventually("bytes on the disk while they come", async || (!kept(&server).is_empty()).then_some(()))
        );
        assert!(outcome.is_err(), "{outcome:?}");
        let () = seen;
        eventually("nothing is left of it", async || kept(&server).is_empty().then_some(())).await;
        assert!(operator.get("/bundles").await.expect(200).items().is_empty());
        // And the name and version are free.
        upload(&operator, "gateway-os", "1.0.0").bytes("content").await.expect(201);
    });
}

#[test]
fn what_a_crash_left_half_uploaded_is_swept() {
    run(async {
        let mut server = TestServer::durable().await;
        let id = server.bundle("gateway-os", "1.0.0", b"content").await;
        server.stop().await;
        let incoming = server.directory().join("data").join("bundles").join("incoming");
        std::fs::create_dir_all(&incoming).expect("a directory");
        std::fs::write(incoming.join("01JD5Z8Q0V3W4X5Y6Z7A8B9C0D"), b"half of a bund").expect("a file");
        server.resume().await;
        eventually("only whole content is left", async || (kept(&server).len() == 1).then_some(())).await;
        let down = server.admin().await.get(&format!("/bundles/{id}/content")).await.expect(200);
        assert_eq!(down.body, b"content");
    });
}

#[test]
fn a_retired_bundle_stays_readable_and_is_not_deployed() {
    run(async {
        let server = TestServer::start().await;
        let operator = server.user("operator").await;
        let id = server.bundle("gateway-os", "1.0.0", b"content").await;
        server.user("viewer").await.post(&format!("/bundles/{id}/retire")).await.expect(403);
        assert_eq!(operator.get(&format!("/bundles/{id}")).await.expect(200)["status"], "available");
        let retired = operator.post(&format!("/bundles/{id}/retire")).await.expect(200);
        assert_eq!(retired["status"], "retired");
        let again = operator.post(&format!("/bundles/{id}/retire")).await.expect(200);
        assert_eq!((&again["status"], &again["revision"]), (&json!("retired"), &retired["revision"]));
        assert_eq!(operator.get(&format!("/bundles/{id}/content")).await.expect(200).body, b"content");
        let deployment = json!({"name": "again", "bundle_id": id, "selector": "*"});
        operator.post("/deployments").json(deployment).await.expect(409).check_problem();
        assert!(operator.get("/deployments").await.expect(200).items().is_empty());
        operator.post("/bundles/bun_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D/retire").await.problem(404, "not-found");
    });
}
