//! A prepared policy: asks its plugin, in an instance that knows of no other call, or in one that answers several.

use std::sync::Arc;
use std::time::Instant;

use kernex_model::policy::{
    AuthorizationDecision, AuthorizationRequest, Batch, Fact, Fault, Gate, Permission, PolicyPrincipal, Reason,
    RollbackOutcome, RollbackRequest, TargetingDeployment, TargetingPlan, Visible, Window,
};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::engine::{Engine, refill, renews};
use crate::facts::FactSource;
use crate::fault;
use crate::instances::{Instances, Warm};
use crate::limits::Budget;
use crate::renewal::collecting;
use crate::run::Run;
use crate::sandbox::Sandbox;
use crate::shelf::{Compiled, Label};
use crate::v1::{authorization, rollback, targeting};

/// A configured, compiled plugin. Cheap to clone; calls run on the caller's thread, take
/// microseconds, and do not see each other.
#[derive(Clone)]
pub struct Policy {
    prepared: Arc<Prepared>,
    /// Facts beside those that are sent along.
    source: Option<FactSource>,
}

#[derive(Clone)]
pub(crate) struct Prepared {
    pub(crate) engine: Engine,
    pub(crate) label: Label,
    pub(crate) compiled: Arc<Compiled>,
    pub(crate) instances: Instances,
    /// Fuel of one call, where that is less than its gate allows.
    pub(crate) fuel_at_most: u64,
    /// Deadline of one call in milliseconds, where that is less than its gate allows.
    pub(crate) deadline_at_most_ms: u64,
}

/// Where the gate's functions are in the component.
pub(crate) enum Exports {
    Authorization(authorization::Exports),
    Targeting(targeting::Exports),
    Rollback(rollback::Exports),
}

impl Exports {
    /// Finds the functions in an instance and checks their types.
    pub(crate) fn find(store: &mut Store<Sandbox>, instance: &Instance, gate: Gate) -> wasmtime::Result<Self> {
        match gate {
            Gate::Authorization => authorization::Exports::find(store, instance).map(Self::Authorization),
            Gate::Targeting => targeting::Exports::find(store, instance).map(Self::Targeting),
            Gate::Rollback => rollback::Exports::find(store, instance).map(Self::Rollback),
        }
    }
}

/// What a call gives: the runtime's error, or the checked answer.
type Answer<T> = wasmtime::Result<Result<T, Fault>>;

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy")
            .field("gate", &self.prepared.label.gate)
            .field("plugin_digest", &self.prepared.label.plugin_digest)
            .field("settings_digest", &self.prepared.label.settings_digest)
            .finish_non_exhaustive()
    }
}

impl Policy {
    pub(crate) fn new(prepared: Prepared) -> Self {
        Self { prepared: Arc::new(prepared), source: None }
    }

    /// The same policy, whose instances are asked several times before they are put back: faster,
    /// at the price that what the plugin keeps of one call is there in the next. An instance whose call failed
    /// in any way answers no more.
    #[must_use]
    pub fn reusing_instances(&self) -> Self {
        self.with(|policy| policy.instances = Instances::reused())
    }

    /// The same policy, each of whose calls gets at most this much fuel: what a test does to see that a plugin
    /// that is stopped in its middle decides nothing. Instances that answer more than once are those of this policy.
    #[must_use]
    pub fn with_fuel_at_most(&self, fuel: u64) -> Self {
        self.with(|policy| policy.fuel_at_most = fuel)
    }

    /// The same policy, each of whose instances gets at most this much memory, in bytes: what a test does to see that
    /// a plugin that has no memory left decides nothing.
    #[must_use]
    pub fn with_memory_at_most(&self, bytes: usize) -> Self {
        self.with(|policy| {
            policy.engine = policy.engine.with_memory_at_most(bytes);
            policy.instances = policy.instances.anew();
        })
    }

    /// The same policy, each of whose calls gets at most so many milliseconds: what a test does to see that the clock
    /// stops a plugin, whatever fuel it has left.
    #[must_use]
    pub fn with_deadline_at_most(&self, deadline_ms: u64) -> Self {
        self.with(|policy| policy.deadline_at_most_ms = deadline_ms)
    }

    /// The same policy and instances; whatever is not sent along with a question it looks up there.
    #[must_use]
    pub fn with_facts_from(&self, source: FactSource) -> Self {
        Self { prepared: self.prepared.clone(), source: Some(source) }
    }

    fn with(&self, change: impl FnOnce(&mut Prepared)) -> Self {
        let mut other = (*self.prepared).clone();
        change(&mut other);
        Self { prepared: Arc::new(other), source: self.source.clone() }
    }

