//! Which wave, and which exclusion, an ordinary device gets.

use kernex_sdk::{Fact, Value, testing};

use super::*;

const SETTINGS: &str = r#"{
    "waves": [{"name": "canary"}, {"name": "lab", "selector": "site=lab"}, {"name": "half", "percent": 50}],
    "bundles": {
        "app": {},
        "os": {
            "models": ["gw-200", "gw-300"],
            "hardware": [
                {"fact": "fact.hw_revision", "at_least": 2, "at_most": 5},
                {"fact": "arch", "one_of": ["arm64", "amd64"]}
            ],
            "conditions": [{"fact": "fact.battery", "at_least": 30}, {"fact": "fact.disk_free_mb", "at_least": 512}],
            "floors": [
                {"target": "3.0.0", "installed": "2.5.0", "stepping_stone": "2.5.4"},
                {"target": "2.0.0", "installed": "1.8.0"}
            ],
            "checkpoints": ["4.0.0"]
        }
    }
}"#;

fn compat(settings: &str) -> Compat {
    Compat::from_json(settings).unwrap()
}

fn deployment(bundle: &str, version: &str) -> Deployment {
    let facts = vec![Fact::text("bundle.name", bundle), Fact::text("bundle.version", version)];
    Deployment { id: "dep_1".into(), facts, created_at_ms: 0 }
}

fn number(name: &str, value: f64) -> Fact {
    Fact { name: name.into(), value: Value::Real(value) }
}

/// A device that fits and runs this version.
fn running(version: &str) -> Vec<Fact> {
    vec![
        Fact::text("model", "gw-200"),
        Fact::text("bundle.name", "os"),
        Fact::text("bundle.version", version),
        number("fact.hw_revision", 3.0),
        Fact::text("arch", "arm64"),
        number("fact.battery", 80.0),
        number("fact.disk_free_mb", 4_096.0),
    ]
}

/// The device without the fact, or with another value of it.
fn with(mut device: Vec<Fact>, name: &str, fact: Option<Fact>) -> Vec<Fact> {
    device.retain(|known| known.name != name);
    device.extend(fact);
    device
}

/// Code and message, or the wave's name as both.
fn class(plugin: &Compat, deployment: &Deployment, hash: u64, facts: &[Fact]) -> (String, String) {
    let layout = plugin.layout();
    let batch = testing::batch(&layout, &[(hash, facts)]);
    match testing::classes(plugin, deployment, &batch)[0] {
        Class::Wave(index) => (layout.waves[usize::from(index)].clone(), String::new()),
        Class::Excluded(index) => {
            let Reason { code, message } = layout.exclusions[usize::from(index)].clone();
            (code, message)
        }
    }
}

fn code(version: &str, facts: &[Fact]) -> String {
    class(&compat(SETTINGS), &deployment("os", version), 7, facts).0
}

#[test]
fn what_fits_gets_a_wave() {
    let plugin = compat(SETTINGS);
    let wave = |hash, facts: &[Fact]| class(&plugin, &deployment("os", "1.9.0"), hash, facts).0;
    assert_eq!(wave(7, &running("1.8.0")), "half");
    assert_eq!(wave(9_999, &running("1.8.0")), "no-wave");
    let lab = with(running("1.8.0"), "site", Some(Fact::text("site", "lab")));
    assert_eq!(wave(9_999, &lab), "canary");
}

#[test]
fn a_bundle_is_kept_from_models_that_it_is_not_made_for() {
    let model = |model: &str| with(running("1.8.0"), "model", Some(Fact::text("model", model)));
    assert_eq!(code("1.9.0", &model("gw-300")), "half");
    assert_eq!(code("1.9.0", &model("gw-100")), "incompatible-model");
    assert_eq!(code("1.9.0", &with(running("1.8.0"), "model", None)), "fact-missing");
    let mut labelled = deployment("os", "1.9.0");
    labelled.facts.push(Fact::texts("bundle.models", ["gw-300"]));
    let plugin = compat(SETTINGS);
    assert_eq!(class(&plugin, &labelled, 7, &model("gw-300")).0, "half");
    assert_eq!(class(&plugin, &labelled, 7, &model("gw-200")).0, "incompatible-model", "the bundle says so itself");
}

