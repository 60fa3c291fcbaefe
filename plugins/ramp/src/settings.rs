//! What an administrator sets.

use kernex_sdk::rollback::settings::{Breach, Extent};
use schemars::JsonSchema;
use serde::Deserialize;

/// How fast devices are told, and when that stops.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How many devices are told in a minute, at first: 1 to 1,000,000.
    pub base_per_minute: u32,
    /// What makes the rate grow; it stays at `base_per_minute` when this is left out.
    #[serde(default)]
    pub increase: Option<Increase>,
    /// When the deployment is stopped: as soon as one of these is met. At most 16.
    #[serde(default)]
    pub abort: Vec<Abort>,
    /// The share, 0 to 1, of a wave's devices (without failed ones) that must be verified before
    /// the next wave opens.
    #[serde(default = "default_advance_share")]
    pub advance_share: f64,
    /// How long a wave stays open at least, in seconds.
    #[serde(default)]
    pub min_wave_open_s: u64,
    /// After how long a wave no longer waits for devices that could not be offered anything, in
    /// seconds; it always waits when this is left out.
    #[serde(default)]
    pub unreached_after_s: Option<u64>,
    /// Whether a person may send a single device back.
    #[serde(default = "yes")]
    pub allow_manual: bool,
}

/// How the rate grows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Increase {
    /// What the rate is multiplied by: 1.1 to 5.
    pub factor: f64,
    /// Which devices count.
    pub criterion: Criterion,
    /// After how many of them, each time: 1 or more.
    pub every: u32,
    /// How many devices are told in a minute at most: `base_per_minute` to 1,000,000.
    pub maximum_per_minute: u32,
}

/// Which devices count for the next step of the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// Those that were told, whatever came of it.
    Notified,
    /// Those that are verified.
    Succeeded,
}

/// When the deployment is stopped.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Abort {
    /// Which failures count.
    pub failure: FailureType,
    /// From which share on, in percent of the devices that executed it: more than 0, at most 100.
    pub threshold_percent: f64,
    /// How many devices must have executed it before the share is measured; in a smaller deployment, all.
    #[serde(default = "default_min_executed")]
    pub min_executed: u32,
    /// What happens then.
    #[serde(default)]
    pub action: Breach,
    /// Which devices go back, when `action` is `roll_back`; everyone when it is left out.
    #[serde(default)]
    pub extent: Option<Extent>,
}

/// Which failures count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureType {
    /// Every device that failed, timed out or rejected it.
    All,
    /// Devices that failed; where it is not known how many rejected it, those too.
    Failed,
    /// Devices that did not come to an end in time.
    TimedOut,
    /// Devices that rejected it; where it is not known how many did, all that failed.
    Rejected,
}

fn default_min_executed() -> u32 {
    10
}

fn default_advance_share() -> f64 {
    0.9
}

fn yes() -> bool {
    true
}
