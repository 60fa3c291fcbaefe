//! Owns the properties of a whole execution: many devices that behave at random, and a driver that does what
//! the host's does, step by step, with time-outs, retries, waves, cancelling and the way back.

use kernex_model::assignment::{Assignment, AssignmentState as A, BACKOFF_MAX_S};
use kernex_model::count::StateCounts;
use kernex_model::deployment::{Deployment, DeploymentState, Plan, RollbackExtent};
use kernex_model::report::ReportState;
use kernex_model::time::Timestamp;
use proptest::prelude::*;

use super::sample::{Event, apply, draft, event, plan, reason, start};

/// Passes of the driver after which everything must have come to an end: each device in each direction
/// needs at most this many time-outs and backoffs.
const PASSES: usize = 400;

#[derive(Debug, Clone)]
enum Happening {
    Device(usize, Event),
    Pass { seconds: u32 },
    Advance,
    Pause,
    Resume,
    Halt,
    Cancel,
    RollBack(RollbackExtent),
}

fn happening(devices: usize) -> impl Strategy<Value = Happening> {
    let reported = event().prop_filter("devices only report", |event| matches!(event, Event::Report { .. }));
    prop_oneof![
        20 => (0..devices, reported).prop_map(|(device, event)| Happening::Device(device, event)),
        10 => (0..40_u32).prop_map(|seconds| Happening::Pass { seconds }),
        4 => Just(Happening::Advance),
        1 => Just(Happening::Pause),
        2 => Just(Happening::Resume),
        1 => Just(Happening::Halt),
        1 => Just(Happening::Cancel),
        1 => prop_oneof![
            Just(RollbackExtent::Everyone),
            Just(RollbackExtent::CurrentWave),
            Just(RollbackExtent::FailedDevices)
        ].prop_map(Happening::RollBack),
    ]
}

/// A deployment and its assignments, moved together as one transaction moves them.
struct Execution {
    deployment: Deployment,
    assignments: Vec<Assignment>,
    now: Timestamp,
}

impl Execution {
    fn begin(waves: &[usize], plan: Plan) -> Self {
        let (mut deployment, assignments) = draft(waves, plan);
        deployment.start(start()).expect("a draft starts");
        Self { deployment, assignments, now: start() }
    }

    fn advance(&mut self, number: usize, after: Option<Assignment>) {
        let Some(after) = after else { return };
        self.deployment.shift(after.wave, self.assignments[number].state, after.state);
        self.assignments[number] = after;
    }

    fn event(&mut self, number: usize, event: &Event) {
        let after = apply(&self.assignments[number], event, self.now, &self.deployment.plan);
        self.advance(number, after);
    }

    fn each(&mut self, wanted: impl Fn(&Self, &Assignment) -> bool, event: &Event) {
        for number in 0..self.assignments.len() {
            if wanted(self, &self.assignments[number]) {
                self.event(number, event);
            }
        }
    }

    fn extends_to(&self, wave: u16) -> bool {
        self.deployment.rollback != Some(RollbackExtent::CurrentWave) || wave == self.deployment.wave
    }

    /// What the host's driver does in one pass.
    fn pass(&mut self) {
        let due = |run: &Self, assignment: &Assignment| assignment.due_at <= run.now;
        self.each(|run, a| a.state.in_flight() && due(run, a), &Event::Expire);
        self.each(|run, a| a.state == A::Installed && due(run, a), &Event::Verify);
        if self.deployment.state == DeploymentState::RollingBack {
            self.each(|run, a| a.waits_to_retry() && run.extends_to(a.wave), &Event::SendBack { possible: true });
        }
        if matches!(self.deployment.state, DeploymentState::Cancelled | DeploymentState::RollingBack) {
            self.each(|_, a| a.state == A::Queued, &Event::Cancel);
        }
        if self.deployment.state == DeploymentState::RollingBack {
            self.each(|run, a| run.deployment.sends_back(a.wave, a.state), &Event::SendBack { possible: true });
        }
        for number in 0..self.assignments.len() {
            let assignment = &self.assignments[number];
            let turn = match assignment.state {
                A::RollbackQueued => true,
                A::Queued => {
                    self.deployment.state == DeploymentState::Running && assignment.wave <= self.deployment.wave
                }
                _ => false,
            };
            if turn && due(self, assignment) && self.deployment.free_slots(self.now) > 0 {
                self.event(number, &Event::Offer);
            }
        }
        self.deployment.settle(self.now);
    }

    /// The policy lets the next wave begin. The host passes the last one only once everybody is at an end.
    fn judged_good(&mut self) {
        let last = usize::from(self.deployment.wave) + 1 == self.deployment.waves.len();
        if !last || self.deployment.counts().active() == 0 {
            self.deployment.advance(reason("advance"), self.now);
        }
    }

