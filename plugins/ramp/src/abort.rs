//! When a deployment is stopped: failures by their type, and the shares of them that are too many.

use kernex_sdk::rollback::settings::action;
use kernex_sdk::rollback::{Action, Tally, Window};
use kernex_sdk::{Diagnostic, Facts};

use crate::settings::{Abort, FailureType};

/// How many devices of the deployment rejected it, when the host says so.
const REJECTED: &str = "overall.rejected";
/// How many criteria there may be.
const MAX_CRITERIA: usize = 16;

/// A deployment's failures by type. The types overlap where rejections are not told apart from failures: each then
/// counts all that it may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    pub(crate) all: u32,
    pub(crate) failed: u32,
    pub(crate) timed_out: u32,
    pub(crate) rejected: u32,
}

impl Failures {
    pub(crate) fn of(window: &Window) -> Self {
        let counts = &window.overall;
        let known = window.facts.integer(REJECTED).and_then(|count| u32::try_from(count).ok());
        let known = known.filter(|rejected| *rejected <= counts.failed);
        Self {
            all: counts.failed.saturating_add(counts.timed_out),
            failed: counts.failed - known.unwrap_or(0),
            timed_out: counts.timed_out,
            rejected: known.unwrap_or(counts.failed),
        }
    }

    fn of_type(&self, failure: FailureType) -> u32 {
        match failure {
            FailureType::All => self.all,
            FailureType::Failed => self.failed,
            FailureType::TimedOut => self.timed_out,
            FailureType::Rejected => self.rejected,
        }
    }
}

/// One share of failures that is too many.
#[derive(Debug)]
pub(crate) struct Criterion {
    failure: FailureType,
    threshold_percent: f64,
    min_executed: u32,
    pub(crate) action: Action,
}

/// The criteria, those that send devices back first: where several are met, the strongest action is taken.
pub(crate) fn parse(criteria: Vec<Abort>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Criterion> {
    if criteria.len() > MAX_CRITERIA {
        diagnostics.push(Diagnostic::new("/abort", format!("there are at most {MAX_CRITERIA} criteria")));
    }
    let mut parsed: Vec<Criterion> = Vec::new();
    for (index, abort) in criteria.into_iter().enumerate() {
        let percent = abort.threshold_percent;
        if !(percent > 0.0 && percent <= 100.0) {
            let message = "a threshold is more than 0 and at most 100 percent";
            diagnostics.push(Diagnostic::new(format!("/abort/{index}/threshold_percent"), message));
        }
        parsed.push(Criterion {
            failure: abort.failure,
            threshold_percent: percent,
            min_executed: abort.min_executed,
            action: action(abort.action, abort.extent, &format!("/abort/{index}/extent"), diagnostics),
        });
    }
    parsed.sort_by_key(|criterion| criterion.action == Action::Pause);
    parsed
}

impl Criterion {
    /// Whether too many failed: of those that executed, once there are enough of them, or so many that the
    /// threshold is reached even if every other device succeeds. What a person has accepted does not count alone.
    pub(crate) fn is_met(&self, failures: &Failures, accepted: &Failures, overall: Tally) -> bool {
        let count = failures.of_type(self.failure);
        let reaches = |devices: u32| f64::from(count) * 100.0 >= self.threshold_percent * f64::from(devices);
        let enough = self.min_executed.min(overall.assigned).max(1);
        let measured = overall.executed >= enough && reaches(overall.executed);
        count > accepted.of_type(self.failure) && (measured || reaches(overall.assigned))
    }

    /// What happened, for people.
    pub(crate) fn message(&self, failures: &Failures, overall: Tally) -> String {
        let what = match self.failure {
            FailureType::All => "did not succeed",
            FailureType::Failed => "failed",
            FailureType::TimedOut => "timed out",
            FailureType::Rejected => "rejected it (or failed, where that is not told apart)",
        };
        format!(
            "{} of {} devices that executed it {what}: {} % are too many",
            failures.of_type(self.failure),
            overall.executed,
            self.threshold_percent
        )
    }
}
