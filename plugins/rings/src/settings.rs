//! What an administrator sets.

use std::collections::BTreeMap;

use kernex_sdk::selector::SelectorText;
use schemars::JsonSchema;
use serde::Deserialize;

/// How a deployment spreads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The waves in order. A device goes to the first wave that takes it.
    pub waves: Vec<Wave>,
    /// The devices that deployments may reach at all; every device when it is left out.
    #[serde(default)]
    pub candidates: Option<SelectorText>,
    /// Whether devices may go back to an older version of the same bundle.
    #[serde(default)]
    pub allow_downgrade: bool,
    /// By bundle name: versions that no device may skip.
    #[serde(default)]
    pub intermediate_versions: BTreeMap<String, Vec<String>>,
}

/// One wave.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// Its name, once. The first wave may be called `canary`: the first devices of it, in the order
    /// of their hashes, go alone, and the others of it with the next wave.
    pub name: String,
    /// Only matching devices. A canary wave without a selector chooses among those of the next wave.
    #[serde(default)]
    pub selector: Option<SelectorText>,
    /// How far the deployment has spread when this wave has passed: the share of the fleet, more
    /// than 0 and at most 100, that is in this wave or an earlier one. All when it is left out.
    #[serde(default)]
    pub percent: Option<f64>,
}