#[test]
fn hardware_must_fit() {
    let with = |name: &str, fact| code("1.9.0", &with(running("1.8.0"), name, Some(fact)));
    let revision = |revision| with("fact.hw_revision", number("fact.hw_revision", revision));
    assert_eq!([revision(2.0), revision(5.0)], ["half", "half"]);
    assert_eq!([revision(1.9), revision(6.0)], ["incompatible-hardware", "incompatible-hardware"]);
    assert_eq!(with("arch", Fact::text("arch", "amd64")), "half");
    assert_eq!(with("arch", Fact::text("arch", "riscv64")), "incompatible-hardware");
}

#[test]
fn conditions_must_hold() {
    let battery = |percent| with(running("1.8.0"), "fact.battery", Some(number("fact.battery", percent)));
    assert_eq!(code("1.9.0", &battery(30.0)), "half");
    let (code, message) = class(&compat(SETTINGS), &deployment("os", "1.9.0"), 7, &battery(29.0));
    assert_eq!((code.as_str(), message.as_str()), ("condition-unmet", "the device's `fact.battery` is less than 30"));
}

#[test]
fn a_missing_fact_never_lets_a_device_in() {
    for name in ["fact.hw_revision", "arch", "fact.battery", "fact.disk_free_mb", "model"] {
        let (code, message) =
            class(&compat(SETTINGS), &deployment("os", "1.9.0"), 7, &with(running("1.8.0"), name, None));
        assert_eq!(code, "fact-missing", "{name}");
        assert!(message.contains(&format!("`{name}`")), "{message}");
    }
    let text = with(running("1.8.0"), "fact.battery", Some(Fact::text("fact.battery", "80")));
    assert_eq!(code("1.9.0", &text), "fact-missing", "another type");
    let nan = with(running("1.8.0"), "fact.battery", Some(number("fact.battery", f64::NAN)));
    assert_eq!(code("1.9.0", &nan), "fact-missing");
    assert_eq!(code("1.9.0", &[]), "fact-missing");
}

#[test]
fn a_device_below_the_floor_is_told_its_stepping_stone() {
    assert_eq!(code("2.0.0", &running("1.8.0")), "half");
    assert_eq!(code("2.0.0", &running("1.7.9")), "below-floor");
    assert_eq!(code("1.9.9", &running("1.0.0")), "half", "the floor is for 2.0.0 and newer");
    assert_eq!(code("3.0.0", &running("2.5.0")), "half", "the floor, not the stepping stone");
    assert_eq!(code("3.0.0", &running("2.5.0-rc.1")), "below-floor");
    assert_eq!(code("2.5.4", &running("2.0.0")), "half", "the stepping stone itself");
    let stone = |old: &str| class(&compat(SETTINGS), &deployment("os", "3.1.0"), 7, &running(old)).1;
    assert!(stone("2.4.0").ends_with("must first be brought to 2.5.4"), "{}", stone("2.4.0"));
    assert!(stone("1.0.0").ends_with("must first be brought to 1.8.0"), "the next step first: {}", stone("1.0.0"));
}

#[test]
fn a_checkpoint_is_not_skipped() {
    assert_eq!(code("4.1.0", &running("3.9.0")), "checkpoint-required");
    assert_eq!(code("4.0.0", &running("3.9.0")), "half");
    assert_eq!(code("4.1.0", &running("4.0.0")), "half");
    assert_eq!(code("4.1.0", &running("4.0.0+build.7")), "half");
    assert_eq!(code("4.1.0", &running("2.0.0")), "below-floor", "the lower step first");
}

