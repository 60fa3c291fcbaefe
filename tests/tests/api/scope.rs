//! Narrowed roles: whoever sees only some devices finds no other in any list, and can touch no other.

use kernex_tests::guests::MISBEHAVING;
use kernex_tests::harness::{DeviceKey, TestServer, eventually, run};
use serde_json::{Value, json};

async fn at_site(server: &TestServer, site: &str) -> kernex_tests::harness::TestDevice {
    let key = DeviceKey::ed25519();
    let body = json!({"public_key": key.public_pem(), "labels": {"site": site}});
    server.admin().await.post("/devices/preauthorize").json(body).await.expect(201);
    server.device_with(key, json!({})).await
}

#[test]
fn a_narrowed_role_sees_and_touches_its_own_devices_only() {
    run(async {
        let server = TestServer::start().await;
        let grants = json!(["device:*", "config:*", "bundle:list", "deployment:*"]);
        server.grant_roles(json!({"berliner": {"grants": grants, "devices": "site=berlin"}})).await;
        let (berlin, paris) = (at_site(&server, "berlin").await, at_site(&server, "paris").await);
        let narrowed = server.user("berliner").await;

        assert_eq!(narrowed.get("/devices").await.expect(200).all("id"), std::slice::from_ref(&berlin.id));
        assert!(narrowed.get("/devices").query("selector", "site=paris").await.expect(200).items().is_empty());
        assert_eq!(server.admin().await.get("/devices").await.expect(200).items().len(), 2);
        for path in ["", "/timeline", "/bundles", "/config/versions"] {
            narrowed.get(&format!("/devices/{}{path}", berlin.id)).await.expect(200);
            narrowed.get(&format!("/devices/{}{path}", paris.id)).await.problem(404, "not-found");
        }

        let own = narrowed.get(&format!("/devices/{}", berlin.id)).await.expect(200);
        let etag = own.header("etag").expect("an ETag");
        let edit =
            |id: &str| narrowed.patch(&format!("/devices/{id}")).header("if-match", etag).json(json!({"name": "mine"}));
        edit(&paris.id).await.problem(404, "not-found");
        edit(&berlin.id).await.expect(200);
        let config = json!({"document": {"level": 3}});
        narrowed.put(&format!("/devices/{}/config", paris.id)).json(config.clone()).await.problem(404, "not-found");
        narrowed.put(&format!("/devices/{}/config", berlin.id)).json(config).await.expect(200);
        narrowed.post(&format!("/devices/{}/rollback", paris.id)).json(json!({})).await.problem(404, "not-found");
        for step in ["block", "unblock", "retire"] {
            narrowed.post(&format!("/devices/{}/{step}", paris.id)).await.problem(404, "not-found");
        }
        let untouched = server.admin().await.get(&format!("/devices/{}", paris.id)).await.expect(200);
        assert_eq!(
            (&untouched["status"], &untouched["name"], &untouched["revision"]),
            (&json!("active"), &Value::Null, &json!(1))
        );
        narrowed.post(&format!("/devices/{}/block", berlin.id)).await.expect(200);
    });
}

#[test]
fn a_deployment_reaches_no_further_than_its_maker() {
    run(async {
        let server = TestServer::start().await;
        let grants = json!(["device:list", "bundle:list", "deployment:*"]);
        server.grant_roles(json!({"berliner": {"grants": grants, "devices": "site=berlin"}})).await;
        let (berlin, paris) = (at_site(&server, "berlin").await, at_site(&server, "paris").await);
        let narrowed = server.user("berliner").await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"content").await;
        let body = json!({"name": "everywhere", "bundle_id": bundle, "selector": "*"});
        let preview = narrowed.post("/deployments/preview").json(body.clone()).await.expect(200);
        assert_eq!(preview["devices"], 1, "{preview}");
        let made = narrowed.post("/deployments").json(body).await.expect(201);
        let command = eventually("a command", async || berlin.command().await).await;
        assert_eq!(command["deployment_id"], made.id());
        assert_eq!(paris.command().await, None);
    });
}

#[test]
fn what_shows_nothing_or_fails_is_recorded_as_the_question_that_it_was() {
    run(async {
        let server = TestServer::start_with(|settings| settings.plugins.allow_unsigned = true).await;
        let admin = server.admin().await;
        let plugin = admin.post("/plugins").bytes(MISBEHAVING).await.expect(201).text("digest");
        let decide = async |settings: Value| {
            let body = json!({
                "plugin": plugin, "gate": "authorization", "actions": ["device:list"], "settings": settings,
            });
            let written = admin.put("/policies/mine").json(body).await.expect(201);
            server.activate("mine", written["revision"].as_u64().expect("a number")).await;
        };
        let recorded = async |outcome: &str| {
            let decision = eventually("the decision is written", async || {
                let call = admin.get("/decisions").query("policy", "mine").query("outcome", outcome);
                call.await.expect(200).items().first().cloned()
            })
            .await;
            assert_eq!(decision["question"], "scope device:list", "{decision}");
            assert_eq!(decision["input"]["resource_kind"], "device", "{decision}");
            let id = decision["id"].as_str().expect("an identifier");
            let explained = admin.post(&format!("/decisions/{id}/explain")).await.expect(200);
            assert_eq!((&explained["same"], &explained["again"]["outcome"]), (&json!(true), &json!(outcome)));
            decision
        };
        // The list may be read, and nothing is in it.
        decide(json!({"decide": "trusting", "only": "check"})).await;
        let listed = admin.get("/devices").await.expect(200);
        assert!(listed.items().is_empty(), "{listed}");
        let denial = recorded("deny").await;
        assert_eq!((&denial["code"], denial["output"]["nothing"].is_object()), (&json!("as-asked"), true), "{denial}");

        decide(json!({"decide": "panic", "only": "scope", "allows": true})).await;
        let denied = admin.get("/devices").await.problem(403, "policy-fault");
        let fault = recorded("fault").await;
        assert_eq!((&fault["id"], &fault["output"]), (&denied["decision"], &Value::Null), "{fault}");
    });
}
