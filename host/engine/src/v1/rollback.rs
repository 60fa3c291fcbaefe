//! The rollback interface.

use kernex_model::policy::{self as model, Fault};
use wasmtime::Store;
use wasmtime::component::Instance;

use super::bindings::exports::kernex::policy::rollback as wit;
use super::function::{Function, Signature};
use super::output::{self, bad};
use crate::sandbox::Sandbox;

/// Full name of the interface.
const INTERFACE: &str = "kernex:policy/rollback@1.0.0";

struct Judge;

impl Signature for Judge {
    const INTERFACE: &'static str = INTERFACE;
    const NAME: &'static str = "judge";
    type Params<'a> = (wit::Window<'a>, &'a [u8]);
    type Results = (wit::Outcome,);
}

struct Permit;

impl Signature for Permit {
    const INTERFACE: &'static str = INTERFACE;
    const NAME: &'static str = "permit";
    type Params<'a> = (wit::RollbackRequest<'a>,);
    type Results = (wit::Permission,);
}

/// Where the functions are in a component, their types checked once.
pub(crate) struct Exports {
    judge: Function<Judge>,
    permit: Function<Permit>,
}

impl Exports {
    pub(crate) fn find(store: &mut Store<Sandbox>, instance: &Instance) -> wasmtime::Result<Self> {
        Ok(Self { judge: Function::find(store, instance)?, permit: Function::find(store, instance)? })
    }
}

/// Size of the state that is kept between two verdicts, in bytes.
const STATE_BYTES: usize = 4 << 10;

pub(crate) fn judge(
    exports: &Exports,
    store: &mut Store<Sandbox>,
    instance: &Instance,
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
    let function = exports.judge.of(store, instance)?;
    let (found,) = function.call(store, (window, state))?;
    Ok(outcome(found))
}

pub(crate) fn permit(
    exports: &Exports,
    store: &mut Store<Sandbox>,
    instance: &Instance,
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
    let function = exports.permit.of(store, instance)?;
    let (permission,) = function.call(store, (request,))?;
    Ok(match permission {
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
