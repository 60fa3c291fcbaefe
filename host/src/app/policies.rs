//! Owns the active policies: which revision of each decides, ready to run, and how that changes while others ask.

mod active;
pub mod again;
mod asking;
mod bundled;
mod error;
mod facts;
mod lifecycle;
pub mod looking_on;
mod pinned;
mod quarantine;
pub mod replanning;
mod restore;
pub mod revisions;
pub mod settings;
pub mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kernex_engine::{Engine, Inspection, PrepareError};
use kernex_model::action::Action;
use kernex_model::digest::Digest;
use kernex_model::document::{Instances, Policy, PolicyRevision};
use kernex_model::name::PolicyName;
use kernex_model::plugin::Plugin;
use kernex_model::policy::{Fault, Gate};
use kernex_model::record::DecisionGate;
use kernex_store::{Store, StoreError};
use parking_lot::RwLock;
use tokio::sync::{Mutex, MutexGuard};

use super::context::Context;
use super::error::AppError;
use super::news::News;

pub(super) use bundled::{digests as bundled_digests, plugin};

pub use active::Covering;
use active::{Active, is_authorization, quarantined};
pub use asking::{ActivePolicy, Alarm, Alarms, FailedRevision};
pub use error::PolicyError;
pub use kernex_engine::COMPILE_TIME_S;
use looking_on::LookingOn;
use pinned::PinnedRevisions;

/// The active policies. Cheap to clone; what is handed out stays whole while others are activated.
#[derive(Debug, Clone)]
pub struct Policies {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    active: RwLock<Arc<Active>>,
    pinned: PinnedRevisions,
    /// Held while the next set is put together, so that the latest one read from the store is the one that stays.
    turn: Mutex<()>,
    /// Held by whoever changes which revisions decide.
    change: Mutex<()>,
    engine: Engine,
    store: Store,
    context: Context,
    alarm: Alarm,
    /// Revisions that fail and stay, each with the revision of its policy: each is told of once.
    staying: News<(PolicyName, u64, u64)>,
}

impl Policies {
    /// Loads the active policies, after installing the bundled documents where the store has none, and
    /// a new revision where this program carries another build of a plugin.
    ///
    /// # Errors
    /// [`PolicyError`]: without a working policy for every gate nothing may start.
    pub async fn load(engine: &Engine, store: &Store, context: &Context) -> Result<(Self, Alarms), PolicyError> {
        bundled::install(engine, store, context).await?;
        let (policies, alarms) = Self::none(engine, store, context);
        let (mut ready, mut looking_on, mut failed) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for head in store.policies().await? {
            failed.extend(quarantined(&head));
            if let Some(policy) = policies.ready(&head).await? {
                ready.insert(head.name.clone(), policy);
            }
            if let Some(candidate) = policies.candidate(&head).await? {
                looking_on.insert(head.name, candidate);
            }
        }
        let active = Active::new(ready, looking_on, failed);
        for gate in DecisionGate::ALL {
            active.default_of(gate).ok_or(PolicyError::Missing(gate))?;
        }
        *policies.shared.active.write() = Arc::new(active);
        Ok((policies, alarms))
    }

    /// Whether every active policy can be prepared; tells how many there are. Changes nothing.
    ///
    /// # Errors
    /// [`PolicyError`]: what would keep a server from starting.
    pub async fn check(engine: &Engine, store: &Store, context: &Context) -> Result<usize, PolicyError> {
        let (policies, _alarms) = Self::none(engine, store, context);
        let heads = store.policies().await?;
        let mut served = Vec::new();
        for head in &heads {
            served.extend(policies.ready(head).await?.map(|policy| policy.revision.gate));
        }
        for gate in DecisionGate::ALL {
            if !served.contains(&gate) {
                return Err(PolicyError::Missing(gate));
            }
        }
        Ok(served.len())
    }

    fn none(engine: &Engine, store: &Store, context: &Context) -> (Self, Alarms) {
        let (alarm, alarms) = asking::alarms();
        let shared = Shared {
            active: RwLock::default(),
            pinned: PinnedRevisions::default(),
            turn: Mutex::default(),
            change: Mutex::default(),
            engine: engine.clone(),
            store: store.clone(),
            context: context.clone(),
            alarm,
            staying: News::default(),
        };
        (Self { shared: Arc::new(shared) }, alarms)
    }

