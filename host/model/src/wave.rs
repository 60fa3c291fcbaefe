//! Owns waves: one ordered slice of a deployment's devices.

use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use crate::count::StateCounts;
use crate::time::Timestamp;

/// Where a wave stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum WaveState {
    /// Its turn has not come.
    Waiting,
    /// Its devices are offered the deployment.
    Open,
    /// The rollback policy let the next wave begin.
    Passed,
    /// The deployment was rolled back while it was open.
    Failed,
}

/// One ordered slice of a deployment's devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct Wave {
    /// Its name, from the targeting policy.
    pub name: String,
    /// Where it stands.
    pub state: WaveState,
    /// Its assignments by state. While the deployment is a draft all that were chosen are counted, and are being written.
    pub counts: StateCounts,
    /// When it was opened.
    pub opened_at: Option<Timestamp>,
    /// When it passed or failed.
    pub closed_at: Option<Timestamp>,
}

impl Wave {
    /// A wave whose turn has not come.
    #[must_use]
    pub fn waiting(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state: WaveState::Waiting,
            counts: StateCounts::default(),
            opened_at: None,
            closed_at: None,
        }
    }

    pub(crate) fn open(&mut self, now: Timestamp) {
        self.state = WaveState::Open;
        self.opened_at = Some(now);
    }

    /// Closes an open wave; any other stays as it is.
    pub(crate) fn close(&mut self, state: WaveState, now: Timestamp) {
        if self.state == WaveState::Open {
            self.state = state;
            self.closed_at = Some(now);
        }
    }
}

/// Devices that match a deployment's selector and are left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct ExclusionCount {
    /// For machines.
    pub code: String,
    /// For people.
    pub message: String,
    /// How many devices.
    pub count: u64,
    /// A few of them.
    pub sample: Vec<crate::id::DeviceId>,
}
