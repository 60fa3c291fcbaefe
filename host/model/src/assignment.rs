//! Owns assignments: one device's part in one deployment, and every step that it can take.

mod standing;

use poem_openapi::Object;
use serde::{Deserialize, Serialize};

use crate::deployment::Plan;
use crate::id::{AssignmentId, BundleId, DeploymentId, DeviceId};
use crate::report::{Report, ReportState, ReportedError};
use crate::time::Timestamp;

pub use standing::AssignmentState;

/// One device's part in one deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct Assignment {
    /// Identifier, made of the deployment's and the device's.
    pub id: AssignmentId,
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// The device.
    pub device_id: DeviceId,
    /// The wave it belongs to, counted from 0.
    pub wave: u16,
    /// Where it stands.
    pub state: AssignmentState,
    /// How often the device was told to act, both ways together; commands and reports carry it.
    pub attempt: u32,
    /// How many attempts failed in the present direction.
    pub failed_attempts: u32,
    /// The bundle to install, unless a config is deployed.
    pub bundle_id: Option<BundleId>,
    /// The config version to apply, once it was offered.
    pub config_version: Option<u64>,
    /// What the device ran, verified, before the first offer: where a rollback leads.
    pub previous_bundle_id: Option<BundleId>,
    /// The config version it had before the first offer.
    pub previous_config_version: Option<u64>,
    /// When the driver must look at it again: end of a backoff, attempt or soak.
    pub due_at: Timestamp,
    /// Percent of the present attempt, as the device reported it.
    pub progress: Option<u8>,
    /// How far the device says that it got in the present attempt: `downloading` or `installing`.
    pub phase: Option<ReportState>,
    /// What went wrong last.
    pub error: Option<ReportedError>,
    /// When the present attempt was offered.
    pub offered_at: Option<Timestamp>,
    /// When the device reported it installed.
    pub installed_at: Option<Timestamp>,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Optimistic-concurrency counter.
    pub revision: u64,
}

/// What a report does to an assignment.
#[derive(Debug, Clone, PartialEq)]
pub enum ReportEffect {
    /// The assignment as it now stands.
    Changed(Box<Assignment>),
    /// The same was reported before: answered as the first time, changes nothing.
    Repeated,
}

/// Why a report is refused without effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReportRefusal {
    /// The attempt ended: by time-out, by another end, or because a newer one was offered.
    #[error("attempt {attempt} has ended; the assignment is {}", state.as_str())]
    AttemptEnded {
        /// The attempt that was reported on.
        attempt: u32,
        /// Where the assignment stands.
        state: AssignmentState,
    },
    /// The attempt was never offered.
    #[error("attempt {0} was never offered")]
    UnknownAttempt(u32),
}

/// Codes of errors that the host itself writes into an assignment.
pub mod error_code {
    /// An attempt was not ended in time.
    pub const TIMED_OUT: &str = "attempt-timed-out";
    /// The device was unhealthy at the end of the soak time.
    pub const UNHEALTHY: &str = "unhealthy-after-install";
    /// There is no earlier verified bundle or config.
    pub const NOTHING_TO_GO_BACK_TO: &str = "nothing-to-go-back-to";
    /// The device was retired before its turn came.
    pub const DEVICE_RETIRED: &str = "device-retired";
    /// Something newer was sent to the device meanwhile.
    pub const SUPERSEDED: &str = "superseded";
    /// The earlier bundle no longer exists or must not be used.
    pub const PREVIOUS_UNAVAILABLE: &str = "previous-bundle-unavailable";
}

/// First backoff before a retry, in seconds; doubled with each failed attempt.
pub const BACKOFF_BASE_S: u32 = 30;
/// Longest backoff, in seconds.
pub const BACKOFF_MAX_S: u32 = 3_600;

impl Assignment {
    fn moved(&self, state: AssignmentState, now: Timestamp, due_at: Timestamp) -> Self {
        Self { state, due_at, updated_at: now, ..self.clone() }
    }

    /// Tells the device to act: takes a slot and begins an attempt. `None` unless it is queued.
    #[must_use]
    pub fn offered(&self, now: Timestamp, plan: &Plan) -> Option<Self> {
        let state = match self.state {
            AssignmentState::Queued => AssignmentState::Offered,
            AssignmentState::RollbackQueued => AssignmentState::RollbackOffered,
            _ => return None,
        };
        Some(Self {
            attempt: self.attempt + 1,
            offered_at: Some(now),
            progress: None,
            phase: None,
            ..self.moved(state, now, now.plus_secs(plan.attempt_timeout_s))
        })
    }

