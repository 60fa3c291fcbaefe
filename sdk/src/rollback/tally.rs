//! Counts, reduced to what a verdict needs.

use super::Counts;

/// Devices of a wave or of a deployment.
///
/// ```
/// use kernex_sdk::rollback::{Counts, Tally};
/// use kernex_sdk::testing;
///
/// let tally = Tally::of(&Counts { verified: 6, failed: 1, timed_out: 1, ..testing::counts(20) });
/// assert_eq!((tally.executed, tally.failures, tally.unreached), (8, 2, 12));
/// assert_eq!(tally.failure_share(), 0.25);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub assigned: u32,
    /// Came to an end, well or badly. What was never reached says nothing about the bundle.
    pub executed: u32,
    /// Failed or timed out.
    pub failures: u32,
    /// Healthy over the soak time.
    pub verified: u32,
    /// Sent back.
    pub gone_back: u32,
    /// Not even offered yet.
    pub unreached: u32,
}

impl Tally {
    /// The tally of these counts. Where they contradict each other, no number exceeds `assigned` that is
    /// subtracted from it.
    #[must_use]
    pub fn of(counts: &Counts) -> Self {
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
    #[must_use]
    pub fn failure_share(self) -> f64 {
        if self.executed == 0 {
            return 0.0;
        }
        f64::from(self.failures) / f64::from(self.executed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_reached_says_nothing() {
        let counts = Counts {
            assigned: 20,
            offered: 1,
            running: 2,
            installed: 3,
            verified: 4,
            failed: 1,
            timed_out: 1,
            rolled_back: 5,
        };
        let tally = Tally { assigned: 20, executed: 9, failures: 2, verified: 4, gone_back: 5, unreached: 3 };
        assert_eq!(Tally::of(&counts), tally);
        assert_eq!(tally.failure_share(), 2.0 / 9.0);
    }

    #[test]
    fn contradicting_counts_overflow_nothing() {
        let many = u32::MAX;
        let counts = Counts {
            assigned: 1,
            offered: many,
            running: many,
            installed: many,
            verified: many,
            failed: many,
            timed_out: many,
            rolled_back: many,
        };
        let tally = Tally::of(&counts);
        assert_eq!((tally.failures, tally.gone_back, tally.unreached), (1, 0, 0));
        let none = Tally::of(&Counts { assigned: 0, ..counts });
        assert_eq!((none.failures, none.gone_back, none.unreached), (0, 0, 0));
    }
}
