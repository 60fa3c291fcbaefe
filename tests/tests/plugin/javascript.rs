//! The plugin in JavaScript: built from its sources as an author builds it, it passes its cases and decides on a server.

use std::path::Path;

use chrono::{Datelike, TimeDelta, Utc};
use kernex_tests::harness::{ProcessOptions, ServerProcess, run};
use serde_json::{Value, json};

use super::desk::Desk;

/// The plugin, and its component in the end.
const FOLDER: &str = "plugins/javascript/office-hours";
const COMPONENT: &str = "plugins/javascript/office-hours/dist/office-hours.wasm";
/// What the plugin is made of.
const SOURCES: [&str; 5] =
    ["package.json", "flatten.js", "src/office-hours.js", "src/settings.js", "test/office-hours.test.js"];
/// What else its build reads, from where it lies.
const CONTRACT: &str = "sdk/wit/v1/policy.wit";

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A desk with the plugin and the contract where they find each other; the plugin is built.
fn desk() -> Desk {
    let desk = Desk::new();
    for file in SOURCES.map(|source| format!("{FOLDER}/{source}")).into_iter().chain([CONTRACT.to_owned()]) {
        let to = desk.path(&file);
        std::fs::create_dir_all(to.parent().expect("a file is in a folder")).expect("a folder");
        std::fs::copy(repository().join(&file), to).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    desk.npm(FOLDER, &["run", "build"]).done();
    desk
}

/// A policy by which nothing is created, whatever the time is: its only day is three days away.
fn closed() -> String {
    let day = (Utc::now() + TimeDelta::days(3)).weekday().to_string().to_lowercase();
    format!(
        "name = 'office-hours'\ngate = 'authorization'\nplugin = 'office-hours'\nactions = ['deployment:create']\n\
         [settings]\ncovers = ['deployment:*']\ndays = ['{day}']\nfrom = '09:00'\nto = '17:00'\n"
    )
}

#[test]
fn it_is_a_plugin_like_any_other() {
    let desk = desk();
    let tested = desk.npm(FOLDER, &["test"]).done();
    // Older versions of Node count files instead of tests.
    assert!(tested.contains("fail 0") && !tested.contains("pass 0"), "{tested}");

    let shown = desk.kernex(&["plugin", "inspect", COMPONENT, "--output", "json"]).done();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&shown["name"], &shown["gates"]), (&json!("office-hours"), &json!(["authorization"])));
    for surface in ["imports", "exports"] {
        let names = shown[surface].as_array().expect("names");
        let is_of_the_contract = |name: &Value| name.as_str().is_some_and(|name| name.starts_with("kernex:policy/"));
        assert!(!names.is_empty() && names.iter().all(is_of_the_contract), "{surface}: {names:?}");
    }
    assert!(shown["size"].as_u64() < Some(2_000_000), "{shown}");

    let cases = std::fs::read_to_string(repository().join(FOLDER).join("cases.yaml")).expect("cases");
    let (tested, code) = desk.tested(COMPONENT, &cases);
    assert_eq!((code, &tested["failed"]), (Some(0), &json!(0)), "{tested}");
    let cases = tested["cases"].as_array().expect("cases");
    assert!(cases.len() > 10 && cases.iter().all(|case| case["fuel_at_most"].is_u64()), "each has a budget: {tested}");
}

#[test]
fn wrong_settings_are_pointed_at_from_javascript() {
    let desk = desk();
    let check = |settings: Value| {
        desk.put("settings.json", settings.to_string());
        desk.kernex(&["plugin", "check", COMPONENT, "--settings", "settings.json"])
    };
    let settings = |to: &str| json!({ "covers": ["*"], "days": ["mon"], "from": "09:00", "to": to });
    assert!(check(settings("17:00")).done().contains("accepted for the authorization gate"));
    let by_schema = check(settings("5 pm")).failed();
    assert!(by_schema.contains("/to") && by_schema.contains("says the schema"), "{by_schema}");
    let by_plugin = check(settings("08:00")).failed();
    assert!(by_plugin.contains("/to: office hours end") && by_plugin.contains("says the plugin"), "{by_plugin}");
}

#[test]
fn a_server_takes_it_and_lets_it_decide() {
    let mut desk = desk();
    run(async {
        let server = ServerProcess::start(ProcessOptions::new().set("plugins.allow_unsigned", true)).await;
        let admin = server.admin().await;
        let create = || admin.post("/deployments").json(json!({"name": "a", "selector": "none=1", "config": {"a": 1}}));
        desk.log_in(&server.base(), admin.token());
        desk.put("office-hours.toml", closed());
        desk.kernex(&["plugin", "push", COMPONENT]).done();
        desk.kernex(&["policy", "put", "office-hours.toml"]).done();
        create().await.expect(201);
        desk.kernex(&["policy", "activate", "office-hours", "1"]).done();
        let denied = create().await.problem(403, "outside-office-hours");
        assert!(denied.text("detail").contains("from 09:00 to 17:00, UTC+00:00"), "{denied}");
        // It is asked about nothing else.
        admin.get("/devices").await.expect(200);
        desk.kernex(&["policy", "rollback", "office-hours"]).done();
        create().await.expect(201);
    });
}
