//! Logging in and out, and changing a password.

use kernex_tests::harness::{Answer, PASSWORD, TestServer, run};
use serde_json::json;

async fn login(server: &TestServer, username: &str, password: &str) -> Answer {
    server.anonymous().post("/auth/login").json(json!({"username": username, "password": password})).await
}

/// What must not tell whether an account exists: all but what differs from call to call.
fn told(answer: &Answer) -> (u16, String, String, String) {
    (answer.status.as_u16(), answer.text("code"), answer.text("detail"), answer.text("title"))
}

#[test]
fn a_name_or_an_address_logs_in_in_any_case() {
    run(async {
        let server = TestServer::start().await;
        server.admin().await;
        for name in ["ada", "ADA", "ada@example.org", "Ada@Example.Org"] {
            let answer = login(&server, name, PASSWORD).await.expect(200);
            assert_eq!(answer["token_type"], "Bearer");
            assert_eq!(answer["expires_in"], 3_600);
            assert!(answer["refresh_expires_in"].as_u64() > Some(3_600), "{answer}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer}");
            let client = server.anonymous().with_token(answer.text("access_token"));
            let me = client.get("/auth/me").await.expect(200);
            assert_eq!(me["username"], "ada");
            assert_eq!(me["roles"], json!(["admin"]));
        }
    });
}

#[test]
fn a_wrong_password_and_an_unknown_user_look_alike() {
    run(async {
        let server = TestServer::start().await;
        server.admin().await;
        let wrong = login(&server, "ada", "wrong horse battery staple").await.problem(401, "invalid-credentials");
        let unknown = login(&server, "nobody", "wrong horse battery staple").await.problem(401, "invalid-credentials");
        assert_eq!(told(&wrong), told(&unknown));
        wrong.never_says("wrong horse").never_says("ada");
        unknown.never_says("nobody");
    });
}

#[test]
fn guessing_one_account_is_slowed_down_and_others_are_not() {
    run(async {
        let server = TestServer::start_with(|settings| settings.limits.logins_per_account = 3).await;
        server.admin_account().await;
        let other = server.account(&["viewer"]).await;
        let mut refused = None;
        for _ in 0..6 {
            let answer = login(&server, "ada", "wrong horse battery staple").await;
            if answer.status == 429 {
                refused = Some(answer);
            }
        }
        let refused = refused.expect("the fourth attempt is too many").problem(429, "too-many-requests");
        assert!(
            refused.header("retry-after").and_then(|text| text.parse().ok()).is_some_and(|wait: u32| wait > 0),
            "{refused}"
        );
        // Also the right password has to wait, and neither another case nor another account is mixed up with it.
        login(&server, "ADA", PASSWORD).await.expect(429);
        login(&server, &other.username, PASSWORD).await.expect(200);
    });
}

#[test]
fn logging_out_ends_the_access_token_at_once() {
    run(async {
        let server = TestServer::start().await;
        let first = server.admin_account().await.clone();
        let second = server.log_in(first.id.clone(), "ada").await;
        first.client.post("/auth/logout").await.expect(204);
        first.client.get("/auth/me").await.expect(401).check_problem();
        let refresh = json!({"refresh_token": first.tokens.text("refresh_token")});
        server.anonymous().post("/auth/refresh").json(refresh).await.problem(401, "invalid-refresh-token");
        second.client.get("/auth/me").await.expect(200);
        first.client.post("/auth/logout").await.expect(401);
    });
}

#[test]
fn a_new_password_ends_the_other_sessions() {
    run(async {
        let server = TestServer::start().await;
        let first = server.admin_account().await.clone();
        let second = server.log_in(first.id.clone(), "ada").await;
        let fresh = "a quite different sentence";
        let change = |current: &str, new: &str| {
            first.client.put("/auth/password").json(json!({"current_password": current, "new_password": new}))
        };

        change("wrong horse battery staple", fresh).await.problem(403, "wrong-password").never_says("wrong horse");
        let weak = change(PASSWORD, "short").await.expect(400);
        assert_eq!(weak.pointers(), ["/new_password"]);
        second.client.get("/auth/me").await.expect(200);
        login(&server, "ada", PASSWORD).await.expect(200);

        change(PASSWORD, fresh).await.expect(204);
        first.client.get("/auth/me").await.expect(200);
        second.client.get("/auth/me").await.expect(401);
        let refresh = json!({"refresh_token": second.tokens.text("refresh_token")});
        server.anonymous().post("/auth/refresh").json(refresh).await.expect(401);
        login(&server, "ada", PASSWORD).await.problem(401, "invalid-credentials");
        login(&server, "ada", fresh).await.expect(200);
    });
}

#[test]
fn sessions_are_listed_and_ended_by_their_owner() {
    run(async {
        let server = TestServer::start().await;
        let bob = server.account(&["viewer"]).await;
        let again = server.log_in(bob.id.clone(), &bob.username).await;
        let eve = server.account(&["viewer"]).await;

        let sessions = bob.client.get("/auth/sessions").await.expect(200);
        assert_eq!(sessions.items().len(), 2);
        assert!(sessions.items().iter().all(|session| session["user_id"] == bob.id), "{sessions}");
        sessions.never_says("refresh_digest");
        let listed = again.client.get("/auth/sessions").await.expect(200);
        let current = listed.items().iter().find(|session| session["current"] == true).expect("the session that asks");
        let newest = current["id"].as_str().expect("an id");

        // Another's session does not exist for somebody who may not end it.
        eve.client.delete(&format!("/auth/sessions/{newest}")).await.problem(404, "not-found");
        again.client.get("/auth/me").await.expect(200);
        bob.client.delete(&format!("/auth/sessions/{newest}")).await.expect(204);
        again.client.get("/auth/me").await.expect(401);
        bob.client.get("/auth/me").await.expect(200);

        let third = server.log_in(bob.id.clone(), &bob.username).await;
        bob.client.delete("/auth/sessions").await.expect(204);
        for client in [&bob.client, &third.client] {
            client.get("/auth/me").await.expect(401);
        }
        eve.client.get("/auth/me").await.expect(200);
    });
}
