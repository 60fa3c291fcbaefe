//! Owns the active policies: loads their documents on the first start, prepares their plugins, hands them out.

mod restore;
pub mod settings;
pub mod signature;

use std::collections::HashMap;
use std::sync::Arc;

use kernex_engine::{Engine, Policy};
use kernex_model::action::Action;
use kernex_model::digest::Digest;
use kernex_model::document::{Instances, PolicyRevision};
use kernex_model::id::AuditId;
use kernex_model::name::PolicyName;
use kernex_model::policy::Gate;
use kernex_model::principal::Principal;
use kernex_model::record::{AuditRecord, DecisionGate};
use kernex_store::{Changes, CommitError, Store, StoreError};
use parking_lot::RwLock;
use poem_openapi::types::Any;
use serde::Deserialize;

use super::context::Context;

/// The documents of `policies/`, as they were when this program was built.
const DOCUMENTS: [(&str, &str); 3] = [
    ("policies/rbac.toml", include_str!("../../../policies/rbac.toml")),
    ("policies/rings.toml", include_str!("../../../policies/rings.toml")),
    ("policies/guardian.toml", include_str!("../../../policies/guardian.toml")),
];

/// A policy that decides: its revision, and its plugin ready to run.
#[derive(Debug)]
pub struct ActivePolicy {
    /// What was configured.
    pub revision: PolicyRevision,
    /// Its name, for metrics.
    pub label: Arc<str>,
    /// The prepared plugin.
    pub engine: Policy,
}

/// A policy document, as it is written in `policies/*.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    name: PolicyName,
    gate: DecisionGate,
    plugin: String,
    #[serde(default)]
    instances: Instances,
    #[serde(default)]
    settings: serde_json::Map<String, serde_json::Value>,
}

