//! How fast a deployment goes on, whenever it is looked at, and when it stops.

use kernex_sdk::rollback::{Counts, Extent};
use kernex_sdk::{Fact, testing};

use super::*;

const MINUTE_MS: u64 = 60_000;
const NONE: Counts =
    Counts { assigned: 0, offered: 0, running: 0, installed: 0, verified: 0, failed: 0, timed_out: 0, rolled_back: 0 };

fn ramp(settings: &str) -> Ramp {
    Ramp::from_json(settings).unwrap()
}

fn window(now_ms: u64, counts: Counts) -> Window {
    Window { now_ms, waves: 1, ..testing::window(counts) }
}

fn said(outcome: &Outcome) -> (Action, &str) {
    (outcome.action, outcome.reason.code.as_str())
}

/// A host that looks every `look_ms`, and in a look that may offer gives out all free slots, as the driver does.
/// Devices are verified after `work_ms`. Returns how many were told by the end of each minute.
fn told_by_minute(ramp: &Ramp, devices: u32, slots: u32, look_ms: u64, work_ms: u64, minutes: u64) -> Vec<u32> {
    let mut state = Vec::new();
    let (mut told, mut ended) = (0_u32, 0_u32);
    let mut at_work: std::collections::VecDeque<(u64, u32)> = Default::default();
    let mut by_minute = Vec::new();
    let mut now_ms = 0;
    while by_minute.len() < usize::try_from(minutes).unwrap() {
        while let Some((until, count)) = at_work.front().copied().filter(|(until, _)| *until <= now_ms) {
            assert!(until <= now_ms);
            ended += count;
            at_work.pop_front();
        }
        let counts = Counts { assigned: devices, verified: ended, running: told - ended, ..NONE };
        let outcome = ramp.judge(&window(now_ms, counts), &state);
        state = outcome.state;
        if outcome.action != Action::Hold {
            let offers = (slots - (told - ended)).min(devices - told);
            told += offers;
            at_work.push_back((now_ms + work_ms, offers));
        }
        now_ms += look_ms;
        if now_ms % MINUTE_MS < look_ms {
            by_minute.push(told);
        }
    }
    by_minute
}