    /// The end of the time that an attempt may take. An offer that was never taken up is withdrawn and
    /// costs no attempt; one that was begun has failed. `None` unless it is in flight.
    #[must_use]
    pub fn expired(&self, now: Timestamp, plan: &Plan) -> Option<Self> {
        match self.state {
            AssignmentState::Offered => Some(self.moved(AssignmentState::Queued, now, now)),
            AssignmentState::RollbackOffered => Some(self.moved(AssignmentState::RollbackQueued, now, now)),
            AssignmentState::Running | AssignmentState::RollbackRunning => {
                let message = format!("attempt {} was not ended within {} s", self.attempt, plan.attempt_timeout_s);
                let error = ReportedError { code: error_code::TIMED_OUT.to_owned(), message };
                let last = if self.state == AssignmentState::Running {
                    AssignmentState::TimedOut
                } else {
                    AssignmentState::RollbackFailed
                };
                Some(self.attempt_failed(error, last, now, plan))
            }
            _ => None,
        }
    }

    /// Ends an attempt that failed: another one after a backoff, or `last` if there were enough.
    fn attempt_failed(&self, error: ReportedError, last: AssignmentState, now: Timestamp, plan: &Plan) -> Self {
        let failed_attempts = self.failed_attempts + 1;
        let again = if self.state.going_back() { AssignmentState::RollbackQueued } else { AssignmentState::Queued };
        let (state, due_at) = if failed_attempts < plan.max_attempts {
            (again, now.plus_secs(backoff_s(failed_attempts)))
        } else {
            (last, Timestamp::MAX)
        };
        Self { failed_attempts, error: Some(error), ..self.moved(state, now, due_at) }
    }

    /// What a device's report does.
    ///
    /// # Errors
    /// [`ReportRefusal`] where the attempt has ended or was never offered; nothing changes then.
    pub fn reported(&self, report: &Report, now: Timestamp, plan: &Plan) -> Result<ReportEffect, ReportRefusal> {
        let ended = ReportRefusal::AttemptEnded { attempt: report.attempt, state: self.state };
        if report.attempt > self.attempt || report.attempt == 0 {
            return Err(ReportRefusal::UnknownAttempt(report.attempt));
        }
        if report.attempt < self.attempt {
            return Err(ended);
        }
        let back = self.state.going_back();
        let running = if back { AssignmentState::RollbackRunning } else { AssignmentState::Running };
        let changed = |assignment| Ok(ReportEffect::Changed(Box::new(assignment)));
        match (self.state, report.state) {
            (
                AssignmentState::Offered
                | AssignmentState::RollbackOffered
                | AssignmentState::Running
                | AssignmentState::RollbackRunning,
                ReportState::Downloading | ReportState::Installing,
            ) => {
                // Reports may arrive again, and out of order: progress and phase only grow.
                let progress = self.progress.max(report.progress);
                let installs = [self.phase, Some(report.state)].contains(&Some(ReportState::Installing));
                let phase = Some(if installs { ReportState::Installing } else { ReportState::Downloading });
                if self.state == running && (self.progress, self.phase) == (progress, phase) {
                    return Ok(ReportEffect::Repeated);
                }
                // The attempt's time goes on from the offer: progress does not prolong it.
                changed(Self { progress, phase, ..self.moved(running, now, self.due_at) })
            }
            (AssignmentState::Offered | AssignmentState::Running, ReportState::Installed) => changed(Self {
                installed_at: Some(now),
                progress: Some(100),
                error: None,
                ..self.moved(AssignmentState::Installed, now, now.plus_secs(plan.soak_s))
            }),
            (AssignmentState::RollbackOffered | AssignmentState::RollbackRunning, ReportState::Installed) => {
                changed(Self { error: None, ..self.moved(AssignmentState::RolledBack, now, Timestamp::MAX) })
            }
            (AssignmentState::Offered | AssignmentState::Running, ReportState::Rejected) => changed(Self {
                error: Some(report.error_or_default()),
                ..self.moved(AssignmentState::Rejected, now, Timestamp::MAX)
            }),
            (AssignmentState::Offered | AssignmentState::Running, ReportState::Failed) => {
                changed(self.attempt_failed(report.error_or_default(), AssignmentState::Failed, now, plan))
            }
            (
                AssignmentState::RollbackOffered | AssignmentState::RollbackRunning,
                ReportState::Failed | ReportState::Rejected,
            ) => changed(self.attempt_failed(report.error_or_default(), AssignmentState::RollbackFailed, now, plan)),
            // A device may find out while it soaks; there is no second attempt at what was installed.
            (AssignmentState::Installed, ReportState::Failed) => {
                changed(self.unhealthy(report.error_or_default(), now))
            }
            (AssignmentState::Installed | AssignmentState::Verified, ReportState::Installed)
            | (AssignmentState::RolledBack, ReportState::Installed)
            | (AssignmentState::Rejected, ReportState::Rejected)
            | (AssignmentState::Failed, ReportState::Failed)
            | (AssignmentState::RollbackFailed, ReportState::Failed | ReportState::Rejected) => {
                Ok(ReportEffect::Repeated)
            }
            // A failure report that already led to a retry is the same one, sent twice.
            (AssignmentState::Queued, ReportState::Failed)
            | (AssignmentState::RollbackQueued, ReportState::Failed | ReportState::Rejected)
                if self.failed_by(report) =>
            {
                Ok(ReportEffect::Repeated)
            }
            _ => Err(ended),
        }
    }

