//! Errors: whatever goes wrong, the answer is a problem document that says what and repeats nothing.

use kernex_tests::harness::{Answer, Call, TestServer, run};
use reqwest::{Body, Method};
use serde_json::{Value, json};

/// What must not come back, wherever it stood in the request.
const SECRET: &str = "hunter2";

/// Sends a call and checks its answer from head to foot.
async fn refused(call: Call, status: u16, code: &str) -> Answer {
    call.await.problem(status, code).never_says(SECRET)
}

#[test]
fn paths_and_methods_that_do_not_exist() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        for client in [&admin, &server.anonymous()] {
            refused(client.get("/nothing"), 404, "unknown-path").await;
            refused(client.root(Method::GET, "/"), 404, "unknown-path").await;
            refused(client.root(Method::GET, "/api/v2/devices"), 404, "unknown-path").await;
            refused(client.root(Method::POST, "/favicon.ico"), 404, "unknown-path").await;
            refused(client.delete("/devices"), 405, "method-not-allowed").await;
            refused(client.put("/auth/login"), 405, "method-not-allowed").await;
            refused(client.root(Method::POST, "/openapi.json"), 405, "method-not-allowed").await;
        }
        // The instance is the path, never the query.
        let answer =
            admin.get("/nothing").query("password", SECRET).await.problem(404, "unknown-path").never_says(SECRET);
        assert_eq!(answer["instance"], "/api/v1/nothing");
    });
}

#[test]
fn bodies_that_are_not_what_they_should_be() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let post = || admin.post("/api-keys");
        let json_text = |text: &str| post().text("application/json", text.to_owned());
        refused(json_text("{\"name\": \"hunter2\","), 400, "malformed-json").await;
        refused(json_text("hunter2"), 400, "malformed-json").await;
        refused(json_text("\u{feff}{}"), 400, "malformed-json").await;
        refused(post().text("application/json", vec![0xff, 0xfe, 0x00]), 400, "malformed-json").await;
        for (body, pointer) in [
            (json!([SECRET]), ""),
            (json!(SECRET), ""),
            (Value::Null, ""),
            (json!({"name": 7, "roles": []}), "/name"),
            (json!({"name": "x"}), "/roles"),
            (json!({"name": "x", "roles": SECRET}), "/roles"),
            (json!({"name": "x", "roles": [], "colour": SECRET}), "/colour"),
        ] {
            let answer = refused(post().json(body.clone()), 400, "invalid-body").await;
            let pointers = answer.pointers();
            assert!(pointers.iter().any(|found| found == pointer) || body.is_null(), "{pointer}\n{answer}");
        }
        refused(json_text(""), 400, "invalid-body").await;
        refused(post().text("text/plain", SECRET), 415, "unsupported-media-type").await;
        refused(post().text("application/x-www-form-urlencoded", "name=hunter2"), 415, "unsupported-media-type").await;
        refused(post().bytes("{}"), 415, "unsupported-media-type").await;
        post().text("application/json; charset=utf-8", json!({"name": "x", "roles": []}).to_string()).await.expect(201);
        assert_eq!(admin.get("/api-keys").await.expect(200).items().len(), 1);
    });
}

#[test]
fn maps_have_limits_where_they_are_read() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let many = |count: usize| (0..count).map(|n| (format!("k{n}"), "v".into())).collect::<serde_json::Map<_, _>>();
        let preview = |settings: Value| {
            let plan = json!({"settings": settings});
            admin.post("/deployments/preview").json(json!({"name": "x", "selector": "*", "config": {}, "plan": plan}))
        };
        let patch = |labels: Value| {
            let nobody = admin.patch("/devices/dev_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D");
            nobody.header("if-match", "\"1\"").json(json!({"labels": labels}))
        };
        for (call, pointer) in [
            (patch(many(129).into()), "/labels"),
            (preview(many(65).into()), "/plan/settings"),
            (preview(json!({"sites": {"berlin": 1}})), "/plan/settings/sites"),
            (preview(json!({"sites": "x".repeat(257)})), "/plan/settings/sites"),
        ] {
            let answer = refused(call, 400, "invalid-body").await;
            assert_eq!(answer.pointers(), [pointer], "{answer}");
        }
        refused(patch(many(128).into()), 404, "not-found").await;
        preview(json!({"sites": ["berlin", "paris"], "share": 0.5, "urgent": true})).await.expect(200);
    });
}

/// Sends a body that is too large. The server answers before it has read all of it and hangs up, which a client
/// that is still sending may notice before the answer.
async fn turned_away(call: Call) {
    match call.send().await {
        Ok(answer) => drop(answer.problem(413, "body-too-large")),
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
}

#[test]
fn deep_and_large_bodies() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        refused(admin.post("/api-keys").text("application/json", deep), 400, "malformed-json").await;
        let large = json!({"name": "x".repeat(1024 * 1024), "roles": []}).to_string();
        turned_away(admin.post("/api-keys").text("application/json", large.clone())).await;
        // Without an announced length.
        let parts =
            large.into_bytes().chunks(64 * 1024).map(|part| Ok::<_, std::io::Error>(part.to_vec())).collect::<Vec<_>>();
        let stream = Body::wrap_stream(futures_util::stream::iter(parts));
        turned_away(admin.post("/api-keys").text("application/json", stream)).await;
        let long = "x".repeat(9_000);
        refused(admin.get("/devices").query("selector", &long), 414, "target-too-long").await;
        assert!(admin.get("/api-keys").await.expect(200).items().is_empty());
    });
}

