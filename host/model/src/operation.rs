//! Owns work that takes longer than a call: what it is, how far it has come, and what came of it.

use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use crate::comparison::{Breakdown, Comparison, Difference};
use crate::id::{DeploymentId, OperationId};
use crate::name::PolicyName;
use crate::principal::Principal;
use crate::time::Timestamp;

/// How far an operation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum OperationState {
    /// It goes on.
    Running,
    /// It came to its end; `replay` has what came of it.
    Succeeded,
    /// It did not; `failure` says why.
    Failed,
}

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct Failure {
    /// For machines, such as `interrupted`.
    pub code: String,
    /// For people.
    pub detail: String,
}

/// Recorded decisions that a revision is asked again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct Replay {
    /// The policy.
    pub policy: PolicyName,
    /// The revision that is asked.
    pub revision: u64,
    /// Decisions about this deployment alone; about all, where absent.
    #[serde(default)]
    pub deployment_id: Option<DeploymentId>,
    /// Decisions from this moment on.
    pub from: Timestamp,
    /// Decisions before this moment.
    pub to: Timestamp,
    /// The share of decisions that is asked again, in percent.
    pub sample_percent: u8,
    /// What came of it so far.
    pub comparison: Comparison,
    /// Whom and what the differences are about.
    pub breakdown: Breakdown,
    /// The first differences, newest first, at most 100.
    pub differences: Vec<Difference>,
}

/// Work that takes longer than a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct Operation {
    /// Identifier.
    pub id: OperationId,
    /// How far it has come.
    pub state: OperationState,
    /// A replay, and what has come of it.
    pub replay: Replay,
    /// Why it failed, where it did.
    pub failure: Option<Failure>,
    /// Who wanted it.
    pub created_by: Principal,
    /// When.
    pub created_at: Timestamp,
    /// Counted with every change, from 1.
    pub revision: u64,
    /// When it came further last.
    pub updated_at: Timestamp,
}
