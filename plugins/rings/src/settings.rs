//! What an administrator sets.

use std::collections::BTreeMap;

use kernex_sdk::selector::SelectorText;
use kernex_sdk::targeting::waves::Wave;
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
