//! A generated crate of each gate is built, tested natively and as a component.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::desk::Desk;

/// From nothing to a tested component, with nothing written by hand.
fn generated(gate: &str) {
    // Called like the trait that it implements, which is the name that is nearest at hand.
    let (desk, name) = (Desk::new(), gate.to_owned());
    desk.kernex(&["plugin", "new", "--gate", gate, &name]).done();
    assert!(
        desk.kernex(&["plugin", "new", "--gate", gate, &name]).failed().contains("exists"),
        "it is not overwritten"
    );

    let native = desk.cargo(&name, &["test"]).done();
    let result = native.lines().find(|line| line.starts_with("test result: ok")).expect("tests ran");
    assert!(!result.contains(" 0 passed"), "{native}");

    let built = desk.kernex(&["plugin", "build", &name]).done();
    let file = format!("{name}/target/kernex/{name}.wasm");
    let digest = hex::encode(Sha256::digest(std::fs::read(desk.path(&file)).expect("the component")));
    assert!(built.contains(&file) && built.contains(&digest), "{built}");

    let tested = desk.kernex(&["plugin", "test", &name, "--output", "json"]).done();
    let tested: Value = serde_json::from_str(&tested).expect("JSON alone is on standard output");
    assert_eq!((tested["plugin"]["name"].as_str(), &tested["failed"]), (Some(name.as_str()), &Value::from(0)));
    assert_eq!(tested["plugin"]["gates"], serde_json::json!([gate]));
    assert_eq!(tested["plugin"]["digest"], digest);
    let cases = tested["cases"].as_array().expect("cases");
    assert!(cases.len() >= 3, "{tested}");
    for case in cases {
        let (fuel, at_most) = (case["fuel"].as_u64().expect("fuel"), case["fuel_at_most"].as_u64().expect("a budget"));
        // A budget far beyond what is used would find nothing.
        assert!(fuel > 0 && at_most < fuel * 4, "{case}");
        assert!(case["runs"].as_u64() >= Some(6), "{case}");
    }

    let checked = desk.kernex(&["plugin", "check", &file, "--settings", &format!("{name}/settings.json")]).done();
    assert!(checked.contains(&format!("accepted for the {gate} gate")), "{checked}");
    // The component finds the cases of the crate that it lies in.
    let table = desk.kernex(&["plugin", "test", &file]).done();
    assert!(table.contains(&format!("{0} of {0} cases passed", cases.len())), "{table}");
    let benched = desk.kernex(&["plugin", "bench", &file, "--samples", "20", "--output", "json"]).done();
    let benched: Value = serde_json::from_str(&benched).expect("JSON");
    for (bench, case) in benched.as_array().expect("a list").iter().zip(cases) {
        assert_eq!((&bench["name"], &bench["fuel"]), (&case["name"], &case["fuel"]));
        let (median, p99) = (bench["fresh"]["median_us"].as_f64(), bench["fresh"]["p99_us"].as_f64());
        assert!(median > Some(0.0) && p99 >= median, "{bench}");
        assert_eq!(bench["reused"]["samples"], 20);
    }
}

#[test]
fn an_authorization_plugin() {
    generated("authorization");
}

#[test]
fn a_targeting_plugin() {
    generated("targeting");
}

#[test]
fn a_rollback_plugin() {
    generated("rollback");
}

#[test]
fn what_cannot_be_built_says_why() {
    let desk = Desk::new();
    assert!(desk.kernex(&["plugin", "build", "nowhere"]).failed().contains("nowhere"));
    assert!(desk.kernex(&["plugin", "build", "."]).failed().contains("no Cargo.toml"));
    let wrong_sdk = ["plugin", "new", "--gate", "rollback", "mine", "--sdk", "."];
    assert!(desk.kernex(&wrong_sdk).failed().contains("not the SDK"));
    assert!(!desk.path("mine").exists(), "nothing is left behind");

    std::fs::create_dir_all(desk.path("plain/src")).expect("a folder");
    desk.put("plain/Cargo.toml", "[package]\nname = \"plain\"\nedition = \"2024\"\n[workspace]\n");
    desk.put("plain/src/lib.rs", "");
    assert!(desk.kernex(&["plugin", "build", "plain"]).failed().contains("cdylib"));
    let cdylib = "[package]\nname = \"plain\"\nedition = \"2024\"\n[workspace]\n[lib]\ncrate-type = [\"cdylib\"]\n";
    desk.put("plain/Cargo.toml", cdylib);
    let hollow = desk.kernex(&["plugin", "build", "plain"]).failed();
    assert!(hollow.contains("none of the gates"), "{hollow}");
    desk.put("plain/src/lib.rs", "fn broken( {}");
    let broken = desk.kernex(&["plugin", "build", "plain"]).failed();
    assert!(broken.contains("could not build") && broken.contains("src/lib.rs:1"), "{broken}");
}
