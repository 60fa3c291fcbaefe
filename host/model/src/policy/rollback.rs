//! The rollback gate: how a deployment is doing, and what to do about it.

use serde::{Deserialize, Serialize};

use super::{Fact, Reason};

/// How many assignments are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All of them.
    pub assigned: u32,
    /// Offered, not yet taken up.
    pub offered: u32,
    /// Downloading or installing.
    pub running: u32,
    /// Installed, not yet verified.
    pub installed: u32,
    /// Healthy over the soak time.
    pub verified: u32,
    /// Failed.
    pub failed: u32,
    /// Never came to an end in time.
    pub timed_out: u32,
    /// Sent back.
    pub rolled_back: u32,
}

impl Counts {
    /// Those that executed it and did not succeed.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failed + self.timed_out
    }

    /// Those that came to any result.
    #[must_use]
    pub fn executed(&self) -> u32 {
        self.failures() + self.installed + self.verified
    }
}

/// One kind of failure that devices reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureSample {
    /// The device's failure code.
    pub code: String,
    /// How many devices reported it.
    pub count: u32,
    /// One message, as an example.
    pub sample: String,
}

/// A deployment at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Prefixed identifier of the deployment.
    pub deployment: String,
    /// What is known of it.
    pub facts: Vec<Fact>,
    /// The moment, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// The open wave, counted from 0.
    pub wave: u32,
    /// How many waves there are.
    pub waves: u32,
    /// When the open wave was opened, in milliseconds since the Unix epoch.
    pub wave_opened_at_ms: u64,
    /// Assignments of the open wave.
    pub in_wave: Counts,
    /// Assignments of the deployment.
    pub overall: Counts,
    /// What failed, most frequent first.
    pub failures: Vec<FailureSample>,
}

/// Which devices go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Those that failed.
    FailedDevices,
    /// Every exposed device of the open wave.
    CurrentWave,
    /// Every exposed device of the deployment.
    Everyone,
}

/// What to do with a running deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackAction {
    /// Go on with the open wave.
    Proceed,
    /// The open wave has passed: open the next one, or complete.
    Advance,
    /// Make no new offers for now, and ask again.
    Hold,
    /// Pause until a person resumes.
    Pause,
    /// Halt and send devices back.
    RollBack(Extent),
}

/// A verdict on a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackOutcome {
    /// What to do.
    pub action: RollbackAction,
    /// Why.
    pub reason: Reason,
    /// Given back with the next question; at most 4 KiB.
    pub state: Vec<u8>,
}

/// A person asks to send one device back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RollbackRequest {
    /// Prefixed identifier of the device.
    pub device: String,
    /// Prefixed identifier of the bundle that it runs.
    pub from_bundle: String,
    /// Prefixed identifier of the bundle to go back to.
    pub to_bundle: String,
    /// What is known of device, bundles and who asks.
    pub facts: Vec<Fact>,
}

/// Whether one device may be sent back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// It may.
    Permitted,
    /// It may not, and why.
    Refused(Reason),
}
