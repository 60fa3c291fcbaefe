//! Owns how many assignments stand where.

use std::iter::Sum;

use poem_openapi::Object;
use serde::{Deserialize, Serialize};

use crate::assignment::AssignmentState;
use crate::policy::Counts;

/// Assignments by state. The sum never changes by a step: what leaves one state enters another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct StateCounts {
    /// See [`AssignmentState::Queued`].
    pub queued: u64,
    /// See [`AssignmentState::Offered`].
    pub offered: u64,
    /// See [`AssignmentState::Running`].
    pub running: u64,
    /// See [`AssignmentState::Installed`].
    pub installed: u64,
    /// See [`AssignmentState::Verified`].
    pub verified: u64,
    /// See [`AssignmentState::Failed`].
    pub failed: u64,
    /// See [`AssignmentState::Rejected`].
    pub rejected: u64,
    /// See [`AssignmentState::TimedOut`].
    pub timed_out: u64,
    /// See [`AssignmentState::Cancelled`].
    pub cancelled: u64,
    /// See [`AssignmentState::RollbackQueued`].
    pub rollback_queued: u64,
    /// See [`AssignmentState::RollbackOffered`].
    pub rollback_offered: u64,
    /// See [`AssignmentState::RollbackRunning`].
    pub rollback_running: u64,
    /// See [`AssignmentState::RolledBack`].
    pub rolled_back: u64,
    /// See [`AssignmentState::RollbackFailed`].
    pub rollback_failed: u64,
}

impl StateCounts {
    fn slot(&mut self, state: AssignmentState) -> &mut u64 {
        match state {
            AssignmentState::Queued => &mut self.queued,
            AssignmentState::Offered => &mut self.offered,
            AssignmentState::Running => &mut self.running,
            AssignmentState::Installed => &mut self.installed,
            AssignmentState::Verified => &mut self.verified,
            AssignmentState::Failed => &mut self.failed,
            AssignmentState::Rejected => &mut self.rejected,
            AssignmentState::TimedOut => &mut self.timed_out,
            AssignmentState::Cancelled => &mut self.cancelled,
            AssignmentState::RollbackQueued => &mut self.rollback_queued,
            AssignmentState::RollbackOffered => &mut self.rollback_offered,
            AssignmentState::RollbackRunning => &mut self.rollback_running,
            AssignmentState::RolledBack => &mut self.rolled_back,
            AssignmentState::RollbackFailed => &mut self.rollback_failed,
        }
    }

    /// How many stand at `state`.
    #[must_use]
    pub fn at(mut self, state: AssignmentState) -> u64 {
        *self.slot(state)
    }

    /// One more at `state`: a new assignment.
    pub fn enter(&mut self, state: AssignmentState) {
        *self.slot(state) += 1;
    }

    /// One went from `from` to `to`.
    pub fn shift(&mut self, from: AssignmentState, to: AssignmentState) {
        let left = self.slot(from);
        debug_assert!(*left > 0, "an assignment left {from:?} that never entered it");
        *left = left.saturating_sub(1);
        self.enter(to);
    }

    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        AssignmentState::ALL.into_iter().map(|state| self.at(state)).sum()
    }

    /// Those that hold a slot.
    #[must_use]
    pub fn in_flight(self) -> u32 {
        let sum: u64 = AssignmentState::ALL.into_iter().filter(|s| s.in_flight()).map(|s| self.at(s)).sum();
        u32::try_from(sum).unwrap_or(u32::MAX)
    }

    /// Those that something will still happen to.
    #[must_use]
    pub fn active(self) -> u64 {
        AssignmentState::ALL.into_iter().filter(|s| !s.ended()).map(|s| self.at(s)).sum()
    }

    /// As the rollback gate counts: a rejection is a failure of the deployment, not of the device, and
    /// counts as failed; what goes back counts as rolled back.
    #[must_use]
    pub fn to_policy(self) -> Counts {
        let fit = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        Counts {
            assigned: fit(self.total() - self.cancelled),
            offered: fit(self.offered),
            running: fit(self.running),
            installed: fit(self.installed),
            verified: fit(self.verified),
            failed: fit(self.failed + self.rejected),
            timed_out: fit(self.timed_out),
            rolled_back: fit(self.rollback_queued
                + self.rollback_offered
                + self.rollback_running
                + self.rolled_back
                + self.rollback_failed),
        }
    }
}

impl Sum for StateCounts {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), |mut sum, counts| {
            for state in AssignmentState::ALL {
                *sum.slot(state) += counts.at(state);
            }
            sum
        })
    }
}
