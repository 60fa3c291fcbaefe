//! Owns what the properties are tried on: plans, deployments, assignments, reports and steps, drawn at random.

use kernex_model::assignment::{Assignment, AssignmentState, ReportEffect};
use kernex_model::count::StateCounts;
use kernex_model::deployment::{Deployment, DeploymentKind, DeploymentState, Plan, StateReason};
use kernex_model::id::{AssignmentId, BundleId, DeploymentId, DeviceId, Ulid};
use kernex_model::principal::Principal;
use kernex_model::report::{Report, ReportState, ReportedError};
use kernex_model::selector::Selector;
use kernex_model::time::Timestamp;
use kernex_model::wave::{Wave, WaveState};
use proptest::prelude::*;

pub(super) fn start() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().expect("RFC 3339")
}

pub(super) fn plan() -> impl Strategy<Value = Plan> {
    (1..5_u32, 1..60_u32, 0..30_u32, 1..4_u32).prop_map(|(max_in_flight, attempt_timeout_s, soak_s, max_attempts)| {
        Plan { max_in_flight, attempt_timeout_s, soak_s, max_attempts, ..Plan::default() }
    })
}

pub(super) fn reason(code: &str) -> StateReason {
    StateReason { code: code.to_owned(), message: "because".to_owned(), by: "host".to_owned() }
}

pub(super) fn device(number: usize) -> DeviceId {
    DeviceId(Ulid(1 + number as u128))
}

/// A draft with one wave for each of `sizes`, and that many queued assignments in it.
pub(super) fn draft(sizes: &[usize], plan: Plan) -> (Deployment, Vec<Assignment>) {
    let id = DeploymentId(Ulid(7));
    let waves = sizes
        .iter()
        .enumerate()
        .map(|(number, size)| Wave {
            name: format!("wave {number}"),
            state: WaveState::Waiting,
            counts: StateCounts { queued: *size as u64, ..StateCounts::default() },
            opened_at: None,
            closed_at: None,
        })
        .collect();
    let deployment = Deployment {
        id,
        name: "sample".parse().expect("a name"),
        kind: DeploymentKind::Fleet,
        bundle_id: Some(BundleId(Ulid(9))),
        config: None,
        selector: Selector::everything(),
        plan,
        pinned: None,
        state: DeploymentState::Draft,
        reason: None,
        waves,
        exclusions: Vec::new(),
        wave: 0,
        rollback: None,
        accepted: None,
        settled: false,
        judge_state: String::new(),
        approved_by: Vec::new(),
        created_by: Principal::System,
        created_at: start(),
        updated_at: start(),
        revision: 1,
    };
    let waves = sizes.iter().enumerate().flat_map(|(wave, size)| std::iter::repeat_n(wave, *size));
    let assignments = waves.enumerate().map(|(number, wave)| queued(id, wave, device(number))).collect();
    (deployment, assignments)
}

pub(super) fn queued(deployment: DeploymentId, wave: usize, device: DeviceId) -> Assignment {
    Assignment {
        id: AssignmentId { deployment, device },
        deployment_id: deployment,
        device_id: device,
        wave: u16::try_from(wave).expect("few waves"),
        state: AssignmentState::Queued,
        attempt: 0,
        failed_attempts: 0,
        bundle_id: Some(BundleId(Ulid(9))),
        config_version: None,
        previous_bundle_id: Some(BundleId(Ulid(8))),
        previous_config_version: None,
        due_at: start(),
        progress: None,
        phase: None,
        error: None,
        offered_at: None,
        installed_at: None,
        updated_at: start(),
        revision: 1,
    }
}

pub(super) fn error(code: &str) -> ReportedError {
    ReportedError { code: code.to_owned(), message: "it broke".to_owned() }
}

/// What may happen to one assignment. A report's attempt is counted from the present one.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Offer,
    Expire,
    Report { later: i64, state: ReportState, progress: Option<u8>, code: Option<&'static str> },
    Verify,
    Unhealthy,
    Cancel,
    Abandon,
    Supersede,
    Unreached,
    SendBack { possible: bool },
}

pub(super) fn report_state() -> impl Strategy<Value = ReportState> {
    prop_oneof![
        2 => Just(ReportState::Downloading),
        2 => Just(ReportState::Installing),
        3 => Just(ReportState::Installed),
        2 => Just(ReportState::Failed),
        1 => Just(ReportState::Rejected),
    ]
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let progress = prop_oneof![Just(None), (0..=100_u8).prop_map(Some)];
    let code = prop_oneof![Just(None), Just(Some("disk-full")), Just(Some("bad-digest"))];
    let later = prop_oneof![8 => Just(0_i64), 1 => Just(-1), 1 => -3..3_i64];
    prop_oneof![
        6 => Just(Event::Offer),
        1 => Just(Event::Expire),
        8 => (later, report_state(), progress, code)
            .prop_map(|(later, state, progress, code)| Event::Report { later, state, progress, code }),
        2 => Just(Event::Verify),
        1 => Just(Event::Unhealthy),
        1 => Just(Event::Cancel),
        1 => Just(Event::Abandon),
        1 => Just(Event::Supersede),
        1 => Just(Event::Unreached),
        1 => any::<bool>().prop_map(|possible| Event::SendBack { possible }),
    ]
}

/// The report of an event on an assignment as it stands.
pub(super) fn report(assignment: &Assignment, event: &Event) -> Option<Report> {
    let Event::Report { later, state, progress, code } = event else { return None };
    Some(Report {
        assignment_id: assignment.id,
        attempt: u32::try_from(i64::from(assignment.attempt) + later).unwrap_or(0),
        state: *state,
        progress: *progress,
        error: code.map(error),
    })
}

/// What becomes of the assignment; `None` where the event has no effect.
pub(super) fn apply(before: &Assignment, event: &Event, now: Timestamp, plan: &Plan) -> Option<Assignment> {
    match event {
        Event::Offer => before.offered(now, plan),
        Event::Expire => before.expired(now, plan),
        Event::Report { .. } => match before.reported(&report(before, event)?, now, plan) {
            Ok(ReportEffect::Changed(after)) => Some(*after),
            Ok(ReportEffect::Repeated) | Err(_) => None,
        },
        Event::Verify => before.verified(now),
        // The driver judges the health of installed devices only.
        Event::Unhealthy if before.state == AssignmentState::Installed => {
            Some(before.unhealthy(error("unhealthy"), now))
        }
        Event::Unhealthy => None,
        Event::Cancel => before.cancelled(now),
        Event::Abandon => before.abandoned(now),
        Event::Supersede => before.superseded("something newer".to_owned(), now),
        Event::Unreached => before.unreached(now),
        Event::SendBack { possible } => {
            let way = if *possible { Ok(()) } else { Err(error("nothing-to-go-back-to")) };
            before.sent_back(way, now)
        }
    }
}
