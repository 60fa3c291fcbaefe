//! What an administrator sets.

use kernex_sdk::rollback::settings::{Breach, Extent};
use schemars::JsonSchema;
use serde::Deserialize;

/// Which failure rate is fine, which is not, and how often the test may be wrong.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The share of devices, between 0 and 1, that fails with a good bundle: p0.
    #[serde(default = "default_baseline_rate")]
    pub baseline_rate: f64,
    /// The share of devices, more than `baseline_rate` and less than 1, that fails with a bundle that must be
    /// stopped: p1.
    #[serde(default = "default_unacceptable_rate")]
    pub unacceptable_rate: f64,
    /// How likely a deployment may be stopped whose rate is `baseline_rate` or less: more than 0, at most 0.5. It is
    /// for the whole deployment, however often it is looked at.
    #[serde(default = "default_risk")]
    pub alpha: f64,
    /// How likely a rate may be accepted that is `unacceptable_rate` or more: more than 0, at most 0.5.
    #[serde(default = "default_risk")]
    pub beta: f64,
    /// What happens when the failure rate is too high.
    #[serde(default)]
    pub on_breach: Breach,
    /// Which devices go back, when `on_breach` is `roll_back`; everyone when it is left out.
    #[serde(default)]
    pub extent: Option<Extent>,
    /// The share, 0 to 1, of a wave's devices (without failed ones) that must be verified before
    /// the next wave opens.
    #[serde(default = "default_advance_share")]
    pub advance_share: f64,
    /// How long a wave stays open at least, in seconds.
    #[serde(default)]
    pub min_wave_open_s: u64,
    /// After how long a wave no longer waits for devices that could not be reached, in seconds; it always waits when
    /// this is left out.
    #[serde(default)]
    pub unreached_after_s: Option<u64>,
    /// Whether a person may send a single device back.
    #[serde(default = "yes")]
    pub allow_manual: bool,
}

fn default_baseline_rate() -> f64 {
    0.01
}

fn default_unacceptable_rate() -> f64 {
    0.05
}

fn default_risk() -> f64 {
    0.05
}

fn default_advance_share() -> f64 {
    0.9
}

fn yes() -> bool {
    true
}
