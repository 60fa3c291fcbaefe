//! The first admin, and who may register after that.

use kernex::config::Registration;
use kernex_tests::harness::{PASSWORD, TestServer, run};
use serde_json::{Value, json};

fn body(name: &str, token: Option<&str>) -> Value {
    json!({"username": name, "email": format!("{name}@example.org"), "password": PASSWORD, "setup_token": token})
}

#[test]
fn the_setup_token_makes_one_admin_and_no_more() {
    run(async {
        let server = TestServer::start().await;
        let token = server.setup_token().expect("printed while there is no account");
        let nobody = server.anonymous();

        nobody.post("/auth/register").json(body("eve", None)).await.problem(403, "setup-token-required");
        for wrong in ["", "hunter2", &format!("{token}x"), &token[..token.len() - 1]] {
            let refused =
                nobody.post("/auth/register").json(body("eve", Some(wrong))).await.problem(403, "setup-token-wrong");
            if !wrong.is_empty() {
                refused.never_says(wrong);
            }
        }
        let login = json!({"username": "eve", "password": PASSWORD});
        nobody.post("/auth/login").json(login).await.problem(401, "invalid-credentials");

        let made = nobody.post("/auth/register").json(body("ada", Some(&token))).await.expect(201);
        assert_eq!(made["roles"], json!(["admin"]));
        assert_eq!(made["disabled"], false);
        assert!(made.header("location").is_some_and(|location| location.ends_with(&made.id())), "{made}");
        made.never_says(PASSWORD);

        nobody.post("/auth/register").json(body("eve", Some(&token))).await.problem(409, "already-set-up");
        let admin = server.log_in(String::new(), "ada").await.client;
        assert_eq!(admin.get("/users").await.expect(200).all("username"), ["ada"]);
    });
}

#[test]
fn of_two_at_once_one_becomes_the_first_admin() {
    run(async {
        let server = TestServer::start().await;
        let token = server.setup_token().expect("printed while there is no account");
        let names: Vec<String> = (0..8).map(|n| format!("racer-{n}")).collect();
        let calls = names
            .iter()
            .map(|name| server.anonymous().post("/auth/register").json(body(name, Some(&token))).into_future());
        let answers = futures_util::future::join_all(calls).await;

        let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
        assert_eq!(made.len(), 1, "{answers:#?}");
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            answer.clone().problem(409, "already-set-up");
        }
        let winner = made[0].text("username");
        let admin = server.log_in(made[0].id(), &winner).await.client;
        assert_eq!(admin.get("/users").await.expect(200).all("username"), [winner]);
    });
}

#[test]
fn a_restart_prints_no_token_once_there_is_an_account() {
    run(async {
        let mut server = TestServer::durable().await;
        let first = server.setup_token().expect("printed while there is no account");
        server.restart().await;
        let second = server.setup_token().expect("there is still no account");
        assert_ne!(first, second);
        server
            .anonymous()
            .post("/auth/register")
            .json(body("ada", Some(&first)))
            .await
            .problem(403, "setup-token-wrong");
        let admin = server.admin().await;
        server.restart().await;
        assert_eq!(server.setup_token(), None);
        // What was signed before the restart is still good: the key is kept.
        assert_eq!(admin.get("/auth/me").await.expect(200)["username"], "ada");
    });
}

#[test]
fn closed_registration_makes_no_account() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        server.anonymous().post("/auth/register").json(body("bob", None)).await.problem(403, "registration-closed");
        assert_eq!(admin.get("/users").await.expect(200).all("username"), ["ada"]);
    });
}

#[test]
fn open_registration_gives_the_roles_of_the_setting_and_no_others() {
    run(async {
        let server = TestServer::start_with(|settings| {
            settings.registration = Registration::Open;
            settings.registration_roles = vec!["viewer".parse().expect("a role's name")];
        })
        .await;
        server.admin().await;
        let mut greedy = body("bob", None);
        greedy["roles"] = json!(["admin"]);
        server.anonymous().post("/auth/register").json(greedy).await.expect(400);
        let made = server.anonymous().post("/auth/register").json(body("bob", None)).await.expect(201);
        assert_eq!(made["roles"], json!(["viewer"]));
        let bob = server.log_in(made.id(), "bob").await.client;
        bob.get("/devices").await.expect(200);
        bob.get("/users").await.expect(200);
        bob.post("/api-keys").json(json!({"name": "x", "roles": ["admin"]})).await.expect(403);
    });
}