    /// The gate that it serves. Calls of another gate's functions are [`Fault::Incompatible`].
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.prepared.label.gate
    }

    /// SHA-256 of the component, in lower case hex.
    #[must_use]
    pub fn plugin_digest(&self) -> &str {
        &self.prepared.label.plugin_digest
    }

    /// SHA-256 of the settings' text, in lower case hex.
    #[must_use]
    pub fn settings_digest(&self) -> &str {
        &self.prepared.label.settings_digest
    }

    /// Authorization: answers each request, in order.
    #[must_use]
    pub fn check(&self, requests: &[AuthorizationRequest], facts: &[Fact]) -> Run<Vec<AuthorizationDecision>> {
        let Exports::Authorization(exports) = &self.prepared.compiled.exports else { return self.wrong_gate() };
        self.run(Budget::questions(requests.len()), facts, |store, instance| {
            authorization::check(exports, store, instance, requests)
        })
    }

    /// Authorization: which resources of a kind a list shows to the principal.
    #[must_use]
    pub fn scope(
        &self,
        principal: &PolicyPrincipal,
        action: &str,
        resource_kind: &str,
        facts: &[Fact],
    ) -> Run<Visible> {
        let Exports::Authorization(exports) = &self.prepared.compiled.exports else { return self.wrong_gate() };
        self.run(Budget::questions(1), facts, |store, instance| {
            authorization::scope(exports, store, instance, principal, action, resource_kind)
        })
    }

    /// Targeting: how a deployment's devices are to be classified, or why it cannot be targeted.
    #[must_use]
    pub fn survey(&self, deployment: &TargetingDeployment, facts: &[Fact]) -> Run<Result<TargetingPlan, Reason>> {
        let Exports::Targeting(exports) = &self.prepared.compiled.exports else { return self.wrong_gate() };
        self.run(Budget::verdict(), facts, |store, instance| targeting::survey(exports, store, instance, deployment))
    }

    /// Targeting: one class per device of the batch, each within the plan's.
    #[must_use]
    pub fn classify(
        &self,
        deployment: &TargetingDeployment,
        plan: &TargetingPlan,
        batch: &Batch,
        facts: &[Fact],
    ) -> Run<Vec<u16>> {
        let Exports::Targeting(exports) = &self.prepared.compiled.exports else { return self.wrong_gate() };
        self.run(Budget::devices(batch.device_hashes.len()), facts, |store, instance| {
            targeting::classify(exports, store, instance, deployment, plan, batch)
        })
    }

    /// Rollback: judges a running deployment. `state` is the last outcome's, empty at first.
    #[must_use]
    pub fn judge(&self, window: &Window, state: &[u8], facts: &[Fact]) -> Run<RollbackOutcome> {
        let Exports::Rollback(exports) = &self.prepared.compiled.exports else { return self.wrong_gate() };
        self.run(Budget::verdict(), facts, |store, instance| rollback::judge(exports, store, instance, window, state))
    }

    /// Rollback: whether a person may send one device back.
    #[must_use]
    pub fn permit(&self, request: &RollbackRequest, facts: &[Fact]) -> Run<Permission> {
        let Exports::Rollback(exports) = &self.prepared.compiled.exports else { return self.wrong_gate() };
        self.run(Budget::questions(1), facts, |store, instance| rollback::permit(exports, store, instance, request))
    }

    /// Calls an instance, which is one that waits where there is one, and sees to what becomes of it.
    fn run<T>(
        &self,
        budget: Budget,
        facts: &[Fact],
        call: impl FnOnce(&mut Store<Sandbox>, &Instance) -> Answer<T>,
    ) -> Run<T> {
        let budget = Budget {
            fuel: budget.fuel.min(self.prepared.fuel_at_most),
            deadline_ms: budget.deadline_ms.min(self.prepared.deadline_at_most_ms),
            ..budget
        };
        let Prepared { engine, instances, .. } = &*self.prepared;
        let started = Instant::now();
        let turn = if renews(self.gate()) { engine.turn().map(Some) } else { Ok(None) };
        let (_turn, mut warm) = match turn.and_then(|turn| Ok((turn, self.instance(budget)?))) {
            Ok(taken) => taken,
            Err(fault) => return Run { duration: started.elapsed(), ..Run::refused(fault) },
        };
        warm.store.data_mut().begin(facts, self.source.as_ref());
        let outcome = match call(&mut warm.store, &warm.instance) {
            Ok(outcome) => outcome,
            Err(error) => Err(fault::of_call(&error, warm.store.data())),
        };
        let fuel = budget.fuel - warm.store.get_fuel().unwrap_or(0);
        let sandbox = warm.store.data_mut();
        let (facts_read, log) = (std::mem::take(&mut sandbox.facts_read), std::mem::take(&mut sandbox.log));
        if outcome.is_ok() {
            // Nothing of this call waits with the instance.
            sandbox.begin(&[], None);
            instances.keep(warm);
        }
        Run { outcome, fuel, duration: started.elapsed(), facts_read, log }
    }

    /// An instance that may be called with this budget.
    fn instance(&self, budget: Budget) -> Result<Warm, Fault> {
        let Prepared { engine, compiled, instances, .. } = &*self.prepared;
        let mut warm = match instances.take() {
            Some(warm) => warm,
            None => {
                // Its start has a budget of its own, whatever the question's is.
                let mut store = engine.store(engine.runtime_of(self.gate()), Budget::describe());
                let (instance, plots) = collecting(|| compiled.pre.instantiate(&mut store));
                let instance = match instance {
                    Ok(instance) => instance,
                    Err(error) => return Err(fault::of_call(&error, store.data())),
                };
                let renewal = compiled.beginning.settle(&mut store, &instance, plots)?;
                Warm::new(store, instance, renewal)
            }
        };
        // Starting is not part of the answer's cost, which is the same whoever started.
        warm.store.set_hostcall_fuel(budget.hostcall_bytes);
        refill(&mut warm.store, budget);
        Ok(warm)
    }

    fn wrong_gate<T>(&self) -> Run<T> {
        Run::refused(Fault::Incompatible(format!("this policy serves the {} gate", self.prepared.label.gate)))
    }
}