    fn happens(&mut self, happening: &Happening) {
        // A refusal is fine here: the properties of single steps are tested on their own.
        match happening {
            Happening::Device(number, event) => self.event(number % self.assignments.len(), event),
            Happening::Pass { seconds } => {
                self.now = self.now.plus_secs(*seconds);
                self.pass();
            }
            Happening::Advance => self.judged_good(),
            Happening::Pause => drop(self.deployment.pause(reason("pause"), self.now)),
            Happening::Resume => drop(self.deployment.resume(reason("resume"), self.now)),
            Happening::Halt => drop(self.deployment.halt(reason("halt"), self.now)),
            Happening::Cancel => drop(self.deployment.cancel(reason("cancel"), self.now)),
            Happening::RollBack(extent) => drop(self.deployment.roll_back(*extent, reason("rollback"), self.now)),
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for (number, wave) in (0_u16..).zip(&self.deployment.waves) {
            let mut counts = StateCounts::default();
            self.assignments.iter().filter(|a| a.wave == number).for_each(|a| counts.enter(a.state));
            prop_assert_eq!(counts, wave.counts, "counts of wave {} are those of its assignments", number);
        }
        let in_flight = self.assignments.iter().filter(|a| a.state.in_flight()).count();
        prop_assert!(in_flight <= self.deployment.plan.max_in_flight as usize, "{} in flight", in_flight);
        let early = self.assignments.iter().find(|a| a.attempt > 0 && a.wave > self.deployment.wave);
        prop_assert!(early.is_none(), "offered before its wave: {:?}", early);
        if self.deployment.settled {
            let left =
                self.assignments.iter().find(|a| !a.state.ended() || self.deployment.sends_back(a.wave, a.state));
            prop_assert!(left.is_none(), "settled with {:?}", left);
        }
        Ok(())
    }

    /// Lets the driver go on, with devices that answer every command with `state`, or never.
    fn finish(&mut self, answer: Option<ReportState>) -> Result<(), TestCaseError> {
        // The policy would say so; here it always does, once the wave has nobody to wait for.
        let _ = self.deployment.resume(reason("resume"), self.now);
        for _ in 0..PASSES {
            self.pass();
            self.check()?;
            if let Some(state) = answer {
                let report = Event::Report { later: 0, state, progress: None, code: None };
                self.each(|_, a| a.state.in_flight(), &report);
            } else {
                let taken_up = Event::Report { later: 0, state: ReportState::Downloading, progress: None, code: None };
                self.each(|_, a| a.state.in_flight(), &taken_up);
            }
            self.check()?;
            if self.deployment.waves[usize::from(self.deployment.wave)].counts.active() == 0 {
                self.judged_good();
            }
            self.now = self.now.plus_secs(BACKOFF_MAX_S);
            if self.deployment.settled {
                break;
            }
        }
        Ok(())
    }
}

fn story() -> impl Strategy<Value = (Vec<usize>, Plan, Vec<Happening>)> {
    prop::collection::vec(1..5_usize, 1..4).prop_flat_map(|waves| {
        let devices = waves.iter().sum();
        (Just(waves), plan(), prop::collection::vec(happening(devices), 1..80))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn counts_slots_and_waves_hold_all_the_way((waves, plan, happenings) in story()) {
        let mut run = Execution::begin(&waves, plan);
        run.check()?;
        for happening in &happenings {
            run.happens(happening);
            run.check()?;
        }
    }

    #[test]
    fn nobody_is_stranded(
        (waves, plan, happenings) in story(),
        answer in prop_oneof![
            Just(None),
            Just(Some(ReportState::Installed)),
            Just(Some(ReportState::Failed)),
            Just(Some(ReportState::Rejected))
        ],
    ) {
        let mut run = Execution::begin(&waves, plan);
        happenings.iter().for_each(|happening| run.happens(happening));
        run.finish(answer)?;
        prop_assert!(run.deployment.settled, "{:?} with {:?}", run.deployment.state, run.deployment.counts());
        prop_assert!(run.assignments.iter().all(|assignment| assignment.state.ended()));
        if run.deployment.rollback == Some(RollbackExtent::Everyone) {
            let exposed = run.assignments.iter().find(|assignment| assignment.state.exposed());
            prop_assert!(exposed.is_none(), "left behind: {:?}", exposed);
            // Unless it was let go before, by a deployment that was cancelled first.
            let cancelled_first = happenings.iter().any(|happening| matches!(happening, Happening::Cancel));
            let failed = run.assignments.iter().find(|a| a.state == A::Cancelled && a.failed_attempts > 0);
            prop_assert!(cancelled_first || failed.is_none(), "left behind after an attempt: {:?}", failed);
        }
    }
}
