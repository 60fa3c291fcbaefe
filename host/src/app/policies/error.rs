//! Owns why policies cannot be made ready.

use kernex_engine::PrepareError;
use kernex_model::digest::Digest;
use kernex_model::name::PolicyName;
use kernex_model::record::DecisionGate;
use kernex_store::{CommitError, StoreError};

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
    /// A plugin is neither part of this program nor in the store.
    #[error("policy {policy}: there is no plugin {digest}")]
    UnknownPlugin {
        /// The policy.
        policy: PolicyName,
        /// The plugin that it uses.
        digest: Digest,
    },
    /// A plugin does not accept its settings, or fails.
    #[error("policy {policy}: {cause}")]
    Prepare {
        /// The policy.
        policy: PolicyName,
        /// What the engine said.
        cause: PrepareError,
    },
    /// No policy is active for a gate.
    #[error("no {0:?} policy is active; run `kernex policy restore`")]
    Missing(DecisionGate),
    /// A revision that should decide is not there.
    #[error("policy {policy} has no revision {revision}")]
    NoRevision {
        /// The policy.
        policy: PolicyName,
        /// The revision.
        revision: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store refused a change.
    #[error("cannot keep the policies: {0}")]
    Commit(#[from] CommitError),
}
