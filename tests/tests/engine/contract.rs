//! The contract is frozen: what was written against a released version goes on loading, and answers as it did.

use kernex_engine::Policy;
use kernex_model::policy::{
    AuthorizationDecision, Batch, Column, ColumnType, Counts, Diagnostic, Extent, Fact, Gate, Permission,
    PrincipalKind, Reason, RollbackAction, RollbackRequest, Visible,
};
use kernex_tests::guests::{RELEASED, engine};
use wit_component::semver_check;
use wit_parser::Resolve;

use super::questions;

/// The contract as it stands, and as it was released.
const CURRENT: &str = include_str!("../../../sdk/wit/v1/policy.wit");
const RELEASES: [(&str, &str); 1] = [("1.0.0", include_str!("../../released/v1.0.0/wit/policy.wit"))];
const WORLDS: [&str; 3] = ["authorization-policy", "targeting-policy", "rollback-policy"];

/// Whether plugins of one contract can do what a host with the other expects, world by world.
fn compatible(before: &str, after: &str) -> Result<(), String> {
    for world in WORLDS {
        let mut resolve = Resolve::default();
        // Two packages of one name need two versions; the check itself looks past them.
        let moved = after.replace("package kernex:policy@1.0.0;", "package kernex:policy@1.0.1;");
        let before = resolve.push_str("before.wit", before).map_err(|error| format!("{error:#}"))?;
        let after = resolve.push_str("after.wit", &moved).map_err(|error| format!("{error:#}"))?;
        let before = resolve.select_world(&[before], Some(world)).map_err(|error| format!("{error:#}"))?;
        let after = resolve.select_world(&[after], Some(world)).map_err(|error| format!("{error:#}"))?;
        semver_check(resolve, before, after).map_err(|error| format!("{world}: {error:#}"))?;
    }
    Ok(())
}

#[test]
fn the_contract_is_the_released_one() {
    for (version, released) in RELEASES {
        compatible(released, CURRENT).unwrap_or_else(|error| panic!("since {version}: {error}"));
        compatible(CURRENT, released).unwrap_or_else(|error| panic!("until {version}: {error}"));
    }
}

#[test]
fn a_change_that_breaks_plugins_is_found() {
    for (from, to) in [
        ("    verified: u32,\n", "    verified: u32,\n    rejected: u32,\n"),
        ("    roll-back(extent),\n", "    roll-back(extent),\n    wait,\n"),
        ("created-at-ms: u64", "created-at-ms: s64"),
        ("permit: func(request: rollback-request)", "permit: func(request: rollback-request, again: bool)"),
    ] {
        let changed = CURRENT.replacen(from, to, 1);
        assert_ne!(changed, CURRENT, "{from}");
        assert!(compatible(CURRENT, &changed).is_err(), "{to}");
    }
    let documented = CURRENT.replacen("/// A text.", "/// Any text.", 1);
    assert_eq!(compatible(CURRENT, &documented), Ok(()), "words are no part of it");
}

fn released(gate: Gate) -> Policy {
    engine().prepare(RELEASED, gate, "{}").expect("a released plugin is taken for ever")
}

#[test]
fn a_released_plugin_is_what_it_was() {
    let inspection = engine().inspect(RELEASED).unwrap();
    assert_eq!((inspection.manifest.name.as_str(), inspection.manifest.version.as_str()), ("released", "1.0.0"));
    assert_eq!(inspection.gates, Gate::ALL);
    let refused = engine().prepare(RELEASED, Gate::Rollback, r#"{"wrong": 1}"#).unwrap_err();
    let kernex_engine::PrepareError::Settings(diagnostics) = refused else { panic!("{refused}") };
    assert_eq!(diagnostics, [Diagnostic { pointer: "/wrong".into(), message: "as asked".into() }]);
}

#[test]
fn a_released_plugin_still_authorizes() {
    let policy = released(Gate::Authorization);
    let season = [Fact::text("season", "autumn")];
    let mut request = questions::request(&["operator"], "device:list");
    let user = policy.check(std::slice::from_ref(&request), &season).outcome.unwrap();
    assert_eq!(user, [AuthorizationDecision::Allow]);
    request.principal.kind = PrincipalKind::Anonymous;
    let run = policy.check(std::slice::from_ref(&request), &season);
    assert_eq!(run.outcome.unwrap(), [AuthorizationDecision::Deny(Reason::new("anonymous", "autumn"))]);
    assert_eq!(run.facts_read, season);
    request.principal.roles = vec!["admin".into()];
    assert_eq!(policy.scope(&request.principal, "device:list", "device", &[]).outcome.unwrap(), Visible::All);
    request.principal.roles = Vec::new();
    let nothing = policy.scope(&request.principal, "device:list", "device", &[]).outcome.unwrap();
    assert_eq!(nothing, Visible::Nothing(Reason::new("no-role", "no season")));
}

#[test]
fn a_released_plugin_still_targets() {
    let policy = released(Gate::Targeting);
    let deployment = questions::deployment();
    let plan = policy.survey(&deployment, &[]).outcome.unwrap().unwrap();
    let types: Vec<ColumnType> = plan.columns.iter().map(|column| column.column_type).collect();
    assert_eq!(types, [ColumnType::Texts, ColumnType::Integers, ColumnType::Reals, ColumnType::Booleans]);
    let batch = Batch {
        device_hashes: vec![10, 11, 20],
        dictionary: vec!["a1".into()],
        columns: vec![
            Column::Texts(vec![0, 0, u32::MAX]),
            Column::Integers(vec![1, Column::NO_INTEGER, 4]),
            Column::Reals(vec![0.1, f64::NAN, 0.95]),
            Column::Booleans(vec![0, 1, Column::NO_BOOLEAN]),
        ],
    };
    assert_eq!(policy.classify(&deployment, &plan, &batch, &[]).outcome.unwrap(), [0, 1, 2]);
}

#[test]
fn a_released_plugin_still_judges() {
    let policy = released(Gate::Rollback);
    let judged = |failed, verified| {
        let counts = Counts { assigned: 9, failed, verified, ..Counts::default() };
        let window = questions::window(counts);
        let outcome = policy.judge(&window, &[1], &[]).outcome.unwrap();
        assert_eq!(outcome.state, [1, 7]);
        outcome.action
    };
    assert_eq!(judged(0, 0), RollbackAction::Hold);
    assert_eq!(judged(0, 1), RollbackAction::Advance);
    assert_eq!(judged(1, 1), RollbackAction::Pause);
    assert_eq!(judged(2, 1), RollbackAction::RollBack(Extent::Everyone));
    let request = |to: &str| RollbackRequest {
        device: "dev_1".into(),
        from_bundle: "bun_1".into(),
        to_bundle: to.into(),
        facts: Vec::new(),
    };
    assert_eq!(policy.permit(&request("bun_2"), &[]).outcome.unwrap(), Permission::Permitted);
    let refused = policy.permit(&request("bun_1"), &[]).outcome.unwrap();
    assert_eq!(refused, Permission::Refused(Reason::new("same-bundle", "no season")));
}
