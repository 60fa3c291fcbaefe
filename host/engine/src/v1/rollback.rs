//! The rollback interface.

use kernex_model::policy::{self as model, Fault};
use wasmtime::Store;

use super::bindings::exports::kernex::policy::rollback as wit;
use super::output::{self, bad};
use crate::sandbox::Sandbox;

pub(crate) use wit::{Guest, GuestIndices as Indices};

/// Size of the state that is kept between two verdicts, in bytes.
const STATE_BYTES: usize = 4 << 10;

pub(crate) fn judge(
    guest: &Guest,
    store: &mut Store<Sandbox>,
    window: &model::Window,
    state: &[u8],
) -> wasmtime::Result<Result<model::RollbackOutcome, Fault>> {
    let lists = super::text_lists(&window.facts);
    let facts = super::facts(&window.facts, &lists);
    let failures: Vec<wit::Failure<'_>> = window.failures.iter().map(failure).collect();
    let window = wit::Window {
        deployment: &window.deployment,
        facts: &facts,
        now_ms: window.now_ms,
        wave: window.wave,
        waves: window.waves,
        wave_opened_at_ms: window.wave_opened_at_ms,
        in_wave: counts(window.in_wave),
        overall: counts(window.overall),
        failures: &failures,
    };
    guest.call_judge(store, window, state).map(outcome)
}

pub(crate) fn permit(
    guest: &Guest,
    store: &mut Store<Sandbox>,
    request: &model::RollbackRequest,
) -> wasmtime::Result<Result<model::Permission, Fault>> {
    let lists = super::text_lists(&request.facts);
    let facts = super::facts(&request.facts, &lists);
    let request = wit::RollbackRequest {
        device: &request.device,
        from_bundle: &request.from_bundle,
        to_bundle: &request.to_bundle,
        facts: &facts,
    };
    Ok(match guest.call_permit(store, request)? {
        wit::Permission::Permitted => Ok(model::Permission::Permitted),
        wit::Permission::Refused(reason) => output::reason(reason).map(model::Permission::Refused),
    })
}

fn failure(sample: &model::FailureSample) -> wit::Failure<'_> {
    wit::Failure { code: &sample.code, count: sample.count, sample: &sample.sample }
}

fn counts(counts: model::Counts) -> wit::Counts {
    wit::Counts {
        assigned: counts.assigned,
        offered: counts.offered,
        running: counts.running,
        installed: counts.installed,
        verified: counts.verified,
        failed: counts.failed,
        timed_out: counts.timed_out,
        rolled_back: counts.rolled_back,
    }
}

fn outcome(outcome: wit::Outcome) -> Result<model::RollbackOutcome, Fault> {
    if outcome.state.len() > STATE_BYTES {
        let size = outcome.state.len();
        return bad(format!("a state of {size} bytes; {STATE_BYTES} are allowed"));
    }
    let action = match outcome.action {
        wit::Action::Proceed => model::RollbackAction::Proceed,
        wit::Action::Advance => model::RollbackAction::Advance,
        wit::Action::Hold => model::RollbackAction::Hold,
        wit::Action::Pause => model::RollbackAction::Pause,
        wit::Action::RollBack(extent) => model::RollbackAction::RollBack(match extent {
            wit::Extent::FailedDevices => model::Extent::FailedDevices,
            wit::Extent::CurrentWave => model::Extent::CurrentWave,
            wit::Extent::Everyone => model::Extent::Everyone,
        }),
    };
    let reason = output::reason(outcome.reason)?;
    Ok(model::RollbackOutcome { action, reason, state: outcome.state })
}