#[test]
fn the_rate_is_right_however_often_it_is_asked_for() {
    let ramp = ramp(r#"{"base_per_minute": 30}"#);
    for (slots, look_ms) in [(1, 20), (1, 500), (5, 20), (5, 500), (5, 7_000), (30, 500), (30, 30_000), (30, 60_000)] {
        let told = told_by_minute(&ramp, 100_000, slots, look_ms, 1, 60);
        for (minute, told) in (1..).zip(told) {
            assert!(told <= 30 * minute + slots, "{told} in {minute} minutes: {slots} slots, every {look_ms} ms");
            assert!(told + slots >= 30 * minute, "{told} in {minute} minutes: {slots} slots, every {look_ms} ms");
        }
    }
}

#[test]
fn more_slots_than_the_rate_are_waited_for() {
    let ramp = ramp(r#"{"base_per_minute": 10}"#);
    let told = told_by_minute(&ramp, 100_000, 100, 500, 1, 60);
    assert_eq!(told[0], 100, "the host gives out every free slot at once");
    assert_eq!(told[8], 100);
    assert!((590..=700).contains(&told[59]), "{}", told[59]);
}

#[test]
fn rare_looks_make_it_slower_never_faster() {
    let ramp = ramp(r#"{"base_per_minute": 30}"#);
    for look_ms in [90_000, 300_000] {
        let told = told_by_minute(&ramp, 100_000, 1_000, look_ms, 1, 30);
        for (look, told) in (1..).zip(told) {
            let minutes = u32::try_from(look * look_ms / MINUTE_MS).unwrap();
            assert!(told <= 30 * (minutes + 1) + 1_000, "{told} in {minutes} minutes, every {look_ms} ms");
        }
    }
}

#[test]
fn an_idle_hour_is_not_caught_up_with() {
    let ramp = ramp(r#"{"base_per_minute": 60}"#);
    let at = |now_ms, told| window(now_ms, Counts { assigned: 10_000, running: told, ..NONE });
    let mut state = ramp.judge(&at(0, 0), &[]).state;
    let hour_ms = 60 * MINUTE_MS;
    let mut told = 0;
    for second in 0..120 {
        let outcome = ramp.judge(&at(hour_ms + second * 1_000, told), &state);
        state = outcome.state;
        if outcome.action != Action::Hold {
            told += 10;
        }
    }
    assert!((170..=190).contains(&told), "a minute's and those of two minutes, not {told}");
}

#[test]
fn the_rate_grows_with_what_was_told() {
    let growing = ramp(
        r#"{"base_per_minute": 10, "increase":
            {"factor": 2, "criterion": "notified", "every": 20, "maximum_per_minute": 40}}"#,
    );
    let told = told_by_minute(&growing, 100_000, 1, 100, 1, 6);
    for (told, wanted) in told.into_iter().zip([10_u32, 20, 40, 80, 120, 160]) {
        assert!(told.abs_diff(wanted) <= 1, "{told} instead of {wanted}");
    }
    let burst = told_by_minute(&growing, 100_000, 500, 100, 1, 12);
    assert_eq!(burst[..12], [500; 12], "2 minutes, 1 minute and then 11.5 minutes are due after so many");
}

#[test]
fn the_rate_grows_with_success_only() {
    let ramp = ramp(
        r#"{"base_per_minute": 10, "increase":
            {"factor": 2, "criterion": "succeeded", "every": 20, "maximum_per_minute": 40}}"#,
    );
    let never = told_by_minute(&ramp, 100_000, 1_000_000, 500, 60 * MINUTE_MS, 1);
    assert_eq!(never, [100_000], "as many as there are slots");
    let message = |verified| {
        let counts = Counts { assigned: 1_000, running: 500, verified, ..NONE };
        ramp.judge(&window(0, counts), &[]).reason.message
    };
    assert!(message(19).contains("; 10 devices a minute"), "{}", message(19));
    assert!(message(20).contains("; 20 devices a minute"), "{}", message(20));
    assert!(message(500).contains("; 40 devices a minute"), "{}", message(500));
}

#[test]
fn a_hold_says_how_long() {
    let ramp = ramp(r#"{"base_per_minute": 10}"#);
    let first = ramp.judge(&window(0, Counts { assigned: 100, ..NONE }), &[]);
    assert_eq!(said(&first), (Action::Proceed, "wave-in-progress"));
    let counts = Counts { assigned: 100, offered: 20, ..NONE };
    let second = ramp.judge(&window(500, counts), &first.state);
    assert_eq!(said(&second), (Action::Hold, "rate-reached"));
    assert_eq!(second.reason.message, "10 devices a minute may be told; the next one in 120 s");
    let third = ramp.judge(&window(119_999, counts), &second.state);
    assert_eq!(third.state, second.state, "nothing new: nothing to be written down");
    assert_eq!(third.action, Action::Hold);
    assert_eq!(ramp.judge(&window(120_000, counts), &second.state).action, Action::Proceed);
}

#[test]
fn what_is_offered_again_counts_again() {
    let ramp = ramp(r#"{"base_per_minute": 60}"#);
    let look =
        |now_ms, offered, state: &[u8]| ramp.judge(&window(now_ms, Counts { assigned: 100, offered, ..NONE }), state);
    let offered = look(0, 10, &look(0, 0, &[]).state);
    let withdrawn = look(10_000, 0, &offered.state);
    assert_eq!(withdrawn.action, Action::Proceed);
    let again = look(10_000, 10, &withdrawn.state);
    assert_eq!(again.reason.message, "60 devices a minute may be told; the next one in 10 s");
}

#[test]
fn a_wave_advances_within_the_rate_only() {
    let ramp = ramp(r#"{"base_per_minute": 10}"#);
    let mut passed = window(500, Counts { assigned: 20, verified: 20, ..NONE });
    passed.overall.assigned = 100;
    let start = ramp.judge(&window(0, Counts { assigned: 100, ..NONE }), &[]).state;
    let held = ramp.judge(&passed, &start);
    assert_eq!(said(&held), (Action::Hold, "rate-reached"));
    passed.now_ms = 2 * MINUTE_MS;
    assert_eq!(said(&ramp.judge(&passed, &held.state)), (Action::Advance, "wave-verified"));
    let last = window(500, Counts { assigned: 20, verified: 20, ..NONE });
    assert_eq!(said(&ramp.judge(&last, &start)), (Action::Advance, "wave-verified"), "nobody is left to be told");
}

#[test]
fn each_type_of_failure_has_its_threshold() {
    let settings = |failure: &str| {
        let abort = format!(r#"{{"failure": "{failure}", "threshold_percent": 10, "min_executed": 20}}"#);
        format!(r#"{{"base_per_minute": 10, "abort": [{abort}]}}"#)
    };
    let stops = |failure: &str, failed, timed_out, rejected: Option<i64>| {
        let counts = Counts { assigned: 1_000, verified: 20 - failed - timed_out, failed, timed_out, ..NONE };
        let mut window = window(0, counts);
        window.facts = rejected.map(|count| Fact::integer("overall.rejected", count)).into_iter().collect();
        ramp(&settings(failure)).judge(&window, &[]).action == Action::Pause
    };
    assert!(stops("all", 1, 1, None));
    assert!(!stops("all", 1, 0, None));
    assert!(stops("failed", 2, 0, None));
    assert!(!stops("failed", 1, 1, None));
    assert!(!stops("failed", 2, 0, Some(1)));
    assert!(stops("failed", 2, 0, Some(0)));
    assert!(stops("timed_out", 0, 2, None));
    assert!(!stops("timed_out", 2, 1, None));
    assert!(stops("rejected", 2, 0, None), "where it is not known, all may have");
    assert!(stops("rejected", 2, 0, Some(2)));
    assert!(!stops("rejected", 2, 0, Some(1)));
    assert!(stops("rejected", 2, 0, Some(-1)), "an impossible count is none");
    assert!(stops("rejected", 2, 0, Some(3)), "an impossible count is none");
}

#[test]
fn few_devices_do_not_stop_it_unless_nothing_can_mend_it() {
    let settings = r#"{"base_per_minute": 10, "abort": [
        {"failure": "all", "threshold_percent": 50, "min_executed": 10, "action": "roll_back"}]}"#;
    let stops = |assigned, verified, failed| {
        let outcome = ramp(settings).judge(&window(0, Counts { assigned, verified, failed, ..NONE }), &[]);
        outcome.action == Action::RollBack(Extent::Everyone)
    };
    assert!(!stops(1_000, 4, 5));
    assert!(stops(1_000, 5, 5));
    assert!(stops(2, 1, 1), "all of a small deployment have executed it");
    assert!(!stops(3, 0, 1));
    assert!(stops(3, 0, 2), "two of three, whatever the third does");
    assert!(!stops(0, 0, 0));
}

#[test]
fn going_back_comes_before_a_pause() {
    let settings = r#"{"base_per_minute": 10, "abort": [
        {"failure": "all", "threshold_percent": 10, "min_executed": 10},
        {"failure": "all", "threshold_percent": 30, "min_executed": 10, "action": "roll_back", "extent": "current_wave"}
    ]}"#;
    let action = |failed| {
        let counts = Counts { assigned: 1_000, verified: 10 - failed, failed, ..NONE };
        ramp(settings).judge(&window(0, counts), &[]).action
    };
    assert_eq!(action(0), Action::Proceed);
    assert_eq!(action(1), Action::Pause);
    assert_eq!(action(3), Action::RollBack(Extent::CurrentWave));
}

#[test]
fn a_person_who_resumes_accepts_the_failures_so_far() {
    let ramp = ramp(r#"{"base_per_minute": 10000, "abort": [{"failure": "timed_out", "threshold_percent": 10}]}"#);
    let judge = |failed, timed_out, state: &[u8]| {
        let counts = Counts { assigned: 1_000, verified: 10, failed, timed_out, ..NONE };
        ramp.judge(&window(0, counts), state)
    };
    let first = judge(0, 2, &[]);
    assert_eq!(said(&first), (Action::Pause, "abort-threshold-reached"));
    let second = judge(0, 2, &first.state);
    assert_eq!(second.action, Action::Proceed);
    let third = judge(2, 2, &second.state);
    assert_eq!(third.action, Action::Hold, "failures of another type; the rate is not passed by");
    assert_eq!(judge(2, 3, &third.state).action, Action::Pause);
}

#[test]
fn a_wave_that_failed_entirely_pauses() {
    let ramp = ramp(r#"{"base_per_minute": 10}"#);
    let outcome = ramp.judge(&window(0, Counts { assigned: 1, failed: 1, ..NONE }), &[]);
    assert_eq!(said(&outcome), (Action::Pause, "wave-failed"));
}

#[test]
fn a_foreign_state_counts_as_empty_and_is_named() {
    let ramp = ramp(r#"{"base_per_minute": 10}"#);
    let counts = Counts { assigned: 100, running: 40, ..NONE };
    let empty = ramp.judge(&window(0, counts), &[]);
    assert!(!empty.reason.message.contains("state"), "{}", empty.reason.message);
    for state in [&[1, 2, 0, 0, 0][..], b"sprt\x01\0\0\0\0", &[0xFF; 4_096]] {
        let outcome = ramp.judge(&window(0, counts), state);
        assert!(outcome.reason.message.contains("counts as empty"), "{}", outcome.reason.message);
        assert_eq!((outcome.action, &outcome.state), (empty.action, &empty.state));
    }
}

#[test]
fn impossible_counts_and_times_are_survived() {
    let ramp = ramp(r#"{"base_per_minute": 1, "abort": [{"failure": "all", "threshold_percent": 100}]}"#);
    let many = u32::MAX;
    let counts = Counts { assigned: many, offered: many, verified: many, ..NONE };
    let first = ramp.judge(&window(u64::MAX, NONE), &[]);
    let second = ramp.judge(&window(0, counts), &first.state);
    assert!(second.state.len() <= 4_096);
    let back = ramp.judge(&window(u64::MAX, Counts { failed: many, timed_out: many, ..counts }), &second.state);
    assert_eq!(back.action, Action::Pause);
    assert_eq!(said(&ramp.judge(&window(0, NONE), &[])), (Action::Advance, "wave-empty"));
}

#[test]
fn single_rollbacks_can_be_refused() {
    let request = RollbackRequest {
        device: "dev_1".into(),
        from_bundle: "bun_2".into(),
        to_bundle: "bun_1".into(),
        facts: Vec::new(),
    };
    assert_eq!(ramp(r#"{"base_per_minute": 1}"#).permit(&request), Permission::Permitted);
    let refused = ramp(r#"{"base_per_minute": 1, "allow_manual": false}"#).permit(&request);
    assert!(matches!(refused, Permission::Refused(reason) if reason.code == "manual-rollback-disabled"));
}

#[test]
fn diagnostics_point_at_the_mistake() {
    let wrong = |text: &str| Ramp::from_json(text).unwrap_err().remove(0).pointer;
    assert_eq!(wrong("{}"), "");
    assert_eq!(wrong(r#"{"base_per_minute": 0}"#), "/base_per_minute");
    assert_eq!(wrong(r#"{"base_per_minute": -1}"#), "/base_per_minute");
    assert_eq!(wrong(r#"{"base_per_minute": 1, "advance_share": 1.5}"#), "/advance_share");
    assert_eq!(wrong(r#"{"base_per_minute": 1, "rate": 5}"#), "/rate");
    let abort = |text: &str| wrong(&format!(r#"{{"base_per_minute": 1, "abort": [{text}]}}"#));
    assert_eq!(abort(r#"{"failure": "all", "threshold_percent": 0}"#), "/abort/0/threshold_percent");
    assert_eq!(abort(r#"{"failure": "some", "threshold_percent": 1}"#), "/abort/0/failure");
    assert_eq!(abort(r#"{"failure": "all", "threshold_percent": 1, "extent": "everyone"}"#), "/abort/0/extent");
    assert_eq!(abort(&vec![r#"{"failure": "all", "threshold_percent": 1}"#; 17].join(",")), "/abort");
}