#[test]
fn names_and_addresses_are_unique_whatever_their_case() {
    run(async {
        let server = TestServer::start_with(|settings| settings.registration = Registration::Open).await;
        let admin = server.admin().await;
        let register = |name: &str, email: &str| {
            let body = json!({"username": name, "email": email, "password": PASSWORD});
            server.anonymous().post("/auth/register").json(body)
        };
        register("ADA", "other@example.org").await.problem(409, "username-taken");
        register("Other", "ADA@Example.ORG").await.problem(409, "email-taken");
        register("Other", "other@example.org").await.expect(201);
        register("other", "third@example.org").await.problem(409, "username-taken");
        assert_eq!(admin.get("/users").await.expect(200).all("username"), ["ada", "Other"]);
    });
}

#[test]
fn a_registration_says_which_fields_are_wrong_and_repeats_none() {
    run(async {
        let server = TestServer::start_with(|settings| settings.registration = Registration::Open).await;
        let admin = server.admin().await;
        let good = json!({"username": "bob", "email": "bob@example.org", "password": PASSWORD});
        for (field, value, secret) in [
            ("username", json!("-bob-"), "-bob-"),
            ("username", json!("b"), "\"b\""),
            ("username", json!("x".repeat(65)), "xxxxx"),
            ("email", json!("no-address"), "no-address"),
            ("email", json!("a@b"), "a@b"),
            ("password", json!("hunter2"), "hunter2"),
            ("password", json!("p".repeat(257)), "ppppp"),
            ("password", json!("bob@example.org"), "bob@example.org"),
            ("password", json!(7_777_777), "7777777"),
            ("password", Value::Null, "correct horse"),
        ] {
            let mut body = good.clone();
            body[field] = value;
            let answer = server.anonymous().post("/auth/register").json(body).await.expect(400).never_says(secret);
            answer.check_problem();
            assert_eq!(answer.pointers(), [format!("/{field}")], "{answer}");
        }
        let both = json!({"username": "-", "email": "x", "password": PASSWORD});
        let answer = server.anonymous().post("/auth/register").json(both).await.expect(400);
        assert_eq!(answer.pointers().len(), 2, "{answer}");
        assert_eq!(admin.get("/users").await.expect(200).all("username"), ["ada"]);
    });
}

#[test]
fn an_invitation_makes_one_account_for_its_address() {
    run(async {
        let server = TestServer::start_with(|settings| settings.registration = Registration::Invitation).await;
        let admin = server.admin().await;
        let invite = json!({"email": "Bob@example.org", "roles": ["operator"]});
        server.user("operator").await.post("/users/invitations").json(invite.clone()).await.expect(403);
        let invited = admin.post("/users/invitations").json(invite).await.expect(201);
        let invitation = invited.text("invitation");
        let register = |name: &str, invitation: Option<&str>| {
            let email = format!("{name}@example.org");
            let body = json!({"username": name, "email": email, "password": PASSWORD, "invitation": invitation});
            server.anonymous().post("/auth/register").json(body)
        };
        register("bob", None).await.problem(403, "invitation-required");
        register("eve", Some(&invitation)).await.problem(403, "invitation-wrong").never_says(&invitation);
        register("bob", Some(&invitation[..invitation.len() - 3])).await.problem(403, "invitation-wrong");
        register("bob", Some(admin.token())).await.problem(403, "invitation-wrong");
        // An invitation is no access token.
        admin.with_token(&*invitation).get("/auth/me").await.expect(401);

        let made = register("bob", Some(&invitation)).await.expect(201);
        assert_eq!(made["roles"], json!(["operator"]));
        let again =
            json!({"username": "bob2", "email": "bob@example.org", "password": PASSWORD, "invitation": invitation});
        server.anonymous().post("/auth/register").json(again).await.problem(409, "email-taken");
    });
}
