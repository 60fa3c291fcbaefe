//! Editing a device: on the revision that was read, a merge patch, within limits.

use kernex_tests::harness::{TestServer, run};
use serde_json::{Value, json};

#[test]
fn an_edit_needs_the_revision_that_was_read() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let device = server.device().await;
        let path = format!("/devices/{}", device.id);
        let edit = |etag: Option<&str>, value: &str| {
            let call = admin.patch(&path).json(json!({"labels": {"site": value}}));
            match etag {
                Some(etag) => call.header("if-match", etag),
                None => call,
            }
        };
        let site = async || admin.get(&path).await.expect(200)["labels"]["site"].clone();

        edit(None, "berlin").await.problem(428, "if-match-required");
        edit(Some("\"999\""), "berlin").await.problem(412, "stale");
        edit(Some("nonsense"), "berlin").await.expect(400).never_says("nonsense").check_problem();
        assert_eq!(site().await, Value::Null);

        let first = admin.get(&path).await.expect(200).header("etag").expect("an ETag").to_owned();
        let edited = edit(Some(&first), "berlin").await.expect(200);
        let second = edited.header("etag").expect("an ETag").to_owned();
        assert_ne!(first, second);
        edit(Some(&first), "paris").await.problem(412, "stale");
        assert_eq!(site().await, "berlin");
        edit(Some(&second), "paris").await.expect(200);
        assert_eq!(site().await, "paris");
    });
}

#[test]
fn of_two_edits_at_once_one_is_stale() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let device = server.device().await;
        let path = format!("/devices/{}", device.id);
        let etag = admin.get(&path).await.expect(200).header("etag").expect("an ETag").to_owned();
        let edits = (0..8).map(|n| {
            let body = json!({"labels": {"editor": format!("e{n}")}});
            admin.patch(&path).header("if-match", &etag).json(body).into_future()
        });
        let answers = futures_util::future::join_all(edits).await;
        let done: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(done.len(), 1, "{answers:#?}");
        assert!(answers.iter().all(|answer| answer.status == 200 || answer["code"] == "stale"), "{answers:#?}");
        assert_eq!(admin.get(&path).await.expect(200)["labels"], done[0]["labels"]);
        let timeline = admin.get(&format!("{path}/timeline")).await.expect(200);
        assert_eq!(timeline.all("code").iter().filter(|code| *code == "edited").count(), 1);
    });
}

#[test]
fn a_heartbeat_makes_no_edit_stale() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let device = server.device().await;
        let path = format!("/devices/{}", device.id);
        let etag = admin.get(&path).await.expect(200).header("etag").expect("an ETag").to_owned();
        device.heartbeat(json!({"facts": {"os": "linux"}})).await.expect(200);
        let edited = admin.patch(&path).header("if-match", &etag).json(json!({"name": "gate 7"})).await.expect(200);
        assert_eq!((&edited["name"], &edited["facts"]), (&json!("gate 7"), &json!({"os": "linux"})));
        let read = admin.get(&path).await.expect(200);
        assert_eq!((&read["name"], &read["facts"]), (&json!("gate 7"), &json!({"os": "linux"})));
    });
}

#[test]
fn an_edit_is_a_merge_patch() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let device = server.device().await;
        let path = format!("/devices/{}", device.id);
        let edit = async |body: Value| {
            let etag = admin.get(&path).await.expect(200).header("etag").expect("an ETag").to_owned();
            admin.patch(&path).header("if-match", &etag).json(body).await
        };
        edit(json!({"name": "gate 7", "labels": {"a": "1", "b": "2"}})).await.expect(200);
        let after = edit(json!({"labels": {"a": null, "c": "3"}})).await.expect(200);
        assert_eq!((&after["labels"], &after["name"]), (&json!({"b": "2", "c": "3"}), &json!("gate 7")));
        let after = edit(json!({"name": null})).await.expect(200);
        assert_eq!((&after["labels"], &after["name"]), (&json!({"b": "2", "c": "3"}), &Value::Null));

        let many: serde_json::Map<String, Value> = (0..65).map(|n| (format!("k{n}"), json!("v"))).collect();
        for (body, pointer) in [
            (json!({"labels": many}), "/labels"),
            (json!({"labels": {"site": "two words"}}), "/labels/site"),
            (json!({"labels": {"site": 7}}), "/labels/site"),
            (json!({"labels": {"site": "x".repeat(129)}}), "/labels/site"),
            (json!({"labels": {"fact.os": "linux"}}), "/labels"),
            (json!({"name": " padded "}), "/name"),
            (json!({"name": "x".repeat(129)}), "/name"),
        ] {
            let answer = edit(body).await.expect(400);
            answer.check_problem();
            assert!(answer.pointers().iter().any(|found| found.starts_with(pointer)), "{pointer}\n{answer}");
        }
        edit(json!({"status": "retired"})).await.expect(400).check_problem();
        edit(json!({"facts": {"os": "qnx"}})).await.expect(400).check_problem();
        let read = admin.get(&path).await.expect(200);
        assert_eq!((&read["labels"], &read["status"]), (&json!({"b": "2", "c": "3"}), &json!("active")));
    });
}
