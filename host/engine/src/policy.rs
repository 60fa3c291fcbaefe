//! A prepared policy: asks its plugin, in a fresh instance for every call.

use std::sync::Arc;
use std::time::Instant;

use kernex_model::policy::{
    AuthorizationDecision, AuthorizationRequest, Batch, Fact, Fault, Gate, Permission, PolicyPrincipal, Reason,
    RollbackOutcome, RollbackRequest, TargetingDeployment, TargetingPlan, Visible, Window,
};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::engine::Engine;
use crate::fault;
use crate::limits::Budget;
use crate::run::Run;
use crate::sandbox::Sandbox;
use crate::v1::{authorization, rollback, targeting};

/// A configured, compiled plugin. Cheap to clone; calls run on the caller's thread, take
/// microseconds, and do not see each other.
#[derive(Clone)]
pub struct Policy(Arc<Prepared>);

pub(crate) struct Prepared {
    pub(crate) engine: Engine,
    pub(crate) gate: Gate,
    pub(crate) plugin_digest: String,
    pub(crate) settings_digest: String,
    pub(crate) pre: InstancePre<Sandbox>,
    pub(crate) exports: Exports,
}

/// Where the gate's functions are in the component.
pub(crate) enum Exports {
    Authorization(authorization::Indices),
    Targeting(targeting::Indices),
    Rollback(rollback::Indices),
}

impl Exports {
    pub(crate) fn find(pre: &InstancePre<Sandbox>, gate: Gate) -> wasmtime::Result<Self> {
        match gate {
            Gate::Authorization => authorization::Indices::new(pre).map(Self::Authorization),
            Gate::Targeting => targeting::Indices::new(pre).map(Self::Targeting),
            Gate::Rollback => rollback::Indices::new(pre).map(Self::Rollback),
        }
    }
}

/// What a call gives: the runtime's error, or the checked answer.
type Answer<T> = wasmtime::Result<Result<T, Fault>>;

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy")
            .field("gate", &self.0.gate)
            .field("plugin_digest", &self.0.plugin_digest)
            .field("settings_digest", &self.0.settings_digest)
            .finish_non_exhaustive()
    }
}

impl Policy {
    pub(crate) fn new(prepared: Prepared) -> Self {
        Self(Arc::new(prepared))
    }

    /// The gate that it serves. Calls of another gate's functions are [`Fault::Incompatible`].
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.0.gate
    }

    /// SHA-256 of the component, in lower case hex.
    #[must_use]
    pub fn plugin_digest(&self) -> &str {
        &self.0.plugin_digest
    }

    /// SHA-256 of the settings' text, in lower case hex.
    #[must_use]
    pub fn settings_digest(&self) -> &str {
        &self.0.settings_digest
    }

    /// Authorization: answers each request, in order.
    #[must_use]
    pub fn check(&self, requests: &[AuthorizationRequest], facts: &[Fact]) -> Run<Vec<AuthorizationDecision>> {
        self.run(Budget::questions(requests.len()), facts, |store, instance| {
            match self.authorization(store, instance)? {
                Ok(guest) => authorization::check(&guest, store, requests),
                Err(fault) => Ok(Err(fault)),
            }
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
        self.run(Budget::questions(1), facts, |store, instance| match self.authorization(store, instance)? {
            Ok(guest) => authorization::scope(&guest, store, principal, action, resource_kind),
            Err(fault) => Ok(Err(fault)),
        })
    }

    /// Targeting: how a deployment's devices are to be classified, or why it cannot be targeted.
    #[must_use]
    pub fn survey(&self, deployment: &TargetingDeployment, facts: &[Fact]) -> Run<Result<TargetingPlan, Reason>> {
        self.run(Budget::verdict(), facts, |store, instance| match self.targeting(store, instance)? {
            Ok(guest) => targeting::survey(&guest, store, deployment),
            Err(fault) => Ok(Err(fault)),
        })
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
        self.run(Budget::devices(batch.device_hashes.len()), facts, |store, instance| {
            match self.targeting(store, instance)? {
                Ok(guest) => targeting::classify(&guest, store, deployment, plan, batch),
                Err(fault) => Ok(Err(fault)),
            }
        })
    }

    /// Rollback: judges a running deployment. `state` is the last outcome's, empty at first.
    #[must_use]
    pub fn judge(&self, window: &Window, state: &[u8], facts: &[Fact]) -> Run<RollbackOutcome> {
        self.run(Budget::verdict(), facts, |store, instance| match self.rollback(store, instance)? {
            Ok(guest) => rollback::judge(&guest, store, window, state),
            Err(fault) => Ok(Err(fault)),
        })
    }

    /// Rollback: whether a person may send one device back.
    #[must_use]
    pub fn permit(&self, request: &RollbackRequest, facts: &[Fact]) -> Run<Permission> {
        self.run(Budget::questions(1), facts, |store, instance| match self.rollback(store, instance)? {
            Ok(guest) => rollback::permit(&guest, store, request),
            Err(fault) => Ok(Err(fault)),
        })
    }

    /// Makes an instance, calls it, throws it away.
    fn run<T>(
        &self,
        budget: Budget,
        facts: &[Fact],
        call: impl FnOnce(&mut Store<Sandbox>, &Instance) -> Answer<T>,
    ) -> Run<T> {
        let started = Instant::now();
        let mut store = self.0.engine.store(budget, facts);
        let answer = self.0.pre.instantiate(&mut store).and_then(|instance| call(&mut store, &instance));
        let outcome = match answer {
            Ok(outcome) => outcome,
            Err(error) => Err(fault::of_call(&error, store.data())),
        };
        let fuel = budget.fuel - store.get_fuel().unwrap_or(0);
        let sandbox = store.into_data();
        Run { outcome, fuel, duration: started.elapsed(), facts_read: sandbox.facts_read, logs: sandbox.logs }
    }

    fn authorization(&self, store: &mut Store<Sandbox>, instance: &Instance) -> Answer<authorization::Guest> {
        match &self.0.exports {
            Exports::Authorization(indices) => indices.load(store, instance).map(Ok),
            Exports::Targeting(_) | Exports::Rollback(_) => Ok(Err(self.wrong_gate())),
        }
    }

    fn targeting(&self, store: &mut Store<Sandbox>, instance: &Instance) -> Answer<targeting::Guest> {
        match &self.0.exports {
            Exports::Targeting(indices) => indices.load(store, instance).map(Ok),
            Exports::Authorization(_) | Exports::Rollback(_) => Ok(Err(self.wrong_gate())),
        }
    }

    fn rollback(&self, store: &mut Store<Sandbox>, instance: &Instance) -> Answer<rollback::Guest> {
        match &self.0.exports {
            Exports::Rollback(indices) => indices.load(store, instance).map(Ok),
            Exports::Authorization(_) | Exports::Targeting(_) => Ok(Err(self.wrong_gate())),
        }
    }

    fn wrong_gate(&self) -> Fault {
        Fault::Incompatible(format!("this policy serves the {} gate", self.0.gate))
    }
}
