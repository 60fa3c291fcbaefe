//! Owns where an assignment may stand, and what that means for slots, ends and the way back.

use poem_openapi::Enum;
use serde::{Deserialize, Serialize};

/// Where an assignment stands. The second half mirrors the first on the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum AssignmentState {
    /// Waits for its wave, a slot, or the end of a backoff.
    Queued,
    /// The device may take it up with its next heartbeat.
    Offered,
    /// The device downloads or installs.
    Running,
    /// The device says that it is installed; the soak time runs.
    Installed,
    /// Installed, and healthy over the soak time.
    Verified,
    /// Failed in its last attempt, or became unhealthy while soaking.
    Failed,
    /// The device refused it.
    Rejected,
    /// Its last attempt did not end in time.
    TimedOut,
    /// Taken back before the device got it, or overtaken by something newer.
    Cancelled,
    /// Waits to be sent back.
    RollbackQueued,
    /// The device may take up the way back.
    RollbackOffered,
    /// The device is on its way back.
    RollbackRunning,
    /// Back at what it ran before.
    RolledBack,
    /// Could not be sent back; `error` says why.
    RollbackFailed,
}

impl AssignmentState {
    /// Every state, in the order of the life of an assignment.
    pub const ALL: [Self; 14] = [
        Self::Queued,
        Self::Offered,
        Self::Running,
        Self::Installed,
        Self::Verified,
        Self::Failed,
        Self::Rejected,
        Self::TimedOut,
        Self::Cancelled,
        Self::RollbackQueued,
        Self::RollbackOffered,
        Self::RollbackRunning,
        Self::RolledBack,
        Self::RollbackFailed,
    ];

    /// The name as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Offered => "offered",
            Self::Running => "running",
            Self::Installed => "installed",
            Self::Verified => "verified",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::RollbackQueued => "rollback_queued",
            Self::RollbackOffered => "rollback_offered",
            Self::RollbackRunning => "rollback_running",
            Self::RolledBack => "rolled_back",
            Self::RollbackFailed => "rollback_failed",
        }
    }

    /// Holds a slot: the device was told to act and has not said how it went.
    #[must_use]
    pub fn in_flight(self) -> bool {
        matches!(self, Self::Offered | Self::Running | Self::RollbackOffered | Self::RollbackRunning)
    }

    /// Nothing more happens by itself.
    #[must_use]
    pub fn ended(self) -> bool {
        matches!(
            self,
            Self::Verified
                | Self::Failed
                | Self::Rejected
                | Self::TimedOut
                | Self::Cancelled
                | Self::RolledBack
                | Self::RollbackFailed
        )
    }

    /// The device may have been touched: a rollback of the fleet sends it back.
    #[must_use]
    pub fn exposed(self) -> bool {
        matches!(self, Self::Offered | Self::Running | Self::Installed | Self::Verified | Self::Failed | Self::TimedOut)
    }

    /// On the way back, or at its end.
    #[must_use]
    pub fn going_back(self) -> bool {
        matches!(
            self,
            Self::RollbackQueued
                | Self::RollbackOffered
                | Self::RollbackRunning
                | Self::RolledBack
                | Self::RollbackFailed
        )
    }
}
