//! What an administrator sets.

use kernex_sdk::rollback::settings::{Breach, Extent};
use schemars::JsonSchema;
use serde::Deserialize;

/// When a deployment stops, and when it goes on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The share, 0 to 1, of executed devices that may fail or time out.
    #[serde(default = "default_max_failure_share")]
    pub max_failure_share: f64,
    /// How many devices must have executed before the share is measured; in a smaller wave, all.
    #[serde(default = "default_min_executed")]
    pub min_executed: u32,
    /// The share, 0 to 1, of a wave's devices (without failed ones) that must be verified before
    /// the next wave opens.
    #[serde(default = "default_advance_share")]
    pub advance_share: f64,
    /// What happens when too many fail.
    #[serde(default)]
    pub on_breach: Breach,
    /// Which devices go back, when `on_breach` is `roll_back`; everyone when it is left out.
    #[serde(default)]
    pub extent: Option<Extent>,
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

fn default_max_failure_share() -> f64 {
    0.1
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
