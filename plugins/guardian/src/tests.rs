//! Verdicts on ordinary and on bad deployments.

use kernex_sdk::rollback::{Counts, Extent as Sent};
use kernex_sdk::testing::{self, window};

use super::*;

fn guardian(settings: &str) -> Guardian {
    Guardian::from_json(settings).unwrap()
}

fn counts(assigned: u32, verified: u32, failed: u32) -> Counts {
    Counts { verified, failed, ..testing::counts(assigned) }
}

fn verdict(settings: &str, in_wave: Counts) -> (Action, String) {
    let outcome = guardian(settings).judge(&window(in_wave), &[]);
    (outcome.action, outcome.reason.code)
}

fn said(action: Action, code: &str) -> (Action, String) {
    (action, code.to_owned())
}

#[test]
fn one_failed_canary_stops_the_deployment() {
    let failed = Counts { failed: 1, ..counts(1, 0, 0) };
    assert_eq!(verdict("{}", failed), said(Action::Pause, "failure-share-exceeded"));
    let timed_out = Counts { timed_out: 1, ..counts(1, 0, 0) };
    assert_eq!(verdict("{}", timed_out), said(Action::Pause, "failure-share-exceeded"));
    assert_eq!(verdict("{}", counts(1, 1, 0)), said(Action::Advance, "wave-verified"));
}

#[test]
fn failures_are_measured_against_what_was_executed() {
    assert_eq!(verdict("{}", counts(20_000, 8, 1)), said(Action::Proceed, "wave-in-progress"));
    assert_eq!(verdict("{}", counts(20_000, 9, 1)), said(Action::Proceed, "wave-in-progress"));
    assert_eq!(verdict("{}", counts(20_000, 8, 2)), said(Action::Pause, "failure-share-exceeded"));
    let installed = Counts { installed: 20, ..counts(20_000, 0, 2) };
    assert_eq!(verdict("{}", installed), said(Action::Proceed, "wave-in-progress"));
}

#[test]
fn what_no_success_can_mend_stops_at_once() {
    let settings = r#"{"min_executed": 100}"#;
    assert_eq!(verdict(settings, counts(40, 0, 4)), said(Action::Proceed, "wave-in-progress"));
    assert_eq!(verdict(settings, counts(40, 0, 5)), said(Action::Pause, "failure-share-exceeded"));
}

#[test]
fn an_earlier_wave_counts_too() {
    let mut window = window(counts(10, 10, 0));
    window.overall = counts(100, 50, 20);
    let outcome = guardian("{}").judge(&window, &[]);
    assert_eq!(outcome.action, Action::Pause);
    assert!(outcome.reason.message.contains("of the deployment"), "{}", outcome.reason.message);
}

#[test]
fn a_breach_can_send_devices_back() {
    let back = |settings: &str| verdict(settings, counts(10, 0, 10)).0;
    assert_eq!(back(r#"{"on_breach": "roll_back"}"#), Action::RollBack(Sent::Everyone));
    let settings = r#"{"on_breach": "roll_back", "extent": "current_wave"}"#;
    assert_eq!(back(settings), Action::RollBack(Sent::CurrentWave));
}

#[test]
fn a_person_who_resumes_accepts_the_failures_so_far() {
    let guardian = guardian("{}");
    let first = guardian.judge(&window(counts(10, 2, 2)), &[]);
    assert_eq!(first.action, Action::Pause);
    let second = guardian.judge(&window(counts(10, 3, 2)), &first.state);
    assert_eq!(second.action, Action::Proceed);
    let third = guardian.judge(&window(counts(10, 3, 3)), &second.state);
    assert_eq!(third.action, Action::Pause);
    let fourth = guardian.judge(&window(counts(10, 7, 3)), &third.state);
    assert_eq!(fourth.action, Action::Advance);
}

#[test]
fn a_wave_that_failed_entirely_never_advances() {
    let tolerant = r#"{"max_failure_share": 1.0, "advance_share": 0.0}"#;
    assert_eq!(verdict(tolerant, counts(5, 0, 5)), said(Action::Pause, "wave-failed"));
    assert_eq!(verdict(tolerant, counts(5, 0, 4)), said(Action::Proceed, "wave-in-progress"));
    assert_eq!(verdict(tolerant, counts(5, 1, 4)), said(Action::Advance, "wave-verified"));
}

#[test]
fn a_wave_waits_for_its_share_and_its_time() {
    assert_eq!(verdict("{}", counts(10, 8, 0)), said(Action::Proceed, "wave-in-progress"));
    assert_eq!(verdict("{}", counts(10, 9, 0)), said(Action::Advance, "wave-verified"));
    let patient = r#"{"min_wave_open_s": 3601}"#;
    assert_eq!(verdict(patient, counts(10, 10, 0)), said(Action::Proceed, "wave-open-time"));
    assert_eq!(verdict("{}", counts(0, 0, 0)), said(Action::Advance, "wave-empty"));
}

#[test]
fn unreached_devices_can_be_given_up() {
    let half = counts(10, 5, 0);
    assert_eq!(verdict(r#"{"unreached_after_s": 7200}"#, half).0, Action::Proceed);
    assert_eq!(verdict(r#"{"unreached_after_s": 3600}"#, half).0, Action::Advance);
    let none = counts(10, 0, 0);
    assert_eq!(verdict(r#"{"unreached_after_s": 3600}"#, none).0, Action::Proceed);
}

#[test]
fn single_rollbacks_can_be_refused() {
    let request = testing::rollback_request();
    assert_eq!(guardian("{}").permit(&request), Permission::Permitted);
    let refused = guardian(r#"{"allow_manual": false}"#).permit(&request);
    let Permission::Refused(reason) = refused else { panic!("permitted") };
    assert_eq!(reason.code, "manual-rollback-disabled");
}

#[test]
fn diagnostics_point_at_the_mistake() {
    let wrong = |text: &str| Guardian::from_json(text).unwrap_err().remove(0).pointer;
    assert_eq!(wrong(r#"{"max_failure_share": 10}"#), "/max_failure_share");
    assert_eq!(wrong(r#"{"advance_share": -0.5}"#), "/advance_share");
    assert_eq!(wrong(r#"{"extent": "everyone"}"#), "/extent");
    assert_eq!(wrong(r#"{"on_breach": "explode"}"#), "/on_breach");
}
