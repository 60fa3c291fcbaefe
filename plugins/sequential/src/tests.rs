//! Verdicts on ordinary and on bad deployments.

use kernex_sdk::rollback::{Counts, Extent};
use kernex_sdk::testing;

use super::*;

pub(crate) const NONE: Counts =
    Counts { assigned: 0, offered: 0, running: 0, installed: 0, verified: 0, failed: 0, timed_out: 0, rolled_back: 0 };

fn sequential(settings: &str) -> Sequential {
    Sequential::from_json(settings).unwrap()
}

fn counts(assigned: u32, verified: u32, failed: u32) -> Counts {
    Counts { assigned, verified, failed, ..NONE }
}

/// The only wave of a deployment, open for an hour.
pub(crate) fn window(in_wave: Counts) -> Window {
    Window { waves: 1, ..testing::window(in_wave) }
}

/// A wave after others.
fn later(in_wave: Counts, overall: Counts) -> Window {
    Window { wave: 3, waves: 4, overall, ..window(in_wave) }
}

fn verdict(settings: &str, window: &Window) -> (Action, String) {
    let outcome = sequential(settings).judge(window, &[]);
    (outcome.action, outcome.reason.code)
}

fn said(action: Action, code: &str) -> (Action, String) {
    (action, code.to_owned())
}

#[test]
fn the_bounds_are_as_computed_by_hand() {
    let plugin = sequential("{}");
    assert!((plugin.accepts - -2.995_732).abs() < 1e-6, "ln 0.05");
    let stops = |waves| plugin.tests(&Window { waves, ..window(NONE) }).map(|test| test.stops);
    let close = |bounds: [f64; 2], wanted: [f64; 2]| (0..2).all(|at| (bounds[at] - wanted[at]).abs() < 1e-6);
    assert!(close(stops(1), [2.995_732, 2.995_732]), "ln 20");
    assert!(close(stops(4), [3.688_879, 5.075_174]), "ln 40, ln 160");
}

#[test]
fn a_few_failures_stop_it_early_and_many_successes_make_up_for_them() {
    let of = |verified, failed| verdict("{}", &window(counts(1_000, verified, failed)));
    assert_eq!(of(0, 1), said(Action::Proceed, "wave-in-progress"), "1.61 < 3.00");
    assert_eq!(of(0, 2), said(Action::Pause, "failure-rate-too-high"), "3.22");
    assert_eq!(of(5, 2), said(Action::Pause, "failure-rate-too-high"), "3.01");
    assert_eq!(of(6, 2), said(Action::Proceed, "wave-in-progress"), "2.97");
    assert_eq!(of(200, 6), said(Action::Proceed, "wave-in-progress"), "1.41: 3 % is neither");
    assert_eq!(of(200, 7), said(Action::Pause, "failure-rate-too-high"), "3.02");
}

#[test]
fn open_devices_count_as_successes_before_it_is_stopped() {
    let open = |running| verdict("{}", &window(Counts { running, ..counts(1_000, 0, 2) })).0;
    assert_eq!(open(5), Action::Pause);
    assert_eq!(open(6), Action::Proceed);
    let offered = window(Counts { offered: 500, ..counts(1_000, 0, 2) });
    assert_eq!(verdict("{}", &offered).0, Action::Pause, "who has not begun says nothing");
}

#[test]
fn an_accepted_rate_advances_a_wave_that_is_not_over() {
    let of = |verified, running| verdict("{}", &window(Counts { running, ..counts(80, verified, 0) }));
    assert_eq!(of(71, 0), said(Action::Proceed, "wave-in-progress"), "72 of 80 are needed");
    assert_eq!(of(72, 0), said(Action::Proceed, "rate-undecided"), "-2.97 > -3.00");
    assert_eq!(of(73, 0), said(Action::Advance, "wave-verified"), "-3.01");
    assert_eq!(of(73, 1), said(Action::Proceed, "rate-undecided"), "it might fail");
    assert_eq!(of(80, 0), said(Action::Advance, "wave-verified"));
}

#[test]
fn earlier_waves_help_to_accept() {
    let wave = counts(20, 18, 0);
    assert_eq!(verdict("{}", &later(wave, counts(500, 118, 0))), said(Action::Advance, "wave-verified"));
    assert_eq!(verdict("{}", &later(wave, counts(500, 118, 2))), said(Action::Proceed, "rate-undecided"));
}

#[test]
fn earlier_waves_do_not_hide_what_fails_in_this_one() {
    let overall = counts(5_000, 3_000, 4);
    assert_eq!(verdict("{}", &later(counts(100, 0, 3), overall)).0, Action::Proceed, "4.83 < 5.08");
    let four = later(counts(100, 0, 4), overall);
    assert_eq!(verdict("{}", &four), said(Action::Pause, "failure-rate-too-high"));
    let message = sequential("{}").judge(&four, &[]).reason.message;
    assert!(message.contains("4 of 4 devices of this wave"), "{message}");
}

#[test]
fn a_small_wave_passes_when_it_is_over() {
    let of = |counts| verdict("{}", &window(counts));
    assert_eq!(of(counts(10, 9, 0)), said(Action::Proceed, "rate-undecided"), "one is left");
    assert_eq!(of(Counts { offered: 1, ..counts(10, 9, 0) }), said(Action::Proceed, "rate-undecided"));
    assert_eq!(of(Counts { installed: 1, ..counts(10, 9, 0) }), said(Action::Proceed, "rate-undecided"));
    assert_eq!(of(counts(10, 9, 1)), said(Action::Advance, "wave-executed"));
    assert_eq!(of(counts(10, 10, 0)), said(Action::Advance, "wave-executed"));
    assert_eq!(of(counts(1, 1, 0)), said(Action::Advance, "wave-executed"));
    assert_eq!(of(counts(1, 0, 1)), said(Action::Pause, "wave-failed"));
    assert_eq!(of(NONE), said(Action::Advance, "wave-empty"));
}

