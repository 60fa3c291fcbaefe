//! Accounts as administrators see them.

use kernex_tests::harness::{PASSWORD, TestServer, run};
use serde_json::json;

#[test]
fn a_disabled_account_is_shut_out_at_once() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let bob = server.account(&["operator"]).await;
        let path = format!("/users/{}", bob.id);

        let disabled = admin.edit(&path, json!({"disabled": true})).await.expect(200);
        assert_eq!(disabled["disabled"], true);
        bob.client.get("/auth/me").await.expect(401).check_problem();
        let login = json!({"username": bob.username, "password": PASSWORD});
        server.anonymous().post("/auth/login").json(login.clone()).await.problem(401, "invalid-credentials");
        let refresh = json!({"refresh_token": bob.tokens.text("refresh_token")});
        server.anonymous().post("/auth/refresh").json(refresh).await.expect(401);

        admin.edit(&path, json!({"disabled": false})).await.expect(200);
        // The old login stays ended.
        bob.client.get("/auth/me").await.expect(401);
        server.anonymous().post("/auth/login").json(login).await.expect(200);
    });
}

#[test]
fn roles_take_effect_with_the_next_call() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let bob = server.account(&["viewer"]).await;
        let path = format!("/users/{}", bob.id);
        let make_key = || bob.client.post("/api-keys").json(json!({"name": "x", "roles": ["viewer"]}));

        make_key().await.expect(403);
        admin.edit(&path, json!({"roles": ["viewer", "admin"]})).await.expect(200);
        make_key().await.expect(201);
        admin.edit(&path, json!({"roles": []})).await.expect(200);
        make_key().await.expect(403);
        bob.client.get("/devices").await.expect(403);
        assert_eq!(bob.client.get("/auth/me").await.expect(200)["roles"], json!([]));
        assert_eq!(admin.get("/api-keys").await.expect(200).items().len(), 1);
    });
}

#[test]
fn the_last_admin_stays() {
    run(async {
        let server = TestServer::start().await;
        let first = server.admin_account().await.clone();
        let path = format!("/users/{}", first.id);
        for change in [json!({"disabled": true}), json!({"roles": ["viewer"]}), json!({"roles": []})] {
            first.client.edit(&path, change).await.problem(409, "last-admin");
        }
        let me = first.client.get("/auth/me").await.expect(200);
        assert_eq!((&me["roles"], &me["disabled"]), (&json!(["admin"]), &json!(false)));

        // A disabled second admin does not count; an enabled one does.
        let second = server.account(&["admin"]).await;
        let second_path = format!("/users/{}", second.id);
        first.client.edit(&second_path, json!({"disabled": true})).await.expect(200);
        first.client.edit(&path, json!({"disabled": true})).await.problem(409, "last-admin");
        first.client.edit(&second_path, json!({"disabled": false})).await.expect(200);
        first.client.edit(&path, json!({"roles": ["viewer"]})).await.expect(200);
        first.client.edit(&second_path, json!({"disabled": true})).await.expect(403);
    });
}

#[test]
fn of_two_admins_that_disable_each_other_one_stays() {
    run(async {
        let server = TestServer::start().await;
        let first = server.admin_account().await.clone();
        let second = server.account(&["admin"]).await;
        let disable = |by: &kernex_tests::harness::Client, id: &str| {
            // Both have read the other's account as it was made.
            let call = by.patch(&format!("/users/{id}")).header("if-match", "\"1\"");
            call.json(json!({"disabled": true})).into_future()
        };
        let (one, two) = tokio::join!(disable(&first.client, &second.id), disable(&second.client, &first.id));
        let done = [&one, &two].into_iter().filter(|answer| answer.status == 200).count();
        assert_eq!(done, 1, "{one}\n{two}");
        let left = if one.status == 200 { &first } else { &second };
        let users = left.client.get("/users").await.expect(200);
        assert_eq!(users.items().iter().filter(|user| user["disabled"] == false).count(), 1, "{users}");
    });
}

#[test]
fn an_account_is_edited_on_the_revision_that_was_read() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let bob = server.account(&["viewer"]).await;
        let path = format!("/users/{}", bob.id);
        let read = admin.get(&path).await.expect(200);
        let etag = read.header("etag").expect("an ETag").to_owned();
        admin.patch(&path).json(json!({"roles": ["admin"]})).await.problem(428, "if-match-required");
        assert_eq!(admin.get(&path).await.expect(200)["roles"], json!(["viewer"]));
        admin.patch(&path).header("if-match", &etag).json(json!({"roles": ["operator"]})).await.expect(200);
        admin.patch(&path).header("if-match", &etag).json(json!({"roles": ["admin"]})).await.problem(412, "stale");
        assert_eq!(admin.get(&path).await.expect(200)["roles"], json!(["operator"]));
        admin.get("/users/usr_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D").await.problem(404, "not-found");
    });
}

#[test]
fn an_admin_ends_somebodys_sessions() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let bob = server.account(&["viewer"]).await;
        let eve = server.account(&["viewer"]).await;
        eve.client.delete(&format!("/users/{}/sessions", bob.id)).await.expect(403);
        bob.client.get("/auth/me").await.expect(200);
        admin.delete(&format!("/users/{}/sessions", bob.id)).await.expect(204);
        bob.client.get("/auth/me").await.expect(401);
        eve.client.get("/auth/me").await.expect(200);
    });
}

#[test]
fn users_are_listed_page_by_page() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let mut expected = vec!["ada".to_owned()];
        for _ in 0..4 {
            expected.push(server.account(&[]).await.username);
        }
        let mut seen = Vec::new();
        let mut page = admin.get("/users").query("limit", 2).await.expect(200);
        loop {
            assert!(page.items().len() <= 2);
            seen.extend(page.all("username"));
            let Some(next) = page["next"].as_str().map(str::to_owned) else { break };
            page = admin.get("/users").query("limit", 2).query("cursor", next).await.expect(200);
        }
        assert_eq!(seen, expected);
    });
}