    fn failed_by(&self, report: &Report) -> bool {
        self.failed_attempts > 0 && self.error.as_ref() == Some(&report.error_or_default())
    }

    /// The end of the soak time with a healthy device. `None` unless it is installed.
    #[must_use]
    pub fn verified(&self, now: Timestamp) -> Option<Self> {
        (self.state == AssignmentState::Installed).then(|| self.moved(AssignmentState::Verified, now, Timestamp::MAX))
    }

    /// The device became unhealthy after the installation.
    #[must_use]
    pub fn unhealthy(&self, error: ReportedError, now: Timestamp) -> Self {
        Self { error: Some(error), ..self.moved(AssignmentState::Failed, now, Timestamp::MAX) }
    }

    /// Ends it without a verdict, because something newer was sent to the device: it waits for another attempt
    /// at what is out of date, or soaks what the device was since told to leave. `None` from any other state.
    #[must_use]
    pub fn superseded(&self, message: String, now: Timestamp) -> Option<Self> {
        let error = ReportedError { code: error_code::SUPERSEDED.to_owned(), message };
        matches!(self.state, AssignmentState::Queued | AssignmentState::Installed)
            .then(|| Self { error: Some(error), ..self.moved(AssignmentState::Cancelled, now, Timestamp::MAX) })
    }

    /// Takes back an offer that never reached its device. `None` unless it is offered.
    #[must_use]
    pub fn unreached(&self, now: Timestamp) -> Option<Self> {
        (self.state == AssignmentState::Offered).then(|| self.moved(AssignmentState::Cancelled, now, Timestamp::MAX))
    }

    /// Takes it back before the device was offered it. `None` unless it is queued.
    #[must_use]
    pub fn cancelled(&self, now: Timestamp) -> Option<Self> {
        (self.state == AssignmentState::Queued).then(|| self.moved(AssignmentState::Cancelled, now, Timestamp::MAX))
    }

    /// Gives it up, because its device is retired. `None` unless it is queued, in either direction.
    #[must_use]
    pub fn abandoned(&self, now: Timestamp) -> Option<Self> {
        let state = match self.state {
            AssignmentState::Queued => AssignmentState::Cancelled,
            AssignmentState::RollbackQueued => AssignmentState::RollbackFailed,
            _ => return None,
        };
        let error =
            ReportedError { code: error_code::DEVICE_RETIRED.to_owned(), message: "the device is retired".to_owned() };
        Some(Self { error: Some(error), ..self.moved(state, now, Timestamp::MAX) })
    }

    /// Waits for another attempt after one that failed: somewhere in the middle, for all that is known.
    #[must_use]
    pub fn waits_to_retry(&self) -> bool {
        self.state == AssignmentState::Queued && self.failed_attempts > 0
    }

    /// Queues the way back, or says why there is none. `None` unless the device was exposed.
    #[must_use]
    pub fn sent_back(&self, way: Result<(), ReportedError>, now: Timestamp) -> Option<Self> {
        if !self.state.exposed() && !self.waits_to_retry() {
            return None;
        }
        Some(match way {
            Ok(()) => {
                Self { failed_attempts: 0, progress: None, ..self.moved(AssignmentState::RollbackQueued, now, now) }
            }
            Err(error) => {
                Self { error: Some(error), ..self.moved(AssignmentState::RollbackFailed, now, Timestamp::MAX) }
            }
        })
    }
}

fn backoff_s(failed_attempts: u32) -> u32 {
    BACKOFF_BASE_S.saturating_mul(1_u32 << failed_attempts.saturating_sub(1).min(16)).min(BACKOFF_MAX_S)
}
