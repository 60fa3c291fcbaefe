//! Counts, reduced to what the verdict needs.

use kernex_sdk::rollback::Counts;

/// Devices of a wave or of a deployment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) assigned: u32,
    /// Came to an end, well or badly. What was never reached says nothing about the bundle.
    pub(crate) executed: u32,
    pub(crate) failures: u32,
    pub(crate) verified: u32,
    /// Sent back.
    pub(crate) gone_back: u32,
    /// Not even offered yet.
    pub(crate) unreached: u32,
}

impl Tally {
    pub(crate) fn of(counts: &Counts) -> Self {
        let failures = counts.failed.saturating_add(counts.timed_out).min(counts.assigned);
        let gone_back = counts.rolled_back.min(counts.assigned - failures);
        let executed = failures.saturating_add(counts.installed).saturating_add(counts.verified);
        let reached = executed.saturating_add(gone_back).saturating_add(counts.offered).saturating_add(counts.running);
        Self {
            assigned: counts.assigned,
            executed,
            failures,
            verified: counts.verified,
            gone_back,
            unreached: counts.assigned.saturating_sub(reached),
        }
    }

    /// Failures of what was executed, 0 to 1.
    pub(crate) fn failure_share(self) -> f64 {
        if self.executed == 0 {
            return 0.0;
        }
        f64::from(self.failures) / f64::from(self.executed)
    }
}
