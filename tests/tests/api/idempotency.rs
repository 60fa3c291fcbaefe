//! Owns calls that are sent again with the same key: they are answered the same and done once.

use kernex_tests::harness::{Call, Client, TestServer, run};
use serde_json::{Value, json};

use super::bundles::repr_digest;

fn order(client: &Client, key: &str, body: Value) -> Call {
    client.post("/deployments").header("idempotency-key", key).json(body)
}

async fn deployments(client: &Client) -> usize {
    client.get("/deployments").await.expect(200).items().len()
}

#[test]
fn the_same_key_is_answered_the_same_and_done_once() {
    run(async {
        let mut server = TestServer::durable().await;
        let admin = server.admin().await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let body = json!({ "name": "once", "bundle_id": bundle, "selector": "site=nowhere" });
        let first = order(&admin, "one", body.clone()).await.expect(201);
        assert_eq!(first.header("idempotency-replayed"), None);
        let again = order(&admin, "one", body.clone()).await.expect(201);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!((again.json(), again.header("location")), (first.json(), first.header("location")));
        server.restart().await;
        let later = order(&admin, "one", body.clone()).await.expect(201);
        assert_eq!(later.id(), first.id(), "a restart forgets nothing");
        assert_eq!(deployments(&admin).await, 1);

        let other = json!({ "name": "another", "bundle_id": bundle, "selector": "site=nowhere" });
        order(&admin, "one", other.clone()).await.problem(409, "idempotency-key-reused");
        let second = order(&admin, "two", body.clone()).await.expect(201);
        assert_ne!(second.id(), first.id(), "another key is another call");
        let somebody = server.user("operator").await;
        let theirs = order(&somebody, "one", other).await.expect(201);
        assert_ne!(theirs.id(), first.id(), "a key is its owner's alone");
        assert_eq!(deployments(&admin).await, 3);
    });
}

#[test]
fn of_many_at_once_one_is_done() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let body = json!({ "name": "once", "bundle_id": bundle, "selector": "site=nowhere" });
        let calls = (0..16).map(|_| order(&admin, "race", body.clone()).into_future());
        let answers = futures_util::future::join_all(calls).await;
        let done = answers.iter().filter(|answer| answer.status == 201).count();
        assert!(done >= 1, "{answers:#?}");
        for answer in answers {
            if answer.status != 201 {
                answer.problem(409, "idempotency-in-progress");
            }
        }
        assert_eq!(deployments(&admin).await, 1);
    });
}

#[test]
fn what_was_refused_may_be_mended_and_sent_again() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        order(&admin, "mended", json!({ "name": "once" })).await.expect(400);
        let body = json!({ "name": "once", "bundle_id": bundle, "selector": "site=nowhere" });
        order(&admin, "mended", body).await.expect(201);
        for key in ["", &"x".repeat(256)] {
            order(&admin, key, json!({})).await.problem(400, "invalid-idempotency-key");
        }
    });
}

#[test]
fn a_secret_is_not_given_again() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let make = || {
            let body = json!({ "name": "ci", "roles": ["viewer"] });
            admin.post("/api-keys").header("idempotency-key", "secret").json(body)
        };
        let secret = make().await.expect(201).text("key");
        make().await.problem(409, "idempotency-secret").never_says(&secret);
        assert_eq!(admin.get("/api-keys").await.expect(200).items().len(), 1);
    });
}

#[test]
fn an_upload_is_done_once() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let keyed = |key: &str| admin.post("/bundles?name=gateway-os&version=1").header("idempotency-key", key);
        let upload = |content: &[u8]| keyed("u").header("repr-digest", &repr_digest(content)).bytes(content.to_vec());
        let first = upload(b"content").await.expect(201);
        let again = upload(b"content").await.expect(201);
        assert_eq!((again.id(), again.header("idempotency-replayed")), (first.id(), Some("true")));
        // As long as the first, and other bytes.
        upload(b"CONTENT").await.problem(409, "idempotency-key-reused");

        keyed("other").bytes("content").await.problem(400, "repr-digest-required");
        let unknown = keyed("other").header("repr-digest", "sha-512=:AAAA:").bytes("content");
        unknown.await.problem(400, "repr-digest-required");
        // A digest that is not the content's makes no claim.
        let lie = keyed("lie").header("repr-digest", &repr_digest(b"content")).bytes("CONTENT");
        lie.await.problem(400, "digest-mismatch");
        keyed("lie").header("repr-digest", &repr_digest(b"content")).bytes("content").await.expect(200);
        assert_eq!(admin.get("/bundles").await.expect(200).items().len(), 1);
    });
}

#[test]
fn an_answer_that_is_too_long_is_not_called_a_secret() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let device = server.device().await;
        let path = format!("/devices/{}/config", device.id);
        for letter in ["a", "b"] {
            let document = json!({"document": {"text": letter.repeat(70 * 1024)}});
            admin.put(&path).json(document).await.expect(200);
        }
        let back = || {
            let call = admin.post(&format!("{path}/rollback")).header("idempotency-key", "back");
            call.json(json!({"version": 1}))
        };
        assert_eq!(back().await.expect(200)["version"], 3);
        back().await.problem(409, "idempotency-not-kept");
        let versions = admin.get(&format!("{path}/versions")).await.expect(200);
        assert_eq!(versions.items().len(), 3, "it was done once");
    });
}