#[test]
fn versions_go_forward() {
    assert_eq!(code("2.1.0", &running("2.1.0")), "already-running");
    assert_eq!(code("2.1.0", &running("2.10.0")), "downgrade");
    assert_eq!(code("2.1.0", &running("yesterday")), "version-unclear");
    let allowed = SETTINGS.replacen('{', r#"{"allow_downgrade": true, "#, 1);
    let code = |old: &str| class(&compat(&allowed), &deployment("os", "2.1.0"), 7, &running(old)).0;
    assert_eq!([code("2.10.0"), code("yesterday"), code("1.0.0")], ["half", "version-unclear", "below-floor"]);
}

#[test]
fn a_device_of_unknown_version_may_be_too_old() {
    let fresh = with(with(running("1.8.0"), "bundle.name", None), "bundle.version", None);
    let other = with(running("9.0.0"), "bundle.name", Some(Fact::text("bundle.name", "app")));
    for device in [&fresh, &other] {
        assert_eq!(code("2.0.0", device), "version-unknown");
        assert_eq!(code("1.9.0", device), "half", "nothing comes before 1.9.0");
        let first = SETTINGS.replace(r#""checkpoints""#, r#""first_install": true, "checkpoints""#);
        assert_eq!(class(&compat(&first), &deployment("os", "2.0.0"), 7, device).0, "half");
    }
    let nameless = with(running("1.0.0"), "bundle.name", None);
    assert_eq!(code("2.0.0", &nameless), "version-unknown", "a version of what?");
}

#[test]
fn what_lasts_is_said_first() {
    let flat = with(running("1.0.0"), "fact.battery", Some(number("fact.battery", 1.0)));
    assert_eq!(code("2.0.0", &flat), "below-floor");
    let old = with(flat, "fact.hw_revision", Some(number("fact.hw_revision", 1.0)));
    assert_eq!(code("2.0.0", &old), "incompatible-hardware");
    let other = with(old, "model", Some(Fact::text("model", "x")));
    assert_eq!(code("2.0.0", &other), "incompatible-model");
}

#[test]
fn deployments_that_cannot_be_compared_are_refused() {
    let refused = |plugin: &Compat, facts: Vec<Fact>| {
        let deployment = Deployment { id: "dep_1".into(), facts, created_at_ms: 0 };
        plugin.candidates(&deployment).err().map(|reason| reason.code)
    };
    let plugin = compat(SETTINGS);
    let code = |bundle: &str, version: &str| refused(&plugin, deployment(bundle, version).facts);
    assert_eq!(code("os", "2.0.0"), None);
    assert_eq!(code("os", "yesterday").as_deref(), Some("version-unclear"));
    assert_eq!(code("app", "yesterday"), None, "it has neither floors nor checkpoints");
    assert_eq!(code("game", "1.0.0").as_deref(), Some("bundle-not-listed"));
    let open = SETTINGS.replacen('{', r#"{"allow_unlisted": true, "#, 1);
    assert_eq!(refused(&compat(&open), deployment("game", "1.0.0").facts), None);
    assert_eq!(class(&compat(&open), &deployment("game", "1.0.0"), 7, &[]).0, "half");
    assert_eq!(refused(&plugin, Vec::new()), None, "a config");
    assert_eq!(class(&plugin, &Deployment { facts: Vec::new(), ..deployment("", "") }, 7, &[]).0, "half");
    assert_eq!(refused(&plugin, vec![Fact::text("bundle.name", "os")]).as_deref(), Some("fact-missing"));
    assert_eq!(refused(&plugin, vec![Fact::text("bundle.version", "1.0.0")]).as_deref(), Some("fact-missing"));
    let none: [&str; 0] = [];
    assert_eq!(refused(&plugin, vec![Fact::texts("bundle.models", none)]).as_deref(), Some("no-model"));
}

#[test]
fn batches_change_nothing() {
    let plugin = compat(SETTINGS);
    let deployment = deployment("os", "3.1.0");
    let versions = ["1.0.0", "2.4.0", "2.5.0", "3.1.0", "4.0.0", "x", "3.0.0"];
    let fleet: Vec<Vec<Fact>> = (0..40_u32)
        .map(|number| {
            let device = running(versions[number as usize % versions.len()]);
            if number % 5 == 0 { with(device, "fact.battery", None) } else { device }
        })
        .collect();
    let devices: Vec<(u64, &[Fact])> = (0..).map(|hash: u64| hash * 997).zip(fleet.iter().map(Vec::as_slice)).collect();
    let classes =
        |devices: &[(u64, &[Fact])]| testing::classes(&plugin, &deployment, &testing::batch(&plugin.layout(), devices));
    let whole = classes(&devices);
    for size in [1, 3, 7, 39] {
        let cut: Vec<Class> = devices.chunks(size).flat_map(classes).collect();
        assert_eq!(cut, whole, "batches of {size}");
    }
    let mut reversed: Vec<_> = devices.iter().rev().copied().collect();
    let mut backwards = classes(&reversed);
    backwards.reverse();
    reversed.reverse();
    assert_eq!(backwards, whole);
}

#[test]
fn the_layout_asks_for_each_fact_and_names_each_reason_once() {
    let layout = compat(SETTINGS).layout();
    let facts: Vec<&str> = layout.columns.iter().map(|column| column.fact.as_str()).collect();
    let wanted = ["bundle.name", "bundle.version", "model", "site", "fact.hw_revision", "arch", "fact.battery"];
    assert_eq!(facts[..7], wanted);
    assert_eq!(facts.len(), 8);
    for (index, reason) in layout.exclusions.iter().enumerate() {
        assert!(!layout.exclusions[..index].contains(reason), "{reason:?}");
        assert!(reason.message.len() <= 1_024);
    }
}

#[test]
fn diagnostics_point_at_the_mistake() {
    let wrong = |text: &str| Compat::from_json(text).unwrap_err().remove(0).pointer;
    let bundle = |text: &str| wrong(&format!(r#"{{"waves": [{{"name": "all"}}], "bundles": {{"a/b": {text}}}}}"#));
    assert_eq!(wrong(r#"{"waves": [], "bundles": {}}"#), "/waves");
    assert_eq!(wrong(r#"{"waves": [{"name": "all"}]}"#), "");
    assert_eq!(bundle(r#"{"models": []}"#), "/bundles/a~1b/models");
    assert_eq!(bundle(r#"{"checkpoints": ["1.0.0", "2.0"]}"#), "/bundles/a~1b/checkpoints/1");
    assert_eq!(bundle(r#"{"floors": [{"target": "x", "installed": "1.0.0"}]}"#), "/bundles/a~1b/floors/0/target");
    let floor = |installed: &str, stone: &str| {
        let floor = format!(r#"{{"target": "2.0.0", "installed": "{installed}", "stepping_stone": "{stone}"}}"#);
        bundle(&format!(r#"{{"floors": [{floor}]}}"#))
    };
    assert_eq!(floor("2.0.0", "2.0.0"), "/bundles/a~1b/floors/0/installed");
    assert_eq!(floor("1.5.0", "1.4.0"), "/bundles/a~1b/floors/0/stepping_stone");
    assert_eq!(floor("1.5.0", "2.0.0"), "/bundles/a~1b/floors/0/stepping_stone");
    let demand = |text: &str| bundle(&format!(r#"{{"hardware": [{{{text}}}]}}"#));
    assert_eq!(demand(r#""fact": "", "one_of": ["a"]"#), "/bundles/a~1b/hardware/0/fact");
    assert_eq!(demand(r#""fact": "arch""#), "/bundles/a~1b/hardware/0");
    assert_eq!(demand(r#""fact": "fact.a", "one_of": ["a"], "at_least": 1"#), "/bundles/a~1b/hardware/0");
    assert_eq!(demand(r#""fact": "arch", "one_of": []"#), "/bundles/a~1b/hardware/0/one_of");
    assert_eq!(demand(r#""fact": "hw_revision", "at_least": 1"#), "/bundles/a~1b/hardware/0/fact");
    assert_eq!(demand(r#""fact": "fact.", "at_least": 1"#), "/bundles/a~1b/hardware/0/fact");
    assert_eq!(demand(r#""fact": "fact.a", "at_least": 2, "at_most": 1"#), "/bundles/a~1b/hardware/0/at_most");
    assert_eq!(
        demand(r#""fact": "fact.a", "one_of": ["1"]}, {"fact": "fact.a", "at_least": 1"#),
        "/bundles/a~1b/hardware/1/fact"
    );
}

#[test]
fn the_limits_of_the_contract_are_kept() {
    let settings = |bundle: String| format!(r#"{{"waves": [{{"name": "all"}}], "bundles": {{"os": {bundle}}}}}"#);
    let demands = |count: usize| {
        let demands = (0..count).map(|index| format!(r#"{{"fact": "fact.f{index}", "at_least": 1}}"#));
        settings(format!(r#"{{"hardware": [{}]}}"#, demands.collect::<Vec<_>>().join(",")))
    };
    assert_eq!(compat(&demands(13)).layout().columns.len(), 16);
    assert_eq!(Compat::from_json(&demands(14)).unwrap_err()[0].pointer, "");
    let checkpoints = |count: usize| {
        let versions = (0..count).map(|index| format!(r#""1.{index}.0""#));
        settings(format!(r#"{{"checkpoints": [{}]}}"#, versions.collect::<Vec<_>>().join(",")))
    };
    assert_eq!(compat(&checkpoints(57)).layout().exclusions.len(), 64);
    assert_eq!(Compat::from_json(&checkpoints(58)).unwrap_err()[0].pointer, "/bundles");
    let values = vec![format!(r#""{}""#, "ä".repeat(100)); 64].join(",");
    let long = compat(&settings(format!(r#"{{"hardware": [{{"fact": "arch", "one_of": [{values}]}}]}}"#)));
    assert!(long.layout().exclusions.iter().all(|reason| reason.message.len() <= 1_024));
}