    /// The revision that a policy says should decide, ready to run; what is active already is taken as it is.
    async fn ready(&self, head: &Policy) -> Result<Option<Arc<ActivePolicy>>, PolicyError> {
        let Some(number) = head.active else { return Ok(None) };
        if let Some(present) = self.shared.active.read().policies.get(&head.name)
            && present.revision.revision == number
        {
            return Ok(Some(present.clone()));
        }
        Ok(Some(Arc::new(self.prepare_number(&head.name, number).await?)))
    }

    /// The revision that a policy says should look on, ready to run. One that cannot be made ready looks on no more:
    /// nothing depends on it.
    async fn candidate(&self, head: &Policy) -> Result<Option<Arc<LookingOn>>, StoreError> {
        let Some(number) = head.shadow else { return Ok(None) };
        if let Some(present) = self.shared.active.read().looking_on.get(&head.name)
            && present.policy.revision.revision == number
            && present.percent() == head.shadow_percent
        {
            return Ok(Some(present.clone()));
        }
        match self.prepare_number(&head.name, number).await {
            Ok(policy) => Ok(Some(Arc::new(LookingOn::new(policy, head.shadow_percent)))),
            Err(PolicyError::Store(error)) => Err(error),
            Err(error) => {
                tracing::error!(policy = %head.name, %error, "a revision cannot be made ready; it does not look on");
                Ok(None)
            }
        }
    }

    async fn prepare_number(&self, name: &PolicyName, number: u64) -> Result<ActivePolicy, PolicyError> {
        let revision = self.shared.store.policy_revision(name, number).await?;
        let missing = || PolicyError::NoRevision { policy: name.clone(), revision: number };
        self.prepare(revision.ok_or_else(missing)?).await
    }

