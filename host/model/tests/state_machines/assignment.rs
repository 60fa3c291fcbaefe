//! Owns the properties of one assignment.

use kernex_model::assignment::{Assignment, AssignmentState as S, ReportEffect, ReportRefusal};
use kernex_model::report::Report;
use kernex_model::time::Timestamp;
use proptest::prelude::*;

use super::sample::{Event, apply, device, draft, event, plan, queued, report, start};

/// Longest story of one assignment.
const EVENTS: usize = 40;

/// Where an assignment may go from each state: written down by hand, from the design.
fn may_follow(from: S) -> &'static [S] {
    match from {
        S::Queued => &[S::Offered, S::Cancelled, S::RollbackQueued, S::RollbackFailed],
        S::Offered => &[
            S::Queued,
            S::Running,
            S::Installed,
            S::Failed,
            S::Rejected,
            S::Cancelled,
            S::RollbackQueued,
            S::RollbackFailed,
        ],
        S::Running => &[
            S::Queued,
            S::Running,
            S::Installed,
            S::Failed,
            S::Rejected,
            S::TimedOut,
            S::RollbackQueued,
            S::RollbackFailed,
        ],
        S::Installed => &[S::Verified, S::Failed, S::Cancelled, S::RollbackQueued, S::RollbackFailed],
        S::Verified | S::Failed | S::TimedOut => &[S::RollbackQueued, S::RollbackFailed],
        S::RollbackQueued => &[S::RollbackOffered, S::RollbackFailed],
        S::RollbackOffered => &[S::RollbackQueued, S::RollbackRunning, S::RolledBack, S::RollbackFailed],
        S::RollbackRunning => &[S::RollbackQueued, S::RollbackRunning, S::RolledBack, S::RollbackFailed],
        S::Rejected | S::Cancelled | S::RolledBack | S::RollbackFailed => &[],
    }
}

fn fresh() -> Assignment {
    queued(draft(&[1], kernex_model::deployment::Plan::default()).0.id, 0, device(0))
}

