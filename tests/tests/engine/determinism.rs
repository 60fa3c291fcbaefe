//! The same question gets the same answer for the same fuel, however often and in whatever batches.

use kernex_model::policy::{Batch, Column, Gate, TargetingDeployment, TargetingPlan};
use kernex_tests::guests::{engine, misbehaving, misbehaving_anew};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::LazyLock;

use super::questions;

const RINGS: &str = r#"{
    "waves": [
        {"name": "canary"},
        {"name": "lab", "selector": "site in (lab,bench)"},
        {"name": "early", "percent": 12.5},
        {"name": "all", "selector": "!frozen"}
    ],
    "intermediate_versions": {"os": ["1.5.0"]}
}"#;

static POLICY: LazyLock<(kernex_engine::Policy, TargetingPlan)> = LazyLock::new(|| {
    let policy = engine().prepare(kernex_plugins::RINGS.bytes, Gate::Targeting, RINGS).unwrap();
    let plan = policy.survey(&questions::deployment(), &[]).outcome.unwrap().unwrap();
    (policy, plan)
});

/// A device: its hash, and for each column a text or none.
type Device = (u64, Vec<Option<&'static str>>);

fn device() -> impl Strategy<Value = Device> {
    let cell = |texts: &'static [&'static str]| proptest::option::of(proptest::sample::select(texts));
    let cells = (
        cell(&["os", "app"]),
        cell(&["1.0.0", "1.5.0", "1.9.9-rc.1", "2.0.0", "2.0.1", "old"]),
        cell(&["a1", "a2", "b7"]),
        cell(&["lab", "bench", "field"]),
        cell(&["yes"]),
    );
    (any::<u64>(), cells)
        .prop_map(|(hash, (name, version, model, site, frozen))| (hash, vec![name, version, model, site, frozen]))
}

fn batch(devices: &[Device]) -> Batch {
    let mut dictionary: Vec<String> = Vec::new();
    let columns = (0..5).map(|column| {
        let cells = devices.iter().map(|(_, cells)| {
            let Some(text) = cells[column] else { return u32::MAX };
            let known = dictionary.iter().position(|known| known == text);
            let index = known.unwrap_or_else(|| {
                dictionary.push(text.to_owned());
                dictionary.len() - 1
            });
            u32::try_from(index).unwrap()
        });
        Column::Texts(cells.collect())
    });
    let columns = columns.collect();
    Batch { device_hashes: devices.iter().map(|(hash, _)| *hash).collect(), dictionary, columns }
}

fn classes(deployment: &TargetingDeployment, devices: &[Device]) -> Vec<u16> {
    let (policy, plan) = &*POLICY;
    policy.classify(deployment, plan, &batch(devices), &[]).outcome.unwrap()
}

#[test]
fn the_plan_asks_for_the_columns_that_these_tests_fill() {
    let facts: Vec<&str> = POLICY.1.columns.iter().map(|column| column.fact.as_str()).collect();
    assert_eq!(facts, ["bundle.name", "bundle.version", "model", "site", "frozen"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn how_devices_are_cut_into_batches_does_not_matter(devices in vec(device(), 1..60), size in 1_usize..20) {
        let deployment = questions::deployment();
        let whole = classes(&deployment, &devices);
        let cut: Vec<u16> = devices.chunks(size).flat_map(|part| classes(&deployment, part)).collect();
        prop_assert_eq!(&whole, &cut);
        let reversed: Vec<Device> = devices.iter().rev().cloned().collect();
        let mut back = classes(&deployment, &reversed);
        back.reverse();
        prop_assert_eq!(&whole, &back);
    }
}

#[test]
fn the_same_question_costs_the_same_fuel() {
    let policy = misbehaving(Gate::Authorization, "none");
    let request = questions::request(&["viewer"], "device:read");
    let first = policy.check(std::slice::from_ref(&request), &[]);
    assert!(first.fuel > 0);
    for _ in 0..20 {
        let run = policy.check(std::slice::from_ref(&request), &[]);
        assert_eq!((&run.outcome, run.fuel), (&first.outcome, first.fuel));
    }
    let again = misbehaving_anew(Gate::Authorization, "none");
    let run = again.check(std::slice::from_ref(&request), &[]);
    assert_eq!((&run.outcome, run.fuel), (&first.outcome, first.fuel));
    assert_eq!(again.plugin_digest(), policy.plugin_digest());
    assert_eq!(again.settings_digest(), policy.settings_digest());
}

#[test]
fn a_fault_costs_the_same_fuel_too() {
    let policy = misbehaving(Gate::Rollback, "recurse");
    let first = policy.permit(&questions::rollback(), &[]);
    assert!(first.outcome.is_err());
    let again = policy.permit(&questions::rollback(), &[]);
    assert_eq!((first.outcome, first.fuel), (again.outcome, again.fuel));
}

#[test]
fn a_large_batch_fits_within_the_limits() {
    let devices: Vec<Device> =
        (0..50_000).map(|hash| (hash, vec![Some("os"), Some("1.5.0"), Some("a1"), Some("field"), None])).collect();
    let classes = classes(&questions::deployment(), &devices);
    let early = classes.iter().filter(|class| **class == 2).count();
    assert_eq!(early, 6_250);
}
