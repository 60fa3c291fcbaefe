//! `check`, `inspect`, `keygen` and `sign`, with components that come with the program.

use kernex::signature::{PublicKey, Signature, SignatureError};
use serde_json::{Value, json};

use super::desk::Desk;

fn desk() -> Desk {
    let desk = Desk::new();
    desk.put("rings.wasm", kernex_plugins::RINGS.bytes);
    desk
}

#[test]
fn a_component_is_inspected() {
    let desk = desk();
    let shown = desk.kernex(&["plugin", "inspect", "rings.wasm", "--output", "json"]).done();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&shown["name"], &shown["gates"]), (&json!("rings"), &json!(["targeting"])));
    assert_eq!(shown["size"], kernex_plugins::RINGS.bytes.len());
    assert!(shown["settings_schema"]["properties"]["waves"].is_object(), "{shown}");
    let exports = shown["exports"].to_string();
    assert!(exports.contains("kernex:policy/targeting@1.0.0") && exports.contains("lifecycle"), "{exports}");
    let text = desk.kernex(&["plugin", "inspect", "rings.wasm"]).done();
    let digest = shown["digest"].as_str().expect("a digest");
    assert!(text.contains("rings") && text.contains(digest) && text.contains("kernex:policy/types@1.0.0"), "{text}");
}

#[test]
fn settings_are_checked_by_the_schema_and_then_by_the_plugin() {
    let desk = desk();
    let check = |settings: &str| {
        desk.put("settings.json", settings);
        desk.kernex(&["plugin", "check", "rings.wasm", "--settings", "settings.json"])
    };
    assert!(check(r#"{"waves": [{"name": "all"}]}"#).done().contains("accepted for the targeting gate"));
    let by_schema = check(r#"{"waves": [{"name": "all", "percent": "half"}], "wave": 1}"#).failed();
    for says in ["/waves/0/percent", "/wave: there is no such setting", "says the schema"] {
        assert!(by_schema.contains(says), "{says}: {by_schema}");
    }
    let by_plugin = check(r#"{"waves": [{"name": "all"}, {"name": "all"}]}"#).failed();
    assert!(by_plugin.contains("/waves/1") && by_plugin.contains("says the plugin"), "{by_plugin}");
}

#[test]
fn the_documents_that_come_with_the_program_pass() {
    let desk = Desk::new();
    let documents = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    let mut checked = 0;
    for plugin in kernex_plugins::ALL {
        let document = documents.join(plugin.name).with_extension("toml");
        if document.is_file() {
            desk.put("plugin.wasm", plugin.bytes);
            let settings = document.display().to_string();
            desk.kernex(&["plugin", "check", "plugin.wasm", "--settings", &settings]).done();
            checked += 1;
        }
    }
    assert!(checked >= 3, "{checked} documents");
}

#[test]
fn what_a_server_would_refuse_is_refused() {
    let desk = Desk::new();
    let wat = |text: &str| wat::parse_str(text).expect("a component");
    desk.put("clock.wasm", wat(r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance)))"#));
    desk.put("core.wasm", wat("(module)"));
    desk.put("text.wasm", "no component");
    for (file, says) in [
        ("clock.wasm", "no plugin may import wasi:clocks/wall-clock@0.2.0"),
        ("core.wasm", "core module"),
        ("text.wasm", "no WebAssembly component"),
        ("gone.wasm", "cannot read gone.wasm"),
    ] {
        for command in ["check", "inspect"] {
            let said = desk.kernex(&["plugin", command, file]).failed();
            assert!(said.contains(says), "{command} {file}: {said}");
        }
    }
}

#[test]
fn a_signature_holds_for_its_file_and_its_key() {
    let desk = desk();
    let made = desk.kernex(&["plugin", "keygen", "--out", "key.pem"]).done();
    let value = |label: &str| made.lines().find_map(|line| line.strip_prefix(label)).expect(label).trim().to_owned();
    let public: PublicKey = value("public key").parse().expect("a public key");
    assert_eq!(public.id().to_string(), value("key id"));
    assert!(desk.read("key.pem").starts_with("-----BEGIN PRIVATE KEY-----"));
    assert!(desk.kernex(&["plugin", "keygen", "--out", "key.pem"]).failed().contains("exists"));

    let signed = desk.kernex(&["plugin", "sign", "rings.wasm", "--key", "key.pem"]).done();
    assert!(signed.contains("rings.wasm.sig"), "{signed}");
    let signature: Signature = desk.read("rings.wasm.sig").parse().expect("a signature");
    assert_eq!(signature.verify(&[public], kernex_plugins::RINGS.bytes), Ok(public.id()));
    let wrong = signature.verify(&[public], kernex_plugins::RBAC.bytes);
    assert_eq!(wrong, Err(SignatureError::Wrong(public.id())));
    let said = desk.kernex(&["plugin", "sign", "rings.wasm", "--key", "rings.wasm.sig"]).failed();
    assert!(said.contains("rings.wasm.sig"), "{said}");
}

#[test]
fn every_command_explains_itself_with_examples() {
    let desk = Desk::new();
    for command in ["new", "build", "check", "test", "bench", "inspect", "sign", "keygen"] {
        let help = desk.kernex(&["plugin", command, "--help"]).done();
        assert!(help.contains("Examples:") && help.contains(&format!("kernex plugin {command}")), "{help}");
    }
    let said = desk.kernex(&["plugin", "new", "--gate", "door", "mine"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
}