/// Plays the events, a second apart, and shows every step that had an effect.
fn play(
    plan: &kernex_model::deployment::Plan,
    events: &[Event],
    mut see: impl FnMut(&Assignment, &Event, &Assignment, Timestamp) -> Result<(), TestCaseError>,
) -> Result<Assignment, TestCaseError> {
    let mut assignment = fresh();
    let mut now = start();
    for event in events {
        now = now.plus_secs(1);
        if let Some(after) = apply(&assignment, event, now, plan) {
            see(&assignment, event, &after, now)?;
            assignment = after;
        }
    }
    Ok(assignment)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn only_the_designed_steps_are_taken(plan in plan(), events in prop::collection::vec(event(), 1..EVENTS)) {
        play(&plan, &events, |before, event, after, _| {
            prop_assert!(may_follow(before.state).contains(&after.state), "{event:?}: {:?} -> {:?}", before.state, after.state);
            // Whoever has not begun an attempt has nothing to go back from.
            let untouched = before.state == S::Queued && before.failed_attempts == 0;
            prop_assert!(!untouched || !after.state.going_back(), "{:?} sent {:?} back", event, before);
            // Only a rollback of the fleet takes up again what has ended.
            prop_assert!(!before.state.ended() || matches!(event, Event::SendBack { .. }), "{event:?} moved {:?}", before.state);
            prop_assert_eq!((after.id, after.wave, after.bundle_id), (before.id, before.wave, before.bundle_id));
            prop_assert_eq!(after.previous_bundle_id, before.previous_bundle_id);
            Ok(())
        })?;
    }

    #[test]
    fn an_attempt_begins_with_an_offer_and_a_slot(plan in plan(), events in prop::collection::vec(event(), 1..EVENTS)) {
        let (mut taken, mut freed) = (0, 0);
        let last = play(&plan, &events, |before, event, after, now| {
            let offer = matches!(event, Event::Offer);
            prop_assert_eq!(after.attempt, before.attempt + u32::from(offer));
            prop_assert_eq!(after.state.in_flight() && !before.state.in_flight(), offer, "{:?} took a slot", event);
            if offer {
                prop_assert_eq!(after.offered_at, Some(now));
                prop_assert_eq!(after.due_at, now.plus_secs(plan.attempt_timeout_s));
                taken += 1;
            }
            freed += u32::from(before.state.in_flight() && !after.state.in_flight());
            Ok(())
        })?;
        prop_assert_eq!(taken, freed + u32::from(last.state.in_flight()), "every slot is freed exactly once");
    }

    #[test]
    fn whoever_is_not_at_an_end_is_looked_at_again(plan in plan(), events in prop::collection::vec(event(), 1..EVENTS)) {
        play(&plan, &events, |_, _, after, now| {
            if after.state.ended() {
                prop_assert_eq!(after.due_at, Timestamp::MAX);
            } else {
                prop_assert!(after.due_at <= now.plus_secs(3_600), "{:?} is due at {}", after.state, after.due_at);
            }
            prop_assert!(after.failed_attempts <= plan.max_attempts);
            let given_up = matches!(after.state, S::TimedOut);
            prop_assert!(!given_up || after.failed_attempts == plan.max_attempts, "gave up after {}", after.failed_attempts);
            Ok(())
        })?;
    }

    #[test]
    fn a_report_on_another_attempt_changes_nothing(plan in plan(), events in prop::collection::vec(event(), 1..EVENTS), last in event()) {
        let assignment = play(&plan, &events, |_, _, _, _| Ok(()))?;
        let Some(report) = report(&assignment, &last) else { return Ok(()) };
        let answer = assignment.reported(&report, start().plus_secs(3_600), &plan);
        if report.attempt == 0 || report.attempt > assignment.attempt {
            prop_assert_eq!(answer, Err(ReportRefusal::UnknownAttempt(report.attempt)));
        } else if report.attempt < assignment.attempt {
            prop_assert_eq!(answer, Err(ReportRefusal::AttemptEnded { attempt: report.attempt, state: assignment.state }));
        }
    }

    #[test]
    fn a_report_sent_twice_is_answered_twice_and_counts_once(plan in plan(), events in prop::collection::vec(event(), 1..EVENTS)) {
        play(&plan, &events, |before, event, after, now| {
            if let Some(report) = report(before, event) {
                let again = after.reported(&report, now.plus_secs(1), &plan);
                prop_assert_eq!(again, Ok(ReportEffect::Repeated), "{:?} at {:?}", report.state, before.state);
            }
            Ok(())
        })?;
    }

    #[test]
    fn reports_that_arrive_again_much_later_change_nothing(plan in plan(), events in prop::collection::vec(event(), 1..EVENTS)) {
        let mut taken: Vec<Report> = Vec::new();
        play(&plan, &events, |before, event, after, now| {
            taken.extend(report(before, event));
            for report in &taken {
                let again = after.reported(report, now.plus_secs(1), &plan);
                prop_assert!(!matches!(again, Ok(ReportEffect::Changed(_))), "{report:?} changed {:?} again", after.state);
            }
            Ok(())
        })?;
    }
}

#[test]
fn a_withdrawn_offer_costs_no_attempt_that_may_fail() {
    let plan = kernex_model::deployment::Plan { max_attempts: 1, ..Default::default() };
    let offered = fresh().offered(start(), &plan).expect("it is queued");
    let withdrawn = offered.expired(start().plus_secs(plan.attempt_timeout_s), &plan).expect("it is in flight");
    assert_eq!((withdrawn.state, withdrawn.failed_attempts, withdrawn.attempt), (S::Queued, 0, 1));
    let again = withdrawn.offered(start(), &plan).expect("it is queued again");
    assert_eq!((again.state, again.attempt), (S::Offered, 2), "commands of the two offers can be told apart");
}

#[test]
fn retries_wait_longer_each_time() {
    let plan = kernex_model::deployment::Plan { max_attempts: 10, attempt_timeout_s: 1, ..Default::default() };
    let mut assignment = fresh();
    let mut waits = Vec::new();
    while assignment.state == S::Queued {
        let offered = assignment.offered(assignment.due_at, &plan).expect("it is queued");
        let failed =
            Event::Report { later: 0, state: kernex_model::report::ReportState::Failed, progress: None, code: None };
        let now = offered.offered_at.expect("it was offered").plus_secs(1);
        assignment = apply(&offered, &failed, now, &plan).expect("it is in flight");
        waits.push(assignment.due_at.since(now) / 1_000);
    }
    assert_eq!(&waits[..9], [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
    assert_eq!((assignment.state, assignment.failed_attempts), (S::Failed, 10));
}
