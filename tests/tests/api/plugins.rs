//! Uploading plugins: whose are taken, what is told of them, and what is refused.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use kernex_model::signature::{PublicKey, Signature};
use kernex_tests::guests::MISBEHAVING;
use kernex_tests::harness::{Call, TestServer, run};
use serde_json::json;

use super::bundles::repr_digest;

async fn upload(server: &TestServer, bytes: &[u8]) -> Call {
    server.admin().await.post("/plugins").text("application/wasm", bytes.to_vec())
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

#[test]
fn a_signed_plugin_is_taken_and_told_of() {
    run(async {
        let trusted = PublicKey::of(&key(1));
        let server = TestServer::start_with(|settings| settings.plugins.trusted_keys = vec![trusted]).await;
        let signature = Signature::sign(&key(1), MISBEHAVING).to_string();
        let signed = async || upload(&server, MISBEHAVING).await.header("x-plugin-signature", &signature);
        let taken = signed().await.await.expect(201);
        assert_eq!(taken.header("location"), Some(format!("/api/v1/plugins/{}", taken.text("digest")).as_str()));
        assert_eq!((&taken["name"], &taken["bundled"]), (&json!("misbehaving"), &json!(false)));
        assert_eq!(taken["gates"], json!(["authorization", "targeting", "rollback"]));
        assert_eq!(taken["size"], MISBEHAVING.len());
        assert_eq!(taken["signed_by"], trusted.id().to_string());
        let imports = taken["imports"].as_array().expect("imports");
        assert!(imports.iter().all(|import| import.as_str().is_some_and(|name| name.starts_with("kernex:policy/"))));
        assert_eq!(taken["settings_schema"]["type"], "object");

        let admin = server.admin().await;
        let again = signed().await.await.expect(200);
        assert_eq!(again.json(), taken.json());
        let found = admin.get(&format!("/plugins/{}", taken.text("digest"))).await.expect(200);
        assert_eq!(found.json(), taken.json());
        let names = admin.get("/plugins").await.expect(200).all("name");
        assert!(names.iter().any(|name| name == "misbehaving") && names.iter().any(|name| name == "rbac"), "{names:?}");
        let audit = admin.get("/audit").query("action", "plugin:upload").await.expect(200);
        assert_eq!(audit.items().len(), 1, "{audit}");
    });
}

#[test]
fn other_bytes_than_were_announced_are_refused() {
    run(async {
        let server = TestServer::start_with(|settings| settings.plugins.allow_unsigned = true).await;
        let announced =
            async |bytes: &[u8]| upload(&server, MISBEHAVING).await.header("repr-digest", &repr_digest(bytes)).await;
        let refused = announced(b"something else").await.problem(400, "digest-mismatch");
        assert_eq!(refused.pointers(), ["Repr-Digest"]);
        let names = server.admin().await.get("/plugins").await.expect(200).all("name");
        assert!(names.iter().all(|name| name != "misbehaving"), "{names:?}");
        announced(MISBEHAVING).await.expect(201);
    });
}

#[test]
fn of_two_who_upload_the_same_bytes_at_once_one_is_first() {
    run(async {
        let server = TestServer::start_with(|settings| settings.plugins.allow_unsigned = true).await;
        let admin = server.admin().await;
        let upload = || admin.post("/plugins").text("application/wasm", MISBEHAVING).into_future();
        let answers = futures_util::future::join_all([upload(), upload(), upload()]).await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 201], "{answers:#?}");
        assert!(answers.iter().all(|answer| answer.json() == answers[0].json()), "{answers:#?}");
        let audit = admin.get("/audit").query("action", "plugin:upload").await.expect(200);
        assert_eq!(audit.items().len(), 1, "{audit}");
    });
}

#[test]
fn a_bundled_plugin_is_kept_with_the_first_revision_that_uses_it() {
    run(async {
        let server = TestServer::start().await;
        let path = format!("/plugins/{}", server.plugin("sites").await);
        let admin = server.admin().await;
        let settings = json!({"narrowed_roles": [], "unrestricted_roles": ["admin"]});
        server.revision("one", "sites", "authorization", settings.clone()).await;
        let kept = admin.get(&path).await.expect(200);
        assert_eq!(kept["bundled"], true, "{kept}");
        // One that is not kept was made at the moment at which it is asked for.
        tokio::time::sleep(Duration::from_millis(20)).await;
        server.revision("two", "sites", "authorization", settings).await;
        assert_eq!(admin.get(&path).await.expect(200).json(), kept.json());
    });
}

#[test]
fn signatures_that_prove_nothing_are_refused() {
    run(async {
        let trusted = PublicKey::of(&key(1));
        let server = TestServer::start_with(|settings| settings.plugins.trusted_keys = vec![trusted]).await;
        let of_other_bytes = Signature::sign(&key(1), b"other bytes").to_string();
        let of_a_stranger = Signature::sign(&key(2), MISBEHAVING).to_string();
        upload(&server, MISBEHAVING).await.await.problem(400, "signature-missing");
        for (signature, said) in
            [(of_other_bytes.as_str(), "another file"), (of_a_stranger.as_str(), "not trusted"), ("abc", "malformed")]
        {
            let call = upload(&server, MISBEHAVING).await.header("x-plugin-signature", signature);
            let refused = call.await.problem(400, "signature-invalid");
            assert!(refused.text("detail").contains(said), "{refused}");
        }
        let uploads = server.admin().await.get("/audit").query("action", "plugin:upload").await.expect(200);
        assert!(uploads.items().is_empty(), "{uploads}");
    });
}

#[test]
fn what_is_no_plugin_is_refused_with_the_reason() {
    run(async {
        let server = TestServer::start_with(|settings| {
            settings.plugins.allow_unsigned = true;
            settings.plugins.max_bytes = 2 * 1_048_576;
        })
        .await;
        let core = wat::parse_str("(module)").expect("a module");
        let stranger = wat::parse_str(r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance)))"#);
        let empty = wat::parse_str("(component)").expect("a component");
        let truncated = &MISBEHAVING[..MISBEHAVING.len() / 2];
        for (bytes, said) in [
            (&b"not wasm at all"[..], ""),
            (&b""[..], ""),
            (truncated, ""),
            (&core, "component"),
            (&empty, ""),
            (&stranger.expect("a component"), "wasi:clocks"),
        ] {
            let refused = upload(&server, bytes).await.await.problem(400, "plugin-refused");
            assert!(refused.text("detail").contains(said), "{refused}");
        }
        let large = vec![0; 2 * 1_048_576 + 1];
        upload(&server, &large).await.await.problem(413, "body-too-large");
        // It is still there, and takes what is right.
        upload(&server, MISBEHAVING).await.await.expect(201);
    });
}
