//! Owns what is looked at from outside while the use cases work: devices, assignments, and what waits.

use std::sync::Arc;

use kernex_model::assignment::AssignmentState;
use kernex_model::count::StateCounts;
use parking_lot::Mutex;

use super::decision_log::DecisionLog;
use super::fleet::Fleet;
use super::group::Length;
use super::policies::looking_on::Shadows;
use crate::telemetry::Signals;

/// How the deployments that are not settled stood at the driver's last pass. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse(Arc<Mutex<StateCounts>>);

impl Pulse {
    pub(super) fn note(&self, counts: StateCounts) {
        *self.0.lock() = counts;
    }
}

/// What is read when somebody looks: all of it in memory.
#[derive(Debug)]
pub(super) struct Gauges {
    pub(super) fleet: Fleet,
    pub(super) decisions: DecisionLog,
    pub(super) pulse: Pulse,
    pub(super) reports: Length,
    pub(super) beats: Length,
    pub(super) shadows: Shadows,
}

impl Signals for Gauges {
    fn devices(&self) -> Vec<(&'static str, u64)> {
        self.fleet.standing()
    }

    fn assignments(&self) -> Vec<(&'static str, u64)> {
        let counts = *self.pulse.0.lock();
        AssignmentState::ALL.into_iter().map(|state| (state.as_str(), counts.at(state))).collect()
    }

    fn waiting(&self) -> Vec<(&'static str, u64)> {
        let length = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        vec![
            ("reports", length(self.reports.get())),
            ("heartbeats", length(self.beats.get())),
            ("decisions", length(self.decisions.waiting())),
            ("shadow", length(self.shadows.waiting())),
        ]
    }

    fn dropped_decisions(&self) -> u64 {
        self.decisions.dropped()
    }
}