    /// Makes a revision ready to run. It decides nothing yet.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub async fn prepare(&self, revision: PolicyRevision) -> Result<ActivePolicy, PolicyError> {
        let bytes = component(&self.shared.store, &revision).await?;
        let failed = |cause: PrepareError| PolicyError::Prepare { policy: revision.name.clone(), cause };
        let engine = self.shared.engine.clone();
        let gate = gate(revision.gate);
        let settings = revision.settings.0.to_string();
        // Compiling takes a while, away from the async threads.
        let policy = tokio::task::spawn_blocking(move || engine.prepare(&bytes, gate, &settings))
            .await
            .unwrap_or_else(|error| Err(Fault::Unavailable(error.to_string()).into()))
            .map_err(failed)?;
        let policy = match revision.instances {
            Instances::Fresh => policy,
            Instances::Reused => policy.reusing_instances(),
        };
        let policy = policy.with_facts_from(facts::present(revision.gate, self.shared.context.clone()));
        Ok(ActivePolicy::new(revision, policy, self.shared.alarm.clone()))
    }

    /// What a component is and wants.
    ///
    /// # Errors
    /// Where it is no plugin, or fails to describe itself.
    pub async fn inspect(&self, bytes: Vec<u8>) -> Result<Inspection, Fault> {
        let engine = self.shared.engine.clone();
        let inspected = tokio::task::spawn_blocking(move || engine.inspect(&bytes)).await;
        inspected.unwrap_or_else(|error| Err(Fault::Unavailable(error.to_string())))
    }

    /// What is known of the bundled plugin with this digest, if there is one.
    ///
    /// # Errors
    /// Where it fails to describe itself.
    pub async fn bundled_plugin(&self, digest: Digest, context: &Context) -> Result<Option<Plugin>, AppError> {
        let Some(bytes) = bundled::component(digest) else { return Ok(None) };
        let described = bundled::described(&self.shared.engine, bytes, context).await;
        described.map(Some).map_err(|fault| AppError::Internal(fault.to_string()))
    }

    /// Takes up what the store says now. Whoever asks meanwhile is answered by the set from before or by the one from
    /// now, never by a mixture. A policy that cannot be made ready stays as it is, and its failure is logged.
    ///
    /// # Errors
    /// Where the store fails; then nothing has changed.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let _turn = self.shared.turn.lock().await;
        let (mut next, mut looking_on, mut failed) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for head in self.shared.store.policies().await? {
            failed.extend(quarantined(&head));
            let ready = match self.ready(&head).await {
                Ok(ready) => ready,
                Err(PolicyError::Store(error)) => return Err(error),
                Err(error) => {
                    tracing::error!(policy = %head.name, %error, "a policy cannot be made ready; it stays as it is");
                    self.shared.active.read().policies.get(&head.name).cloned()
                }
            };
            let candidate = self.candidate(&head).await?;
            looking_on.extend(candidate.map(|candidate| (head.name.clone(), candidate)));
            next.extend(ready.map(|policy| (head.name, policy)));
        }
        *self.shared.active.write() = Arc::new(Active::new(next, looking_on, failed));
        Ok(())
    }

    /// What the store says now, held until the guard is gone: no other change of this host comes between what is
    /// checked of the active policies and its commit.
    pub(in crate::app) async fn changing(&self) -> Result<MutexGuard<'_, ()>, StoreError> {
        let change = self.shared.change.lock().await;
        self.refresh().await?;
        Ok(change)
    }

    fn active(&self) -> Arc<Active> {
        self.shared.active.read().clone()
    }

    /// How often in a row a revision has failed that decides on this host.
    #[must_use]
    pub fn faults_in_a_row(&self, name: &PolicyName, revision: u64) -> u32 {
        let active = self.active();
        let policy = active.policies.get(name).filter(|policy| policy.revision.revision == revision);
        policy.map_or(0, |policy| policy.faults_in_a_row())
    }

    /// The authorization policies that are asked about an action.
    #[must_use]
    pub fn authorization(&self, action: Action) -> Arc<Covering> {
        self.shared.active.read().covering.get(action as usize).cloned().unwrap_or_default()
    }

    /// The revision of a policy that looks on.
    #[must_use]
    pub fn looking_on_at(&self, name: &PolicyName) -> Option<Arc<LookingOn>> {
        self.shared.active.read().looking_on.get(name).cloned()
    }

    /// The targeting policy of that name, or the default one. `None` where the name is of no such policy.
    #[must_use]
    pub fn targeting(&self, name: Option<&PolicyName>) -> Option<Arc<ActivePolicy>> {
        self.of(DecisionGate::Targeting, name)
    }

    /// The rollback policy of that name, or the default one. `None` where the name is of no such policy.
    #[must_use]
    pub fn rollback(&self, name: Option<&PolicyName>) -> Option<Arc<ActivePolicy>> {
        self.of(DecisionGate::Rollback, name)
    }

    fn of(&self, gate: DecisionGate, name: Option<&PolicyName>) -> Option<Arc<ActivePolicy>> {
        let active = self.active();
        match name {
            None => active.default_of(gate).cloned(),
            Some(name) => active.policies.get(name).filter(|policy| policy.revision.gate == gate).cloned(),
        }
    }

    /// The actions that nobody would be asked about if `candidate` decided in the place of the policy `name`, or if
    /// that policy decided no more.
    #[must_use]
    pub fn uncovered(&self, name: &PolicyName, candidate: Option<&ActivePolicy>) -> Vec<Action> {
        let active = self.active();
        let other = |policy: &ActivePolicy| is_authorization(policy) && policy.revision.name != *name;
        let others: Vec<_> = active.policies.values().filter(|policy| other(policy)).collect();
        let covered = |action: &Action| {
            candidate.is_some_and(|candidate| candidate.covers(*action))
                || others.iter().any(|policy| policy.covers(*action))
        };
        Action::ALL.iter().copied().filter(|action| !covered(action)).collect()
    }

    /// Every active policy, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<ActivePolicy>> {
        self.active().policies.values().cloned().collect()
    }
}

/// The bytes of a revision's plugin: part of this program, or kept in the store.
async fn component(store: &Store, revision: &PolicyRevision) -> Result<Vec<u8>, PolicyError> {
    if let Some(bytes) = bundled::component(revision.plugin_digest) {
        return Ok(bytes.to_vec());
    }
    let digest = revision.plugin_digest;
    let missing = || PolicyError::UnknownPlugin { policy: revision.name.clone(), digest };
    store.plugin_bytes(digest).await?.ok_or_else(missing)
}

/// The engine's word for a gate.
pub(super) fn gate(gate: DecisionGate) -> Gate {
    match gate {
        DecisionGate::Authorization => Gate::Authorization,
        DecisionGate::Targeting => Gate::Targeting,
        DecisionGate::Rollback => Gate::Rollback,
    }
}

/// The record's word for a gate.
pub(super) fn decision_gate(gate: Gate) -> DecisionGate {
    match gate {
        Gate::Authorization => DecisionGate::Authorization,
        Gate::Targeting => DecisionGate::Targeting,
        Gate::Rollback => DecisionGate::Rollback,
    }
}
