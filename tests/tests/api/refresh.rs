//! Renewing a login: the refresh token works once, and an old one betrays a thief.

use kernex_tests::harness::{Answer, TestServer, run};
use serde_json::json;

async fn refresh(server: &TestServer, token: &str) -> Answer {
    server.anonymous().post("/auth/refresh").json(json!({"refresh_token": token})).await
}

#[test]
fn a_refresh_token_is_replaced_by_the_next() {
    run(async {
        let server = TestServer::start().await;
        let login = server.admin_account().await.tokens.clone();
        let mut token = login.text("refresh_token");
        for _ in 0..3 {
            let renewed = refresh(&server, &token).await.expect(200);
            assert_eq!(renewed["token_type"], "Bearer");
            assert_ne!(renewed.text("refresh_token"), token);
            server.anonymous().with_token(renewed.text("access_token")).get("/auth/me").await.expect(200);
            token = renewed.text("refresh_token");
        }
        // It is one session all the while.
        let sessions = server.admin().await.get("/auth/sessions").await.expect(200);
        assert_eq!(sessions.items().len(), 1, "{sessions}");
    });
}

#[test]
fn an_old_refresh_token_ends_the_session() {
    run(async {
        let server = TestServer::start().await;
        let account = server.admin_account().await.clone();
        let stolen = account.tokens.text("refresh_token");
        let renewed = refresh(&server, &stolen).await.expect(200);
        refresh(&server, &stolen).await.problem(401, "refresh-token-reused").never_says(&stolen);
        // Neither the thief nor the owner goes on, with any token of that login.
        refresh(&server, &renewed.text("refresh_token")).await.problem(401, "invalid-refresh-token");
        for token in [account.tokens.text("access_token"), renewed.text("access_token")] {
            server.anonymous().with_token(token).get("/auth/me").await.expect(401);
        }
        let again = server.log_in(account.id, "ada").await;
        assert_eq!(again.client.get("/auth/sessions").await.expect(200).items().len(), 1);
    });
}

#[test]
fn of_renewals_at_once_one_wins_and_the_session_lives() {
    run(async {
        let server = TestServer::start().await;
        let account = server.admin_account().await.clone();
        let token = account.tokens.text("refresh_token");
        let answers = futures_util::future::join_all((0..8).map(|_| refresh(&server, &token))).await;
        let winners: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(winners.len(), 1, "{answers:#?}");
        // Whoever was late is told so; a call that began after the winner was done may end the session instead.
        let ended = answers.iter().any(|answer| answer["code"] == "refresh-token-reused");
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            answer.check_problem();
            assert!(
                ["refresh-raced", "refresh-token-reused", "invalid-refresh-token"].contains(&&*answer.text("code")),
                "{answer}"
            );
        }
        let next = refresh(&server, &winners[0].text("refresh_token")).await;
        assert_eq!(next.status == 200, !ended, "{next}");
    });
}

#[test]
fn what_is_no_refresh_token_is_refused() {
    run(async {
        let server = TestServer::start().await;
        let account = server.admin_account().await.clone();
        let good = account.tokens.text("refresh_token");
        for wrong in ["", "hunter2", &good[..good.len() - 2], &account.tokens.text("access_token")] {
            refresh(&server, wrong).await.problem(401, "invalid-refresh-token");
        }
        // And it is no access token.
        account.client.with_token(good.clone()).get("/auth/me").await.expect(401);
        refresh(&server, &good).await.expect(200);
    });
}