#[test]
fn parameters_that_are_not_what_they_should_be() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        for (name, value) in [
            ("limit", "0"),
            ("limit", "1001"),
            ("limit", "-1"),
            ("limit", SECRET),
            ("cursor", SECRET),
            ("cursor", ""),
            ("cursor", "AAAA"),
            ("selector", ""),
            ("selector", "channel=hunter2=x"),
            ("selector", "hunter2 between (1,2)"),
            ("selector", "channel in (hunter2"),
            ("status", SECRET),
        ] {
            let answer = refused(admin.get("/devices").query(name, value), 400, "invalid-parameter").await;
            assert_eq!(answer.pointers(), [name], "{name}={value}\n{answer}");
        }
        refused(admin.get("/devices").query("cursor", "x".repeat(600)), 400, "invalid-parameter").await;
        for path in
            ["/devices/hunter2", "/users/hunter2", "/bundles/hunter2", "/decisions/hunter2", "/deployments/usr_hunter2"]
        {
            let answer = admin.get(path).await.expect(400);
            answer.check_problem();
            assert!(!answer.text("detail").contains(SECRET), "{answer}");
        }
        admin.get("/devices").query("limit", 1_000).await.expect(200);
    });
}

#[test]
fn a_cursor_belongs_to_its_list() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        server.account(&[]).await;
        let users = admin.get("/users").query("limit", 1).await.expect(200);
        let cursor = users["next"].as_str().expect("more").to_owned();
        admin.get("/users").query("cursor", &cursor).await.expect(200);
        for path in ["/devices", "/bundles", "/audit", "/decisions", "/deployments"] {
            let answer = admin.get(path).query("cursor", &cursor).await.expect(400);
            answer.check_problem();
            assert_eq!(answer.pointers(), ["cursor"], "{answer}");
        }
    });
}

#[test]
fn every_answer_has_a_request_id_of_its_own() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let mut ids = std::collections::BTreeSet::new();
        for path in ["/devices", "/users", "/nothing", "/devices/not-an-id"] {
            let answer = admin.get(path).header("x-request-id", SECRET).await.never_says(SECRET);
            let id = answer.header("x-request-id").expect("a request id").to_owned();
            assert!(id.starts_with("req_"), "{id}");
            assert!(ids.insert(id), "twice");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
    });
}

#[test]
fn a_missing_token_tells_nothing_about_the_rest() {
    run(async {
        let server = TestServer::start().await;
        let nobody = server.anonymous();
        refused(nobody.get("/devices"), 401, "authentication-required").await;
        refused(nobody.get("/devices").query("limit", SECRET), 401, "authentication-required").await;
        nobody.get("/devices/not-an-id").await.problem(401, "authentication-required");
        refused(nobody.post("/api-keys").text("application/json", "hunter2"), 401, "authentication-required").await;
        refused(nobody.post("/deployments").json(json!({"name": SECRET})), 401, "authentication-required").await;
        let admin = server.admin().await;
        assert!(admin.get("/api-keys").await.expect(200).items().is_empty());
    });
}

#[test]
fn a_denial_names_its_decision() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let viewer = server.account(&["viewer"]).await;
        let denied = viewer.client.post("/api-keys").json(json!({"name": "x", "roles": ["admin"]})).await.expect(403);
        denied.check_problem();
        let decision = denied.text("decision");
        let read = kernex_tests::harness::eventually("the decision is recorded", async || {
            let answer = admin.get(&format!("/decisions/{decision}")).await;
            (answer.status == 200).then_some(answer)
        })
        .await;
        assert_eq!((&read["gate"], &read["outcome"]), (&json!("authorization"), &json!("deny")));
        assert_eq!((&read["subject"], &read["question"]), (&json!(viewer.id), &json!("api-key:create")));
        assert_eq!(read["request_id"], denied["request_id"]);
        assert_eq!((&read["policy"], &read["code"]), (&json!("rbac"), &denied["code"]));
        assert!(admin.get("/api-keys").await.expect(200).items().is_empty());
    });
}

#[test]
fn the_server_is_not_ready_where_a_part_of_it_cannot_work() {
    run(async {
        let server = TestServer::start().await;
        let ready = async || server.anonymous().root(Method::GET, "/health/ready").await;
        let well = ready().await.expect(200);
        let parts = |answer: &Answer| -> Vec<(Value, Value)> {
            let checks = answer["checks"].as_array().cloned().unwrap_or_default();
            assert!(checks.iter().all(|check| check["took_us"].is_u64()), "each is timed\n{answer}");
            checks.iter().map(|check| (check["name"].clone(), check["working"].clone())).collect()
        };
        let names = ["store", "bundles", "policies", "disk"];
        assert_eq!(parts(&well), names.map(|name| (json!(name), json!(true))));
        std::fs::remove_dir_all(server.directory().join("data/bundles")).expect("the place for bundles");
        kernex_tests::harness::eventually("it is noticed", async || (ready().await.status == 503).then_some(())).await;
        let ill = ready().await.problem(503, "not-ready");
        assert!(ill["detail"].as_str().is_some_and(|detail| detail.contains("bundles")), "{ill}");
        assert_eq!(parts(&ill), names.map(|name| (json!(name), json!(name != "bundles"))));
        let said = ill.to_string();
        assert!(!said.contains("/tmp"), "no paths for everybody: {said}");
        server.anonymous().root(Method::GET, "/health/live").await.expect(200);
    });
}

#[test]
fn health_and_documentation_need_no_credentials() {
    run(async {
        let server = TestServer::start().await;
        let nobody = server.anonymous();
        for path in ["/health/live", "/health/ready"] {
            assert_eq!(nobody.root(Method::GET, path).await.expect(200)["status"], "ok");
        }
        let document = nobody.root(Method::GET, "/openapi.json").await.expect(200);
        assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")), "{document}");
        let page = nobody.root(Method::GET, "/docs").await.expect(200);
        assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    });
}
