//! Files that are no plugins, and plugins that fail as soon as they are asked what they are: nothing of them is kept.

use ed25519_dalek::SigningKey;
use kernex_model::signature::{PublicKey, Signature};
use kernex_tests::guests::{MISBEHAVING, grafted, importing, misdescribing};
use kernex_tests::harness::{Answer, Client, ProcessOptions, ServerProcess, TestServer, run};
use reqwest::Method;
use serde_json::json;

use super::{ANSWER, FUEL, MEMORY, TRAPPED, UNFIT, blames};

/// What `describe` does, and what is said of it.
const WRONGS: [(&str, &str); 8] = [
    ("panic", TRAPPED),
    ("recurse", TRAPPED),
    ("loop", FUEL),
    ("allocate", MEMORY),
    ("giant", ANSWER),
    ("wordy", ANSWER),
    ("garbled", ANSWER),
    ("nonsense", ANSWER),
];
/// Places at which a component is cut off.
const CUTS: usize = 12;
/// Functions of a component that has many.
const FUNCTIONS: usize = 10_000;

async fn lenient() -> TestServer {
    TestServer::start_with(|settings| settings.plugins.allow_unsigned = true).await
}

async fn upload(client: &Client, bytes: impl Into<Vec<u8>>) -> Answer {
    let bytes: Vec<u8> = bytes.into();
    client.post("/plugins").text("application/wasm", bytes).await
}

/// Uploads what is refused; gives what is said of it.
async fn refused(client: &Client, bytes: impl Into<Vec<u8>>) -> String {
    upload(client, bytes).await.problem(400, "plugin-refused").text("detail")
}

/// How many plugins were taken, whoever uploaded them.
async fn taken(admin: &Client) -> usize {
    admin.get("/audit").query("action", "plugin:upload").await.expect(200).items().len()
}

/// The same plugin in other bytes: a section at its end means nothing.
fn marked(mark: &str) -> Vec<u8> {
    let length = |bytes: usize| u8::try_from(bytes).expect("a short mark");
    let section = [&[0, length(mark.len() + 1), length(mark.len())][..], mark.as_bytes()].concat();
    [MISBEHAVING, &section].concat()
}

#[test]
fn a_plugin_that_fails_in_describe_is_not_taken() {
    run(async {
        let server = lenient().await;
        let admin = server.admin().await;
        for (wrong, says) in WRONGS {
            blames(&refused(&admin, misdescribing(wrong)).await, says, "");
            server.anonymous().root(Method::GET, "/health/ready").await.expect(200);
            admin.get("/policies").await.expect(200);
        }
        assert_eq!(taken(&admin).await, 0);
        // It is what it does, not that its bytes were changed.
        let chatty = upload(&admin, misdescribing("chatty")).await.expect(201);
        assert_eq!((&chatty["name"], taken(&admin).await), (&json!("misbehaving"), 1), "{chatty}");
    });
}

#[test]
fn a_plugin_that_wants_more_than_the_contract_is_not_taken() {
    run(async {
        let server = lenient().await;
        let admin = server.admin().await;
        for name in ["wasi:filesystem/io@0.2.10", "kernex:policy/facts@2.0.0", "kernex:policy/spies@1.0.0"] {
            let said = refused(&admin, importing(name)).await;
            blames(&said, UNFIT, &format!("no plugin may import {name}"));
        }
        assert_eq!(taken(&admin).await, 0);
    });
}

#[test]
fn files_that_do_not_begin_as_a_component_does_are_not_taken() {
    run(async {
        let server = lenient().await;
        let admin = server.admin().await;
        let with_head = |head: &[u8]| [head, &MISBEHAVING[8..]].concat();
        for (bytes, says) in [
            (with_head(b"\0asn\x0d\0\x01\0"), "it is no WebAssembly component"),
            // The component model before, and one to come.
            (with_head(b"\0asm\x0c\0\x01\0"), "it is no WebAssembly component"),
            (with_head(b"\0asm\x0e\0\x01\0"), "it is no WebAssembly component"),
            (with_head(b"\0asm\x01\0\0\0"), "it is a core module"),
            (b"(component)".to_vec(), "it is no WebAssembly component"),
            (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec(), "it is no WebAssembly component"),
            (b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), "it is no WebAssembly component"),
            (b"\0asm\x0d\0\x01".to_vec(), "it is no WebAssembly component"),
        ] {
            blames(&refused(&admin, bytes).await, UNFIT, says);
        }
        server.anonymous().root(Method::GET, "/health/ready").await.expect(200);
    });
}