/// Why the policies could not be made ready; the server does not start then.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A document cannot be read.
    #[error("{document}: {reason}")]
    Document {
        /// Its path.
        document: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A plugin is not part of this program.
    #[error("policy {policy}: there is no plugin named `{plugin}`")]
    UnknownPlugin {
        /// The policy.
        policy: PolicyName,
        /// The plugin it names.
        plugin: String,
    },
    /// A plugin does not accept its settings, or fails.
    #[error("policy {policy}: {reason}")]
    Prepare {
        /// The policy.
        policy: PolicyName,
        /// What the engine said.
        reason: String,
    },
    /// No policy is active for a gate.
    #[error("no {0:?} policy is active; run `kernex policy restore`")]
    Missing(DecisionGate),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store refused the first revision.
    #[error("cannot keep the policies: {0}")]
    Commit(#[from] CommitError),
}

#[derive(Debug)]
struct Active {
    authorization: Arc<ActivePolicy>,
    targeting: Arc<ActivePolicy>,
    rollback: Arc<ActivePolicy>,
    by_name: HashMap<PolicyName, Arc<ActivePolicy>>,
}

/// The active policies. Cheap to clone; what is handed out stays whole while others are activated.
#[derive(Debug, Clone)]
pub struct Policies {
    active: Arc<RwLock<Arc<Active>>>,
}

impl Policies {
    /// Loads the active policies, after installing the bundled documents where the store has none, and
    /// a new revision where this program carries another build of a plugin.
    ///
    /// # Errors
    /// [`PolicyError`]: without a working policy for every gate nothing may start.
    pub async fn load(engine: &Engine, store: &Store, context: &Context) -> Result<Self, PolicyError> {
        let mut revisions = store.active_policies().await?;
        if revisions.is_empty() {
            for (path, text) in DOCUMENTS {
                revisions.push(install(store, context, first_revision(path, text, context)?, &[]).await?);
            }
        }
        let mut by_name = HashMap::new();
        for revision in revisions {
            let (bytes, digest) = plugin(&revision)?;
            let revision = if digest == revision.plugin_digest {
                revision
            } else {
                let next = revision.revision + 1;
                let successor = PolicyRevision {
                    revision: next,
                    plugin_digest: digest,
                    created_at: context.now(),
                    ..revision.clone()
                };
                install(store, context, successor, &[revision]).await?
            };
            let prepared = prepare(engine, bytes, &revision).await?;
            by_name.insert(
                revision.name.clone(),
                Arc::new(ActivePolicy { label: revision.name.as_str().into(), revision, engine: prepared }),
            );
        }
        let of = |gate| {
            by_name
                .values()
                .find(|policy: &&Arc<ActivePolicy>| policy.revision.gate == gate)
                .cloned()
                .ok_or(PolicyError::Missing(gate))
        };
        let active = Active {
            authorization: of(DecisionGate::Authorization)?,
            targeting: of(DecisionGate::Targeting)?,
            rollback: of(DecisionGate::Rollback)?,
            by_name,
        };
        Ok(Self { active: Arc::new(RwLock::new(Arc::new(active))) })
    }

    /// Whether every active policy can be prepared; tells how many there are. Changes nothing.
    ///
    /// # Errors
    /// [`PolicyError`]: what would keep a server from starting.
    pub async fn check(engine: &Engine, store: &Store) -> Result<usize, PolicyError> {
        let revisions = store.active_policies().await?;
        for revision in &revisions {
            let (bytes, _) = plugin(revision)?;
            prepare(engine, bytes, revision).await?;
        }
        for gate in [DecisionGate::Authorization, DecisionGate::Targeting, DecisionGate::Rollback] {
            if !revisions.iter().any(|revision| revision.gate == gate) {
                return Err(PolicyError::Missing(gate));
            }
        }
        Ok(revisions.len())
    }

    /// The authorization policy.
    #[must_use]
    pub fn authorization(&self) -> Arc<ActivePolicy> {
        self.active.read().authorization.clone()
    }

    /// The targeting policy of that name, or the active one. `None` where the name is of no such policy.
    #[must_use]
    pub fn targeting(&self, name: Option<&PolicyName>) -> Option<Arc<ActivePolicy>> {
        let active = self.active.read();
        pick(&active, &active.targeting, name)
    }

    /// The rollback policy of that name, or the active one. `None` where the name is of no such policy.
    #[must_use]
    pub fn rollback(&self, name: Option<&PolicyName>) -> Option<Arc<ActivePolicy>> {
        let active = self.active.read();
        pick(&active, &active.rollback, name)
    }

    /// Every active policy's revision, by name.
    #[must_use]
    pub fn revisions(&self) -> Vec<PolicyRevision> {
        let mut all: Vec<_> = self.active.read().by_name.values().map(|policy| policy.revision.clone()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

fn pick(active: &Active, default: &Arc<ActivePolicy>, name: Option<&PolicyName>) -> Option<Arc<ActivePolicy>> {
    match name {
        None => Some(default.clone()),
        Some(name) => active.by_name.get(name).filter(|policy| policy.revision.gate == default.revision.gate).cloned(),
    }
}

fn first_revision(path: &'static str, text: &str, context: &Context) -> Result<PolicyRevision, PolicyError> {
    let document: Document =
        toml::from_str(text).map_err(|error| PolicyError::Document { document: path, reason: error.to_string() })?;
    let settings = serde_json::Value::Object(document.settings);
    let revision = PolicyRevision {
        name: document.name,
        revision: 1,
        gate: document.gate,
        plugin: document.plugin,
        plugin_digest: Digest::of(b""),
        settings_digest: Digest::of(settings.to_string().as_bytes()),
        settings: Any(settings),
        instances: document.instances,
        active: true,
        created_by: Principal::System,
        created_at: context.now(),
    };
    let (_, digest) = plugin(&revision)?;
    Ok(PolicyRevision { plugin_digest: digest, ..revision })
}

fn plugin(revision: &PolicyRevision) -> Result<(&'static [u8], Digest), PolicyError> {
    let bytes = kernex_plugins::component(&revision.plugin)
        .ok_or_else(|| PolicyError::UnknownPlugin { policy: revision.name.clone(), plugin: revision.plugin.clone() })?;
    Ok((bytes, Digest::of(bytes)))
}

/// Keeps a revision that decides from here on, in the place of those in `retired`.
async fn install(
    store: &Store,
    context: &Context,
    revision: PolicyRevision,
    retired: &[PolicyRevision],
) -> Result<PolicyRevision, PolicyError> {
    let mut changes = Changes::new(&AuditRecord {
        id: AuditId(context.ulid()),
        at: context.now(),
        principal: Principal::System,
        action: Action::PolicyInstall,
        resource_kind: "policy".to_owned(),
        resource_id: Some(revision.name.to_string()),
        decision_id: None,
        request_id: None,
        address: None,
        detail: Some(Any(
            serde_json::json!({ "revision": revision.revision, "plugin_digest": revision.plugin_digest }),
        )),
    });
    changes.put(&revision);
    for old in retired {
        changes.put(&PolicyRevision { active: false, ..old.clone() });
    }
    store.commit(changes).await?;
    Ok(revision)
}

/// Snapshots and compiles: tens of milliseconds of work, away from the async threads.
async fn prepare(engine: &Engine, bytes: &'static [u8], revision: &PolicyRevision) -> Result<Policy, PolicyError> {
    let gate = match revision.gate {
        DecisionGate::Authorization => Gate::Authorization,
        DecisionGate::Targeting => Gate::Targeting,
        DecisionGate::Rollback => Gate::Rollback,
    };
    let engine = engine.clone();
    let settings = revision.settings.0.to_string();
    let failed = |reason: String| PolicyError::Prepare { policy: revision.name.clone(), reason };
    let policy = tokio::task::spawn_blocking(move || engine.prepare(bytes, gate, &settings))
        .await
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))?;
    Ok(match revision.instances {
        Instances::Fresh => policy,
        Instances::Reused => policy.reusing_instances(),
    })
}
