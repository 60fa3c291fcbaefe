//! Downloading bundles: ranges and validators for everybody, content for a device only where it is meant for it.

use kernex_tests::harness::{Client, TestDevice, TestServer, eventually, run};
use reqwest::Method;
use serde_json::{Value, json};

const CONTENT: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

#[test]
fn parts_are_served_as_they_are_asked_for() {
    run(async {
        let server = TestServer::start().await;
        let id = server.bundle("gateway-os", "1.0.0", CONTENT).await;
        let operator = server.user("operator").await;
        let path = format!("/bundles/{id}/content");
        for (range, from, to) in [
            ("bytes=0-9", 0, 10),
            ("bytes=10-", 10, 36),
            ("bytes=-6", 30, 36),
            ("bytes=30-99", 30, 36),
            ("bytes=35-35", 35, 36),
        ] {
            let part = operator.get(&path).header("range", range).await.expect(206);
            assert_eq!(part.body, &CONTENT[from..to], "{range}");
            assert_eq!(part.header("content-range"), Some(&*format!("bytes {from}-{}/36", to - 1)));
            assert_eq!(part.header("content-length"), Some(&*(to - from).to_string()));
        }
        let beyond = operator.get(&path).header("range", "bytes=36-").await.problem(416, "range-not-satisfiable");
        assert_eq!(beyond.header("content-range"), Some("bytes */36"));
        for ignored in ["bytes=9-2", "items=0-1", "bytes=0-1,4-5", "nonsense"] {
            assert_eq!(operator.get(&path).header("range", ignored).await.expect(200).body, CONTENT, "{ignored}");
        }
    });
}

#[test]
fn validators_spare_a_download() {
    run(async {
        let server = TestServer::start().await;
        let id = server.bundle("gateway-os", "1.0.0", CONTENT).await;
        let operator = server.user("operator").await;
        let path = format!("/bundles/{id}/content");
        let whole = operator.get(&path).await.expect(200);
        let etag = whole.header("etag").expect("an ETag").to_owned();
        assert_eq!(whole.header("accept-ranges"), Some("bytes"));

        let same = operator.get(&path).header("if-none-match", &etag).await.expect(304);
        assert_eq!((same.body.len(), same.header("etag")), (0, Some(&*etag)));
        operator.get(&path).header("if-none-match", "\"other\"").await.expect(200);
        let resumed = operator.get(&path).header("if-range", &etag).header("range", "bytes=30-").await.expect(206);
        assert_eq!(resumed.body, &CONTENT[30..]);
        let changed =
            operator.get(&path).header("if-range", "\"other\"").header("range", "bytes=30-").await.expect(200);
        assert_eq!(changed.body, CONTENT);
        operator.get(&path).header("if-match", "\"other\"").await.expect(412).check_problem();

        let head = operator.call(Method::HEAD, &path).await.expect(200);
        assert_eq!((head.body.len(), head.header("content-length")), (0, Some("36")));
        assert_eq!(head.header("etag"), Some(&*etag));
        assert_eq!(head.header("repr-digest"), whole.header("repr-digest"));
    });
}

/// Deploys a bundle to the devices of a selector; gives the deployment.
async fn deploy(operator: &Client, bundle: &str, selector: &str) -> String {
    let plan = json!({"soak_s": 0, "canary": 0});
    let body = json!({"name": "a deployment", "bundle_id": bundle, "selector": selector, "plan": plan});
    operator.post("/deployments").json(body).await.expect(201).id()
}

/// A device that is in a deployment of the bundle, with its command.
async fn target(server: &TestServer, bundle: &str) -> (TestDevice, Value) {
    let device = server.device().await;
    device.heartbeat(json!({"facts": {"target": "yes"}})).await.expect(200);
    deploy(&server.admin().await, bundle, "fact.target=yes").await;
    let command = eventually("a command", async || device.command().await).await;
    (device, command)
}

#[test]
fn a_device_downloads_what_its_command_names() {
    run(async {
        let server = TestServer::start().await;
        let id = server.bundle("gateway-os", "1.0.0", CONTENT).await;
        let (device, command) = target(&server, &id).await;
        assert_eq!((&command["kind"], &command["bundle"]["id"]), (&json!("install"), &json!(id)));
        assert_eq!(command["bundle"]["size"], 36);
        let path = command["bundle"]["download_path"].as_str().expect("a path");
        let down = device.client.get(path).await.expect(200);
        assert_eq!(down.body, CONTENT);
        assert!(down.header("repr-digest").is_some(), "{down}");
        let resumed = device.download(&id).header("range", "bytes=30-").await.expect(206);
        assert_eq!(resumed.body, &CONTENT[30..]);
        device.client.call(Method::HEAD, path).await.expect(200);
    });
}

#[test]
fn a_device_that_is_no_target_gets_nothing() {
    run(async {
        let server = TestServer::start().await;
        let id = server.bundle("gateway-os", "1.0.0", CONTENT).await;
        let other = server.bundle("other-os", "1.0.0", b"other").await;
        let stranger = server.device().await;
        stranger.download(&id).await.problem(403, "not-a-target");
        let (device, command) = target(&server, &id).await;
        device.download(&id).await.expect(200);
        for (who, what) in [(&stranger, &id), (&device, &other)] {
            let refused = who.download(what).await.problem(403, "not-a-target");
            assert!(!refused.body.windows(6).any(|part| part == b"abcdef"), "{refused}");
        }
        // A bundle that does not exist looks the same: whether there is one is none of a device's business.
        let unknown = device.download("bun_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D").await;
        assert_eq!((unknown.status.as_u16(), unknown.text("code")), (403, "not-a-target".to_owned()));
        // Neither is the operators' way open to it, nor the devices' way to operators.
        device.client.get(&format!("/bundles/{id}/content")).await.expect(403);
        server.admin().await.get(&format!("/device/bundles/{id}/content")).await.expect(403);

        device.report(&command, "installed").await.expect(200);
        eventually("the command is done", async || device.command().await.is_none().then_some(())).await;
        device.download(&id).await.problem(403, "not-a-target");
    });
}

#[test]
fn a_cancelled_target_keeps_no_access() {
    run(async {
        let server = TestServer::start().await;
        let id = server.bundle("gateway-os", "1.0.0", CONTENT).await;
        let (device, command) = target(&server, &id).await;
        device.report(&command, "rejected").await.expect(200);
        eventually("the command is withdrawn", async || device.command().await.is_none().then_some(())).await;
        device.download(&id).await.problem(403, "not-a-target");
    });
}