#[test]
fn who_cannot_be_reached_can_be_given_up() {
    let of = |settings: &str, counts| verdict(settings, &window(counts)).1;
    let absent = counts(10, 9, 0);
    let offered = Counts { offered: 1, ..absent };
    let running = Counts { running: 1, ..absent };
    assert_eq!(of(r#"{"unreached_after_s": 3601}"#, absent), "rate-undecided");
    assert_eq!(of(r#"{"unreached_after_s": 3600}"#, absent), "wave-executed");
    assert_eq!(of(r#"{"unreached_after_s": 3600}"#, offered), "wave-executed");
    assert_eq!(of(r#"{"unreached_after_s": 3600}"#, running), "rate-undecided", "who has begun is waited for");
}

#[test]
fn a_wave_waits_for_its_time() {
    let passed = window(counts(100, 100, 0));
    assert_eq!(verdict(r#"{"min_wave_open_s": 3601}"#, &passed), said(Action::Proceed, "wave-open-time"));
    assert_eq!(verdict(r#"{"min_wave_open_s": 3600}"#, &passed), said(Action::Advance, "wave-verified"));
}

#[test]
fn a_breach_can_send_devices_back() {
    let back = |settings: &str| verdict(settings, &window(counts(100, 0, 5))).0;
    assert_eq!(back(r#"{"on_breach": "roll_back"}"#), Action::RollBack(Extent::Everyone));
    let settings = r#"{"on_breach": "roll_back", "extent": "failed_devices"}"#;
    assert_eq!(back(settings), Action::RollBack(Extent::FailedDevices));
}

#[test]
fn the_reason_shows_what_was_computed() {
    let message = |counts| sequential("{}").judge(&window(counts), &[]).reason.message;
    assert_eq!(
        message(Counts { running: 2, timed_out: 1, ..counts(1_000, 16, 3) }),
        "4 of 20 devices of the deployment that came to an end failed (20.0 %), 2 still open; \
            log-likelihood ratio 5.70 to 9.00, it accepts up to -3.00 and stops from 3.00"
    );
    assert!(message(NONE).contains("0 of 0 devices of the deployment that came to an end failed (0.0 %)"));
}

#[test]
fn a_person_who_resumes_accepts_the_failures_so_far() {
    let plugin = sequential("{}");
    let judge = |verified, failed, state: &[u8]| plugin.judge(&window(counts(1_000, verified, failed)), state);
    let first = judge(10, 3, &[]);
    assert_eq!(first.action, Action::Pause);
    let second = judge(11, 3, &first.state);
    assert_eq!((second.action, &second.state), (Action::Proceed, &first.state));
    let third = judge(11, 4, &second.state);
    assert_eq!(third.action, Action::Pause);
    assert_ne!(third.state, second.state);
}

#[test]
fn a_foreign_state_counts_as_empty_and_is_named() {
    let plugin = sequential("{}");
    let failing = window(counts(1_000, 0, 3));
    for state in [&[1, 200, 0, 0, 0][..], b"sprt\x02\xC8\0\0\0", b"sprt\x01\xC8\0\0", &[0xFF; 4_096]] {
        let outcome = plugin.judge(&failing, state);
        assert_eq!(outcome.action, Action::Pause);
        assert!(outcome.reason.message.ends_with("counts as empty"), "{}", outcome.reason.message);
        let good = plugin.judge(&window(counts(1_000, 1, 0)), state);
        assert_eq!((good.action, good.state), (Action::Proceed, Vec::new()));
    }
}

#[test]
fn impossible_counts_are_survived() {
    let many = u32::MAX;
    let all = Counts {
        assigned: many,
        offered: many,
        running: many,
        installed: many,
        verified: many,
        failed: many,
        timed_out: many,
        rolled_back: many,
    };
    let mut window = Window { waves: 0, now_ms: 0, wave_opened_at_ms: u64::MAX, ..window(all) };
    assert_eq!(verdict("{}", &window).0, Action::Pause);
    window.in_wave.assigned = 0;
    window.overall.assigned = 0;
    assert_eq!(verdict("{}", &window).0, Action::Advance, "a wave without devices has no failures");
}

#[test]
fn single_rollbacks_can_be_refused() {
    let request = RollbackRequest {
        device: "dev_1".into(),
        from_bundle: "bun_2".into(),
        to_bundle: "bun_1".into(),
        facts: Vec::new(),
    };
    assert_eq!(sequential("{}").permit(&request), Permission::Permitted);
    let refused = sequential(r#"{"allow_manual": false}"#).permit(&request);
    assert!(matches!(refused, Permission::Refused(reason) if reason.code == "manual-rollback-disabled"));
}

#[test]
fn diagnostics_point_at_the_mistake() {
    let wrong = |text: &str| Sequential::from_json(text).unwrap_err().remove(0).pointer;
    assert_eq!(wrong(r#"{"baseline_rate": 0.0}"#), "/baseline_rate");
    assert_eq!(wrong(r#"{"baseline_rate": 0.05}"#), "/unacceptable_rate");
    assert_eq!(wrong(r#"{"alpha": 0.51}"#), "/alpha");
    assert_eq!(wrong(r#"{"advance_share": -0.1}"#), "/advance_share");
    assert_eq!(wrong(r#"{"extent": "everyone"}"#), "/extent");
    assert_eq!(wrong(r#"{"p0": 0.1}"#), "/p0");
}