#[test]
fn a_component_that_is_cut_off_is_not_taken_wherever_that_is() {
    run(async {
        let server = lenient().await;
        let admin = server.admin().await;
        let inside = (1..CUTS).map(|part| MISBEHAVING.len() * part / CUTS);
        for length in inside.chain([8, 9, 16, MISBEHAVING.len() - 1]) {
            blames(&refused(&admin, &MISBEHAVING[..length]).await, UNFIT, "");
        }
        assert_eq!(taken(&admin).await, 0);
        upload(&admin, MISBEHAVING).await.expect(201);
    });
}

#[test]
fn a_component_has_the_size_that_is_allowed_or_is_not_taken() {
    run(async {
        let server = TestServer::start_with(|settings| {
            settings.plugins.allow_unsigned = true;
            settings.plugins.max_bytes = u32::try_from(MISBEHAVING.len()).expect("a small plugin");
        })
        .await;
        let admin = server.admin().await;
        let large = upload(&admin, marked("")).await.problem(413, "body-too-large");
        assert!(large.text("detail").contains(&MISBEHAVING.len().to_string()), "{large}");
        upload(&admin, MISBEHAVING).await.expect(201);
        assert_eq!(taken(&admin).await, 1);
    });
}

#[test]
fn a_signature_is_of_one_file_and_of_one_key() {
    run(async {
        let key = |seed: u8| SigningKey::from_bytes(&[seed; 32]);
        let trusted = PublicKey::of(&key(1));
        let server = TestServer::start_with(|settings| {
            settings.plugins.trusted_keys = vec![trusted];
            settings.plugins.allow_unsigned = true;
        })
        .await;
        let admin = server.admin().await;
        let signed = async |bytes: &[u8], signature: &str| {
            let call = admin.post("/plugins").text("application/wasm", bytes.to_vec());
            call.header("x-plugin-signature", signature).await
        };
        let other = marked("other");
        let of_other = Signature::sign(&key(1), &other).to_string();
        assert_eq!(signed(&other, &of_other).await.expect(201)["signed_by"], trusted.id().to_string());
        upload(&admin, MISBEHAVING).await.expect(201);

        let stranger = Signature::sign(&key(2), MISBEHAVING).to_string();
        let (_, of_stranger) = stranger.split_once(':').expect("a key and a signature");
        let borrowed = format!("{}:{of_stranger}", trusted.id());
        // Neither that unsigned files are taken nor that this one was taken before makes up for a wrong signature.
        for bytes in [MISBEHAVING, &marked("new")] {
            for (signature, says) in
                [(&of_other, "another file"), (&borrowed, "another file"), (&stranger, "not trusted")]
            {
                let refused = signed(bytes, signature).await.problem(400, "signature-invalid");
                assert!(refused.text("detail").contains(says), "{refused}");
                assert_eq!(refused.pointers(), ["X-Plugin-Signature"], "{refused}");
            }
        }
        assert_eq!(taken(&admin).await, 2);
    });
}

/// A good plugin that is small as a file, and has more functions than any other.
fn crowded() -> Vec<u8> {
    let body = "(local.set 0 (i32.mul (local.get 0) (i32.add (local.get 0) (local.get 1))))".repeat(4);
    let function = format!("(func (param i32 i32) (result i32) {body} (local.get 0))");
    let module = wat::parse_str(format!("(module {})", function.repeat(FUNCTIONS))).expect("a module");
    grafted(MISBEHAVING, &module)
}

#[test]
fn while_a_component_with_ten_thousand_functions_is_compiled_others_are_served() {
    run(async {
        // The process: its plugins are compiled in others.
        let server = ServerProcess::start(ProcessOptions::new().set("plugins.allow_unsigned", true)).await;
        let (admin, viewer) = (server.admin().await, server.user("viewer").await);
        let upload = admin.post("/plugins").text("application/wasm", crowded());
        let upload = tokio::spawn(upload.into_future());
        loop {
            server.anonymous().root(Method::GET, "/health/ready").await.expect(200);
            viewer.get("/devices").await.expect(200);
            if upload.is_finished() {
                break;
            }
        }
        // They do not keep it from being a plugin: it was compiled to its end.
        let taken = upload.await.expect("no panic").expect(201);
        assert_eq!(taken["name"], "misbehaving", "{taken}");
        // It compiles plugins as before.
        admin.post("/plugins").bytes(MISBEHAVING).await.expect(201);
    });
}
