//! Which wave, and which exclusion, an ordinary device gets.

use kernex_sdk::{Fact, Operator, testing};

use super::*;

const SETTINGS: &str = r#"{
    "waves": [
        {"name": "canary"},
        {"name": "lab", "selector": "site=lab"},
        {"name": "early", "percent": 5},
        {"name": "all"}
    ],
    "intermediate_versions": {"os": ["2.0.0"]}
}"#;

fn rings(settings: &str) -> Rings {
    Rings::from_json(settings).unwrap()
}

fn deployment(version: &str) -> Deployment {
    testing::deployment(&[
        Fact::text("bundle.name", "os"),
        Fact::text("bundle.version", version),
        Fact::texts("bundle.models", ["a1", "a2"]),
    ])
}

/// A device of a fitting model that runs this version of the bundle.
fn running(version: &str) -> Vec<Fact> {
    vec![Fact::text("model", "a1"), Fact::text("bundle.name", "os"), Fact::text("bundle.version", version)]
}

fn class(settings: &str, deployment: &Deployment, hash: u64, facts: &[Fact]) -> Class {
    let rings = rings(settings);
    let batch = testing::batch(&rings.layout(), &[(hash, facts)]);
    testing::classes(&rings, deployment, &batch)[0]
}

fn exclusion(deployment: &Deployment, facts: &[Fact]) -> Option<&'static str> {
    match class(SETTINGS, deployment, 9_999, facts) {
        Class::Wave(_) => None,
        Class::Excluded(index) => Some(EXCLUSIONS[usize::from(index)].0),
    }
}

#[test]
fn an_older_version_is_updated_and_a_newer_one_is_not() {
    assert_eq!(exclusion(&deployment("1.5.0"), &running("1.4.9")), None);
    assert_eq!(exclusion(&deployment("1.5.0"), &running("1.5.0-rc.1")), None);
    assert_eq!(exclusion(&deployment("1.5.0"), &running("1.5.0")), Some("already-running"));
    assert_eq!(exclusion(&deployment("1.5.0"), &running("1.10.0")), Some("downgrade"));
    assert_eq!(exclusion(&deployment("1.5.0"), &running("yesterday")), Some("version-unclear"));
    assert_eq!(exclusion(&deployment("2.1.0"), &running("1.9.0")), Some("intermediate-required"));
    assert_eq!(exclusion(&deployment("2.1.0"), &running("2.0.0")), None);
    assert_eq!(exclusion(&deployment("2.0.0"), &running("1.9.0")), None);
}

#[test]
fn a_device_without_a_comparable_bundle_is_updated() {
    let model = Fact::text("model", "a2");
    let other = [model.clone(), Fact::text("bundle.name", "app"), Fact::text("bundle.version", "9.0.0")];
    assert_eq!(exclusion(&deployment("1.0.0"), std::slice::from_ref(&model)), None);
    assert_eq!(exclusion(&deployment("1.0.0"), &other), None);
}

#[test]
fn a_bundle_is_kept_from_models_that_it_is_not_made_for() {
    assert_eq!(exclusion(&deployment("1.0.0"), &[Fact::text("model", "b7")]), Some("incompatible-model"));
    assert_eq!(exclusion(&deployment("1.0.0"), &[]), Some("incompatible-model"));
    let config = testing::deployment(&[]);
    assert_eq!(exclusion(&config, &running("9.9.9")), None);
}

#[test]
fn a_downgrade_can_be_allowed() {
    let settings = r#"{"waves": [{"name": "all"}], "allow_downgrade": true}"#;
    assert_eq!(class(settings, &deployment("1.0.0"), 0, &running("2.0.0")), Class::Wave(0));
}

#[test]
fn waves_follow_selectors_and_shares() {
    let wave = |hash, site: &str| {
        let facts = [Fact::text("model", "a1"), Fact::text("site", site)];
        class(SETTINGS, &deployment("1.0.0"), hash, &facts)
    };
    assert_eq!(wave(9_999, "lab"), Class::Wave(0), "a canary is one of the next wave's");
    assert_eq!(wave(499, "field"), Class::Wave(2));
    assert_eq!(wave(500, "field"), Class::Wave(3));
    assert_eq!(wave(10_499, "field"), Class::Wave(2), "shares repeat every 10,000");
}

#[test]
fn shares_add_up_rather_than_overlap() {
    let settings = r#"{"waves": [
        {"name": "first", "percent": 1}, {"name": "second", "percent": 20}, {"name": "third", "percent": 50}
    ]}"#;
    let mut counts = [0_u32; 4];
    for hash in 0..10_000 {
        match class_of_any(&rings(settings), hash) {
            Class::Wave(index) => counts[usize::from(index)] += 1,
            Class::Excluded(index) => {
                assert_eq!(EXCLUSIONS[usize::from(index)].0, "no-wave");
                counts[3] += 1;
            }
        }
    }
    assert_eq!(counts, [100, 1_900, 3_000, 5_000]);
}

fn class_of_any(rings: &Rings, hash: u64) -> Class {
    let batch = testing::batch(&rings.layout(), &[(hash, &[])]);
    let config = testing::deployment(&[]);
    testing::classes(rings, &config, &batch)[0]
}

#[test]
fn a_chosen_canary_is_one_of_the_selected() {
    let settings = r#"{"waves": [{"name": "canary", "selector": "role=canary"}, {"name": "all"}]}"#;
    let canary = [Fact::text("role", "canary"), Fact::text("model", "a1")];
    assert_eq!(class(settings, &deployment("1.0.0"), 7, &canary), Class::Wave(0));
    assert_eq!(class(settings, &deployment("1.0.0"), 7, &canary[1..]), Class::Wave(1));
}

#[test]
fn the_layout_asks_for_what_the_waves_need() {
    let layout = rings(SETTINGS).layout();
    let facts: Vec<&str> = layout.columns.iter().map(|column| column.fact.as_str()).collect();
    assert_eq!(facts, ["bundle.name", "bundle.version", "model", "site"]);
    assert_eq!(layout.waves, ["canary", "lab", "early", "all"]);
    let settings = r#"{"waves": [{"name": "all"}], "candidates": "managed=yes"}"#;
    let candidates = rings(settings).candidates(&deployment("1.0.0")).unwrap();
    assert_eq!((candidates[0].key.as_str(), candidates[0].operator), ("managed", Operator::Equals));
}

#[test]
fn diagnostics_point_at_the_mistake() {
    let wrong = |text: &str| Rings::from_json(text).unwrap_err().remove(0).pointer;
    assert_eq!(wrong(r#"{"waves": []}"#), "/waves");
    assert_eq!(wrong(r#"{"waves": [{"name": "canary"}]}"#), "/waves/0");
    assert_eq!(wrong(r#"{"waves": [{"name": "a"}, {"name": "canary"}]}"#), "/waves/1/name");
    assert_eq!(wrong(r#"{"waves": [{"name": "a"}, {"name": "a"}]}"#), "/waves/1/name");
    assert_eq!(wrong(r#"{"waves": [{"name": "a", "percent": 101}]}"#), "/waves/0/percent");
    assert_eq!(
        wrong(r#"{"waves": [{"name": "a"}], "intermediate_versions": {"os": ["x"]}}"#),
        "/intermediate_versions/os/0"
    );
    assert_eq!(wrong(r#"{"waves": [{"name": "a", "percent": "x"}]}"#), "/waves/0/percent");
}
