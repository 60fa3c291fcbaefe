//! Owns deployments: the intent (immutable), its waves with their counts, and where its execution stands.

mod steps;

use poem_openapi::types::Any;
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use crate::assignment::AssignmentState;
use crate::count::StateCounts;
use crate::id::{BundleId, DeploymentId};
use crate::name::DeploymentName;
use crate::pin::Pinned;
use crate::policy::Extent;
use crate::principal::Principal;
use crate::selector::Selector;
use crate::time::Timestamp;
use crate::wave::{ExclusionCount, Wave};

pub use crate::plan::{MaintenanceWindow, Plan};
pub use steps::{ApprovalRefused, StepRefused};

/// Waves of one deployment.
pub const MAX_WAVES: usize = 16;
/// Bytes of a rollback policy's state between two calls.
pub const MAX_JUDGE_STATE_BYTES: usize = 4_096;
/// Approvals of one deployment.
pub const MAX_APPROVALS: usize = 16;

/// Where a deployment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum DeploymentState {
    /// Its devices are being chosen.
    Draft,
    /// Its devices are chosen; the authorization policies do not let it start yet.
    AwaitingApproval,
    /// Offers are made.
    Running,
    /// A person stopped new offers.
    Paused,
    /// The rollback policy, the host's floor or a policy's fault stopped new offers.
    Halted,
    /// Every wave has passed.
    Completed,
    /// A person ended it; what is in flight comes to its end.
    Cancelled,
    /// Exposed devices are sent back.
    RollingBack,
    /// Every exposed device was sent back, or cannot be.
    RolledBack,
}

impl DeploymentState {
    /// The name as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Halted => "halted",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::RollingBack => "rolling_back",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// Whether a deployment goes to a fleet or to one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum DeploymentKind {
    /// Planned by the targeting policy, judged by the rollback policy.
    Fleet,
    /// A config written, or a rollback asked for, by a person on one device.
    Direct,
}

/// Why something is as it is; a policy's, the host's or a person's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct StateReason {
    /// For machines.
    pub code: String,
    /// For people.
    pub message: String,
    /// Whose reason: `policy:<name>`, `host`, or the principal.
    pub by: String,
}

/// Which devices a rollback sends back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum RollbackExtent {
    /// Those that failed.
    FailedDevices,
    /// Those of the open wave.
    CurrentWave,
    /// All that were exposed.
    Everyone,
}

impl From<Extent> for RollbackExtent {
    fn from(extent: Extent) -> Self {
        match extent {
            Extent::FailedDevices => Self::FailedDevices,
            Extent::CurrentWave => Self::CurrentWave,
            Extent::Everyone => Self::Everyone,
        }
    }
}

/// An intent and its execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct Deployment {
    /// Identifier.
    pub id: DeploymentId,
    /// Name for people.
    pub name: DeploymentName,
    /// Fleet or one device.
    pub kind: DeploymentKind,
    /// The bundle to install, unless a config is deployed.
    pub bundle_id: Option<BundleId>,
    /// The config document to apply, unless a bundle is deployed.
    pub config: Option<Any<serde_json::Value>>,
    /// Which devices it is for.
    pub selector: Selector,
    /// How it is carried out.
    pub plan: Plan,
    /// The revisions of policies that decide about it. Absent where none is asked because it is to one device, and of
    /// deployments from before there were pins: there the active ones decide.
    pub pinned: Option<Pinned>,
    /// Where it stands.
    pub state: DeploymentState,
    /// Why it stands there.
    pub reason: Option<StateReason>,
    /// Its waves, in order.
    pub waves: Vec<Wave>,
    /// Devices that match the selector and are left out, by reason.
    pub exclusions: Vec<ExclusionCount>,
    /// The open wave, counted from 0.
    pub wave: u16,
    /// Which devices a rollback sends back; present once one was begun.
    pub rollback: Option<RollbackExtent>,
    /// The failures that a person accepted by resuming it: the host's floor counts those that came after.
    pub accepted: Option<AcceptedFailures>,
    /// Nothing more happens by itself: the driver leaves it alone.
    pub settled: bool,
    /// The rollback policy's own state between two calls (at most 4 KiB), in base64.
    #[oai(skip)]
    pub judge_state: String,
    /// Who approved it, in order, each once.
    #[serde(default)]
    pub approved_by: Vec<Principal>,
    /// Who created it.
    pub created_by: Principal,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Optimistic-concurrency counter; the ETag.
    pub revision: u64,
}

/// What a person had before them when they resumed a halted deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct AcceptedFailures {
    /// The wave that was open.
    pub wave: u16,
    /// Its devices that had failed or timed out.
    pub failed: u32,
    /// Its devices that had come to any result.
    pub executed: u32,
}

impl Deployment {
    /// All waves together.
    #[must_use]
    pub fn counts(&self) -> StateCounts {
        self.waves.iter().map(|wave| wave.counts).sum()
    }

    /// New offers that may be made now without passing the limit.
    #[must_use]
    pub fn free_slots(&self, now: Timestamp) -> u32 {
        let offering = match self.state {
            DeploymentState::Running => self.plan.maintenance_window.is_none_or(|window| window.contains(now)),
            // The way back does not wait for a window: a broken device is worse than a late one.
            DeploymentState::RollingBack => true,
            _ => false,
        };
        if offering { self.plan.max_in_flight.saturating_sub(self.counts().in_flight()) } else { 0 }
    }

    /// The wave that a device goes with which was chosen for `wave`: a revision that the deployment was pinned to since may
    /// have more waves.
    #[must_use]
    pub fn wave_for(&self, wave: u16) -> u16 {
        wave.min(u16::try_from(self.waves.len().saturating_sub(1)).unwrap_or(u16::MAX))
    }

    /// Counts a device that was chosen for `wave`, before its assignment is written.
    pub fn announce(&mut self, wave: u16) {
        let wave = usize::from(self.wave_for(wave));
        if let Some(wave) = self.waves.get_mut(wave) {
            wave.counts.enter(AssignmentState::Queued);
        }
    }

    /// Takes back what was announced of `wave` and will not be written.
    pub fn forget_announced(&mut self, wave: u16) {
        if let Some(wave) = self.waves.get_mut(usize::from(wave)) {
            wave.counts.queued = 0;
        }
    }

    /// Records that assignments of `wave` went from one state to another.
    pub fn shift(&mut self, wave: u16, from: AssignmentState, to: AssignmentState) {
        if let Some(wave) = self.waves.get_mut(usize::from(wave)) {
            wave.counts.shift(from, to);
        }
    }

    /// Whether `extent` sends back an assignment of `wave` that stands at `state`.
    #[must_use]
    pub fn sends_back(&self, wave: u16, state: AssignmentState) -> bool {
        state.exposed()
            && match self.rollback {
                None => false,
                Some(RollbackExtent::Everyone) => true,
                Some(RollbackExtent::CurrentWave) => wave == self.wave,
                Some(RollbackExtent::FailedDevices) => {
                    matches!(state, AssignmentState::Failed | AssignmentState::TimedOut)
                }
            }
    }
}
