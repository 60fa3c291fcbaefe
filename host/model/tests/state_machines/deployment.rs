//! Owns the properties of a deployment's own steps: who may ask for what, when, and how often.

use kernex_model::assignment::AssignmentState;
use kernex_model::count::StateCounts;
use kernex_model::deployment::{
    AcceptedFailures, ApprovalRefused, Deployment, DeploymentState as S, MAX_APPROVALS, MaintenanceWindow, Plan,
    RollbackExtent,
};
use kernex_model::id::{Ulid, UserId};
use kernex_model::principal::Principal;
use kernex_model::time::Timestamp;
use kernex_model::wave::WaveState;
use proptest::prelude::*;

use super::sample::{draft, reason, start};

const STEPS: usize = 30;

#[derive(Debug, Clone, Copy)]
enum Step {
    Start,
    AwaitApproval,
    Approve(u8),
    Pause,
    Halt,
    Resume,
    Cancel,
    RollBack(RollbackExtent),
    Advance,
    Settle,
}

fn extent() -> impl Strategy<Value = RollbackExtent> {
    prop_oneof![Just(RollbackExtent::Everyone), Just(RollbackExtent::CurrentWave), Just(RollbackExtent::FailedDevices)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Start),
        2 => Just(Step::AwaitApproval),
        2 => (0..4_u8).prop_map(Step::Approve),
        2 => Just(Step::Pause),
        2 => Just(Step::Halt),
        3 => Just(Step::Resume),
        1 => Just(Step::Cancel),
        1 => extent().prop_map(Step::RollBack),
        3 => Just(Step::Advance),
        3 => Just(Step::Settle),
    ]
}

fn person(number: u8) -> Principal {
    Principal::User(UserId(Ulid(u128::from(number))))
}

/// Takes the step; whether it was allowed and did something.
fn take(deployment: &mut Deployment, step: Step, now: Timestamp) -> bool {
    let before = deployment.state;
    let wave = deployment.wave;
    match step {
        Step::Start => deployment.start(now).is_ok(),
        Step::AwaitApproval => deployment.await_approval(reason("approval-required"), now).is_ok(),
        Step::Approve(number) => deployment.approve(person(number), reason("approved"), now).is_ok(),
        Step::Pause => deployment.pause(reason("pause"), now).is_ok(),
        Step::Halt => deployment.halt(reason("halt"), now).is_ok(),
        Step::Resume => deployment.resume(reason("resume"), now).is_ok(),
        Step::Cancel => deployment.cancel(reason("cancel"), now).is_ok(),
        Step::RollBack(extent) => deployment.roll_back(extent, reason("rollback"), now).is_ok(),
        Step::Advance => {
            deployment.advance(reason("advance"), now);
            deployment.state != before || deployment.wave != wave
        }
        Step::Settle => deployment.settle(now),
    }
}

fn may_follow(from: S) -> &'static [S] {
    match from {
        S::Draft => &[S::AwaitingApproval, S::Running, S::Halted, S::Cancelled],
        S::AwaitingApproval => &[S::AwaitingApproval, S::Running, S::Paused, S::Halted, S::Cancelled],
        S::Running => &[S::Running, S::Paused, S::Halted, S::Completed, S::Cancelled, S::RollingBack],
        S::Paused => &[S::Paused, S::Running, S::Draft, S::Cancelled, S::RollingBack],
        S::Halted => &[S::Running, S::Draft, S::Paused, S::Cancelled, S::RollingBack],
        S::Completed => &[S::Completed, S::RollingBack],
        S::Cancelled => &[S::Cancelled, S::RollingBack],
        S::RollingBack => &[S::RolledBack],
        S::RolledBack => &[],
    }
}

