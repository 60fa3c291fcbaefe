//! Wald's sequential probability ratio test of a failure rate, with devices whose end is not known yet.
//!
//! A. Wald, Sequential Tests of Statistical Hypotheses, Ann. Math. Statist. 16 (1945), 117-186. Two things differ:
//!
//! The bounds are ln(1/alpha) and ln(beta) rather than Wald's approximations ln((1-beta)/alpha) and
//! ln(beta/(1-alpha)). The test goes on after it has accepted, and with these bounds the risks hold for ever: under
//! the baseline the likelihood ratio is a martingale that begins at 1, and exceeds 1/alpha at any time with a
//! probability of at most alpha (J. Ville, Étude critique de la notion de collectif, 1939).
//!
//! Failures are known sooner than successes, which have to soak, or later, when they time out. A ratio of what has
//! ended so far would depend on that. So devices that have begun and not ended count as what is against the verdict:
//! as successes where it is about stopping, as failures where it is about accepting. The ratio of the same devices
//! when all have ended can then only be further beyond the bound, whatever the order in which they end, and that one
//! is a sequence of independent observations, in the order in which the devices began.

use kernex_sdk::Diagnostic;
use kernex_sdk::rollback::Counts;

/// What one device more says, as log-likelihood ratio of the unacceptable rate to the baseline.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weights {
    /// More than 0.
    failure: f64,
    /// Less than 0.
    success: f64,
}

/// Devices that have begun, by how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) failures: u64,
    pub(crate) verified: u64,
    /// At it, soaking, or sent back before that was known.
    pub(crate) open: u64,
}

/// The log-likelihood ratio, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio {
    /// If every open device succeeds.
    pub(crate) least: f64,
    /// If every open device fails.
    pub(crate) most: f64,
}

/// What is wrong with a share that is not between 0 and 1.
const OPEN_UNIT: &str = "a rate is more than 0 and less than 1";
/// The largest risk: above it, a coin would be the better test.
const MAX_RISK: f64 = 0.5;

impl Weights {
    /// Of the baseline and the unacceptable rate. What is wrong with them is added to the diagnostics.
    pub(crate) fn parse(good: f64, bad: f64, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let is_rate = |rate: f64| rate > 0.0 && rate < 1.0;
        for (pointer, rate) in [("/baseline_rate", good), ("/unacceptable_rate", bad)] {
            if !is_rate(rate) {
                diagnostics.push(Diagnostic::new(pointer, OPEN_UNIT));
            }
        }
        let weights = Self { failure: bad.ln() - good.ln(), success: (-bad).ln_1p() - (-good).ln_1p() };
        let tell_apart = weights.failure > 0.0 && weights.success < 0.0;
        if is_rate(good) && is_rate(bad) && !tell_apart {
            let message = "the unacceptable rate is clearly more than the baseline";
            diagnostics.push(Diagnostic::new("/unacceptable_rate", message));
        }
        weights
    }

    pub(crate) fn ratio(self, evidence: Evidence) -> Ratio {
        let Evidence { failures, verified, open } = evidence;
        let of = |failures: u64, others: u64| failures as f64 * self.failure + others as f64 * self.success;
        Ratio { least: of(failures, verified + open), most: of(failures + open, verified) }
    }
}

/// Adds a risk that no test can or should have to the diagnostics.
pub(crate) fn check_risk(pointer: &str, risk: f64, diagnostics: &mut Vec<Diagnostic>) {
    if !(risk > 0.0 && risk <= MAX_RISK) {
        diagnostics.push(Diagnostic::new(pointer, format!("a risk is more than 0 and at most {MAX_RISK}")));
    }
}

impl Evidence {
    /// Devices that were offered it and have not begun say nothing: they may be switched off.
    pub(crate) fn of(counts: &Counts) -> Self {
        let sum = |counts: &[u32]| counts.iter().copied().map(u64::from).sum();
        Self {
            failures: sum(&[counts.failed, counts.timed_out]),
            verified: u64::from(counts.verified),
            open: sum(&[counts.running, counts.installed, counts.rolled_back]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(good: f64, bad: f64) -> Weights {
        let mut diagnostics = Vec::new();
        let weights = Weights::parse(good, bad, &mut diagnostics);
        assert_eq!(diagnostics, []);
        weights
    }

    fn close(value: f64, wanted: f64) {
        assert!((value - wanted).abs() < 1e-6, "{value} instead of {wanted}");
    }

    #[test]
    fn the_ratio_is_as_computed_by_hand() {
        let weights = weights(0.01, 0.05);
        close(weights.failure, 1.609_437_9);
        close(weights.success, -0.041_242_96);
        let ratio = weights.ratio(Evidence { failures: 3, verified: 40, open: 10 });
        close(ratio.least, 3.0 * 1.609_437_9 - 50.0 * 0.041_242_96);
        close(ratio.most, 13.0 * 1.609_437_9 - 40.0 * 0.041_242_96);
        let none = weights.ratio(Evidence { failures: 0, verified: 0, open: 0 });
        assert_eq!(none, Ratio { least: 0.0, most: 0.0 });
    }

    #[test]
    fn extreme_rates_and_counts_stay_finite() {
        let tiny = weights(1e-300, 0.999_999_999_999_999_9);
        let many = u64::from(u32::MAX) * 3;
        let ratio = tiny.ratio(Evidence { failures: many, verified: many, open: many });
        assert!(ratio.least.is_finite() && ratio.most.is_finite(), "{ratio:?}");
    }

    #[test]
    fn what_began_and_has_not_ended_is_open() {
        let counts = Counts {
            assigned: 100,
            offered: 1,
            running: 2,
            installed: 3,
            verified: 4,
            failed: 5,
            timed_out: 6,
            rolled_back: 7,
        };
        assert_eq!(Evidence::of(&counts), Evidence { failures: 11, verified: 4, open: 12 });
    }

    #[test]
    fn impossible_rates_and_risks_are_pointed_at() {
        let wrong = |good, bad| {
            let mut diagnostics = Vec::new();
            Weights::parse(good, bad, &mut diagnostics);
            diagnostics.into_iter().map(|diagnostic| diagnostic.pointer).collect::<Vec<_>>()
        };
        assert_eq!(wrong(0.0, 0.05), ["/baseline_rate"]);
        assert_eq!(wrong(0.01, 1.0), ["/unacceptable_rate"]);
        assert_eq!(wrong(f64::NAN, f64::NAN), ["/baseline_rate", "/unacceptable_rate"]);
        assert_eq!(wrong(0.01, 0.01), ["/unacceptable_rate"], "no more than the baseline");
        assert_eq!(wrong(0.1, 0.05), ["/unacceptable_rate"], "less than the baseline");
        assert_eq!(wrong(1e-20, 1.000_000_000_000_001e-20), ["/unacceptable_rate"], "nothing tells them apart");
        let risk = |risk| {
            let mut diagnostics = Vec::new();
            check_risk("/alpha", risk, &mut diagnostics);
            diagnostics.len()
        };
        assert_eq!([0.0, 0.5, 0.51, f64::NAN, 1e-300].map(risk), [1, 0, 1, 1, 0]);
    }
}
