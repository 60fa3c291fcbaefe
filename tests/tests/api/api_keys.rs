//! API keys: shown once, good until they expire or are revoked.

use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use kernex_tests::harness::{TestServer, eventually, run};
use serde_json::json;

#[test]
fn a_key_is_shown_once_and_works_until_it_is_revoked() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let made = admin.post("/api-keys").json(json!({"name": "ci", "roles": ["operator"]})).await.expect(201);
        let key = made.text("key");
        assert!(key.starts_with("kx_"), "{key}");
        let service = server.anonymous().with_token(&*key);

        service.get("/devices").await.expect(200);
        service.post("/api-keys").json(json!({"name": "more", "roles": ["admin"]})).await.expect(403);
        let listed = admin.get("/api-keys").await.expect(200).never_says(&key);
        assert_eq!(listed.all("id"), [made.id()]);
        assert_eq!(listed.items()[0]["roles"], json!(["operator"]));
        assert!(listed.items()[0].get("secret_digest").is_none(), "{listed}");

        admin.delete(&format!("/api-keys/{}", made.id())).await.expect(204);
        service.get("/devices").await.expect(401).check_problem();
        assert!(admin.get("/api-keys").await.expect(200).items().is_empty());
        admin.delete(&format!("/api-keys/{}", made.id())).await.problem(404, "not-found");
    });
}

#[test]
fn a_key_expires() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let at = |offset: i64| {
            (Utc::now() + chrono::Duration::milliseconds(offset)).to_rfc3339_opts(SecondsFormat::Millis, true)
        };
        let past =
            admin.post("/api-keys").json(json!({"name": "x", "roles": [], "expires_at": at(-1_000)})).await.expect(400);
        assert_eq!(past.pointers(), ["/expires_at"]);
        assert!(admin.get("/api-keys").await.expect(200).items().is_empty());

        let body = json!({"name": "x", "roles": ["viewer"], "expires_at": at(1_500)});
        let made = admin.post("/api-keys").json(body).await.expect(201);
        let service = server.anonymous().with_token(made.text("key"));
        service.get("/devices").await.expect(200);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        eventually("the key has expired", async || (service.get("/devices").await.status == 401).then_some(())).await;
    });
}

#[test]
fn a_key_that_was_tampered_with_is_none() {
    run(async {
        let server = TestServer::start().await;
        let key = server.api_key(&["admin"]).await;
        let good = key.token().to_owned();
        key.get("/users").await.expect(200);
        let (head, last) = good.split_at(good.len() - 1);
        let changed = format!("{head}{}", if last == "A" { "B" } else { "A" });
        for wrong in [changed.as_str(), head, "kx_", "kx_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D", &good.to_uppercase()] {
            key.with_token(wrong).get("/users").await.expect(401).never_says(wrong);
        }
        // A service has no account of its own.
        key.get("/auth/me").await.problem(403, "not-a-user");
        key.post("/auth/logout").await.problem(403, "not-a-user");
    });
}

#[test]
fn nonsense_makes_no_key() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let many: Vec<String> = (0..17).map(|n| format!("role-{n}")).collect();
        for (body, pointer) in [
            (json!({"roles": []}), "/name"),
            (json!({"name": "", "roles": []}), "/name"),
            (json!({"name": "x", "roles": ["Not A Role"]}), "/roles/0"),
            (json!({"name": "x", "roles": many}), "/roles"),
            (json!({"name": "x", "roles": [], "expires_at": "tomorrow"}), "/expires_at"),
        ] {
            let answer = admin.post("/api-keys").json(body).await.expect(400);
            answer.check_problem();
            assert_eq!(answer.pointers(), [pointer], "{answer}");
        }
        assert!(admin.get("/api-keys").await.expect(200).items().is_empty());
    });
}