fn counts() -> impl Strategy<Value = StateCounts> {
    prop::collection::vec(prop_oneof![3 => Just(0_u8), 1 => 0..4_u8], AssignmentState::ALL.len()).prop_map(|numbers| {
        let mut counts = StateCounts::default();
        for (state, number) in AssignmentState::ALL.into_iter().zip(numbers) {
            (0..number).for_each(|_| counts.enter(state));
        }
        counts
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn only_the_designed_steps_are_taken(waves in 1..5_usize, steps in prop::collection::vec(step(), 1..STEPS)) {
        let (mut deployment, _) = draft(&vec![0; waves], Plan::default());
        let (mut now, mut rollbacks) = (start(), 0);
        for step in steps {
            now = now.plus_secs(1);
            let before = deployment.clone();
            if take(&mut deployment, step, now) {
                prop_assert!(may_follow(before.state).contains(&deployment.state), "{step:?}: {:?} -> {:?}", before.state, deployment.state);
                rollbacks += u32::from(matches!(step, Step::RollBack(_)));
                prop_assert!(deployment.wave >= before.wave, "a wave that has passed is not opened again");
            } else {
                prop_assert_eq!(&deployment, &before, "{:?} was refused and changes nothing", step);
            }
            prop_assert!(rollbacks <= 1, "a rollback is begun once");
            prop_assert_eq!(deployment.rollback.is_some(), rollbacks == 1);
            if !matches!(step, Step::Approve(_)) {
                prop_assert_eq!(&deployment.approved_by, &before.approved_by, "only approving approves");
            }
            let open = deployment.waves.iter().filter(|wave| wave.state == WaveState::Open).count();
            prop_assert!(open <= 1);
            if deployment.state == S::Running {
                prop_assert_eq!(deployment.waves[usize::from(deployment.wave)].state, WaveState::Open);
                let passed = deployment.waves[..usize::from(deployment.wave)].iter().all(|wave| wave.state == WaveState::Passed);
                prop_assert!(passed, "waves open one after the other");
            }
        }
    }

    #[test]
    fn it_settles_when_nothing_is_left_to_do(
        waves in prop::collection::vec(counts(), 1..4),
        steps in prop::collection::vec(step(), 1..STEPS),
    ) {
        let (mut deployment, _) = draft(&vec![0; waves.len()], Plan::default());
        for (wave, counts) in deployment.waves.iter_mut().zip(&waves) {
            wave.counts = *counts;
        }
        let mut now = start();
        for step in steps {
            now = now.plus_secs(1);
            take(&mut deployment, step, now);
            let before = deployment.clone();
            let settled = deployment.settle(now);
            let counts = before.counts();
            let left = (0_u16..).zip(&waves).any(|(number, counts)| {
                AssignmentState::ALL.into_iter().any(|state| counts.at(state) > 0 && before.sends_back(number, state))
            });
            if settled {
                prop_assert_eq!(counts.active(), 0);
                prop_assert!(!left, "somebody is still to be sent back");
                prop_assert!(deployment.settled);
                prop_assert!(!deployment.settle(now), "it settles once");
            } else {
                prop_assert_eq!(&deployment, &before);
                let over = matches!(before.state, S::RollingBack | S::Completed | S::Cancelled);
                prop_assert!(!over || before.settled || counts.active() > 0 || left, "it should have settled");
            }
        }
    }

    #[test]
    fn slots_are_what_the_limit_leaves(counts in counts(), limit in 1..20_u32, steps in prop::collection::vec(step(), 1..STEPS)) {
        let (mut deployment, _) = draft(&[0], Plan { max_in_flight: limit, ..Plan::default() });
        deployment.waves[0].counts = counts;
        let now = start();
        for step in steps {
            take(&mut deployment, step, now);
            let slots = deployment.free_slots(now);
            let offers = matches!(deployment.state, S::Running | S::RollingBack);
            prop_assert_eq!(slots, if offers { limit.saturating_sub(counts.in_flight()) } else { 0 });
            prop_assert!(slots == 0 || slots + counts.in_flight() <= limit);
        }
    }

    #[test]
    fn a_window_withholds_offers_but_not_the_way_back(from in 0..1_440_u16, to in 0..1_440_u16, minute in 0..1_440_u32) {
        let window = MaintenanceWindow { from_minute: from, to_minute: to };
        let midnight: Timestamp = "2026-11-21T00:00:00Z".parse().expect("RFC 3339");
        let now = midnight.plus_secs(minute * 60 + 59);
        // Walked minute by minute from its beginning.
        let mut inside = false;
        let mut at = from;
        while at != to {
            inside |= u32::from(at) == minute;
            at = (at + 1) % 1_440;
        }
        prop_assert_eq!(window.contains(now), inside);
        let (mut deployment, _) = draft(&[1], Plan { maintenance_window: Some(window), ..Plan::default() });
        deployment.start(now).expect("a draft starts");
        prop_assert_eq!(deployment.free_slots(now) > 0, inside);
        deployment.roll_back(RollbackExtent::Everyone, reason("rollback"), now).expect("a running one goes back");
        prop_assert!(deployment.free_slots(now) > 0);
    }

    #[test]
    fn counts_never_lose_anybody(start in counts(), moves in prop::collection::vec((0..14_usize, 0..14_usize), 0..60)) {
        let mut counts = start;
        for (from, to) in moves {
            let (from, to) = (AssignmentState::ALL[from], AssignmentState::ALL[to]);
            if counts.at(from) > 0 {
                counts.shift(from, to);
            }
        }
        prop_assert_eq!(counts.total(), start.total());
        let ended: u64 = AssignmentState::ALL.into_iter().filter(|state| state.ended()).map(|state| counts.at(state)).sum();
        prop_assert_eq!(counts.active() + ended, counts.total());
        let policy = counts.to_policy();
        let parts = policy.offered + policy.running + policy.installed + policy.verified + policy.failed + policy.timed_out + policy.rolled_back;
        prop_assert_eq!(u64::from(policy.assigned), counts.total() - counts.cancelled);
        prop_assert_eq!(u64::from(policy.assigned), u64::from(parts) + counts.queued, "what the policy sees adds up");
        prop_assert_eq!([counts, start].into_iter().sum::<StateCounts>().total(), counts.total() * 2);
    }
}

#[test]
fn whoever_resumes_after_a_halt_accepts_what_had_failed() {
    let (mut deployment, _) = draft(&[0, 0], Plan::default());
    let now = start();
    deployment.start(now).expect("a draft starts");
    deployment.waves[0].counts =
        StateCounts { failed: 3, timed_out: 2, verified: 4, queued: 9, ..StateCounts::default() };
    deployment.pause(reason("pause"), now).expect("a running one pauses");
    deployment.resume(reason("resume"), now).expect("a paused one goes on");
    assert_eq!(deployment.accepted, None, "nobody was asked to look");
    deployment.halt(reason("floor"), now).expect("a running one halts");
    deployment.resume(reason("resume"), now).expect("a halted one goes on");
    assert_eq!(deployment.accepted, Some(AcceptedFailures { wave: 0, failed: 5, executed: 9 }));
}

#[test]
fn each_approval_counts_once_and_only_while_it_waits() {
    let (mut deployment, _) = draft(&[3, 4], Plan::default());
    let now = start();
    let not_awaited = |from| Err::<(), _>(ApprovalRefused::NotAwaited { from });
    assert_eq!(deployment.approve(person(1), reason("approved"), now), not_awaited(S::Draft));
    deployment.await_approval(reason("approval-required"), now).expect("a draft waits");
    for number in 1..=u8::try_from(MAX_APPROVALS).expect("a few") {
        assert_eq!(deployment.approve(person(number), reason("approved"), now), Ok(()));
        assert_eq!(deployment.approve(person(number), reason("approved"), now), Err(ApprovalRefused::Repeated));
    }
    assert_eq!(deployment.approve(person(0), reason("approved"), now), Err(ApprovalRefused::TooMany));
    assert_eq!(deployment.approved_by.len(), MAX_APPROVALS);
    assert_eq!(deployment.state, S::AwaitingApproval, "whether they are enough is not its own to say");
    assert_eq!(deployment.free_slots(now), 0);

    deployment.start(now).expect("one that waits starts");
    assert_eq!((deployment.state, deployment.waves[0].state), (S::Running, WaveState::Open));
    assert_eq!(deployment.approve(person(0), reason("approved"), now), not_awaited(S::Running));
    assert!(deployment.await_approval(reason("approval-required"), now).is_err(), "what runs has started");
}

#[test]
fn what_waits_for_approval_is_asked_about_again_when_it_is_resumed() {
    let (mut deployment, _) = draft(&[3], Plan::default());
    let now = start();
    deployment.await_approval(reason("approval-required"), now).expect("a draft waits");
    deployment.approve(person(1), reason("approved"), now).expect("it waits");
    assert!(deployment.resume(reason("resume"), now).is_err(), "a person does not start it without asking");
    assert!(deployment.roll_back(RollbackExtent::Everyone, reason("rollback"), now).is_err(), "nobody has it");
    for stop in [Deployment::pause, Deployment::halt] {
        stop(&mut deployment, reason("stop"), now).expect("one that waits is stopped");
        assert!(deployment.approve(person(2), reason("approved"), now).is_err(), "it does not wait now");
        deployment.resume(reason("resume"), now).expect("one that was stopped goes on");
        assert_eq!(deployment.state, S::Draft, "it is planned again, and then asked about");
        deployment.await_approval(reason("approval-required"), now).expect("a draft waits");
    }
    assert_eq!(deployment.approved_by, [person(1)], "approvals stay");
    deployment.cancel(reason("cancel"), now).expect("one that waits is cancelled");
    assert!(deployment.start(now).is_err());
}

#[test]
fn what_was_announced_and_is_never_written_keeps_nobody_waiting() {
    let (mut deployment, _) = draft(&[0, 0], Plan::default());
    let now = start();
    for chosen_for in [0, 1, 1, 7] {
        deployment.announce(chosen_for);
    }
    let queued = |deployment: &Deployment| deployment.waves.iter().map(|wave| wave.counts.queued).collect::<Vec<_>>();
    assert_eq!(queued(&deployment), [1, 3], "there is no eighth wave: it goes with the last one");
    assert_eq!((deployment.wave_for(0), deployment.wave_for(7)), (0, 1));
    deployment.cancel(reason("cancel"), now).expect("a draft can be cancelled");
    assert!(!deployment.settle(now), "four are still to be let go");
    deployment.shift(1, AssignmentState::Queued, AssignmentState::Cancelled);
    deployment.forget_announced(0);
    deployment.forget_announced(1);
    assert_eq!((queued(&deployment), deployment.counts().cancelled), (vec![0, 0], 1));
    assert!(deployment.settle(now));
}
