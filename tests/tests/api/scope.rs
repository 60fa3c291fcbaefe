//! Narrowed roles: whoever sees only some devices finds no other in any list, and can touch no other.

use kernex::config::Settings;
use kernex::host;
use kernex_model::digest::Digest;
use kernex_model::document::PolicyRevision;
use kernex_model::id::AuditId;
use kernex_model::principal::Principal;
use kernex_model::record::AuditRecord;
use kernex_model::time::Timestamp;
use kernex_store::Changes;
use kernex_tests::harness::{DeviceKey, TestServer, run};
use serde_json::{Value, json};
use ulid::Ulid;

/// Puts roles into the stored authorization policy while the server is stopped: policies cannot be written
/// over HTTP yet, and the server takes what is stored.
async fn install(settings: &Settings, roles: Value) {
    let installed = tokio::spawn(install_stored(settings.clone(), roles)).await;
    installed.expect("the policy is kept");
}

async fn install_stored(settings: Settings, roles: Value) {
    let store = host::open_migrated(&settings).await.expect("the store opens");
    let active = store.active_policies().await.expect("policies");
    let mut rbac = active.into_iter().find(|policy| policy.name.as_str() == "rbac").expect("the bundled policy");
    for (name, role) in roles.as_object().expect("roles") {
        rbac.settings.0["roles"][name] = role.clone();
    }
    let retired = PolicyRevision { active: false, ..rbac.clone() };
    let digest = Digest::of(rbac.settings.0.to_string().as_bytes());
    let revision = PolicyRevision { revision: rbac.revision + 1, settings_digest: digest, ..rbac };
    let now = Timestamp::from_millis(chrono::Utc::now().timestamp_millis());
    let audit = AuditRecord {
        id: AuditId(Ulid::new()),
        at: now,
        principal: Principal::System,
        action: "policy:install".parse().expect("an action"),
        resource_kind: "policy".to_owned(),
        resource_id: Some("rbac".to_owned()),
        decision_id: None,
        request_id: None,
        address: None,
        detail: None,
    };
    let mut changes = Changes::new(&audit);
    changes.put(&retired);
    changes.put(&revision);
    store.commit(changes).await.expect("the policy is kept");
    store.close().await.expect("the store closes");
}

async fn at_site(server: &TestServer, site: &str) -> kernex_tests::harness::TestDevice {
    let key = DeviceKey::ed25519();
    let body = json!({"public_key": key.public_pem(), "labels": {"site": site}});
    server.admin().await.post("/devices/preauthorize").json(body).await.expect(201);
    server.device_with(key, json!({})).await
}

#[test]
fn a_narrowed_role_sees_and_touches_its_own_devices_only() {
    run(async {
        let mut server = TestServer::durable().await;
        server.admin().await;
        server.stop().await;
        let grants = json!(["device:*", "config:*", "bundle:list", "deployment:*"]);
        install(server.settings(), json!({"berliner": {"grants": grants, "devices": "site=berlin"}})).await;
        server.resume().await;
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
        let mut server = TestServer::durable().await;
        server.admin().await;
        server.stop().await;
        let grants = json!(["device:list", "bundle:list", "deployment:*"]);
        install(server.settings(), json!({"berliner": {"grants": grants, "devices": "site=berlin"}})).await;
        server.resume().await;
        let (berlin, paris) = (at_site(&server, "berlin").await, at_site(&server, "paris").await);
        let narrowed = server.user("berliner").await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"content").await;
        let body = json!({"name": "everywhere", "bundle_id": bundle, "selector": "*"});
        let preview = narrowed.post("/deployments/preview").json(body.clone()).await;
        if preview.status == 200 {
            assert_eq!(preview["devices"], 1, "{preview}");
            let made = narrowed.post("/deployments").json(body).await.expect(201);
            let command = kernex_tests::harness::eventually("a command", async || berlin.command().await).await;
            assert_eq!(command["deployment_id"], made.id());
            assert_eq!(paris.command().await, None);
        } else {
            preview.expect(403).check_problem();
            narrowed.post("/deployments").json(body).await.expect(403);
            assert!(server.admin().await.get("/deployments").await.expect(200).items().is_empty());
        }
    });
}
