//! What an administrator sets.

use std::collections::BTreeMap;

use kernex_sdk::selector::SelectorText;
use kernex_sdk::targeting::waves::Wave;
use schemars::JsonSchema;
use semver::Version;
use serde::Deserialize;

/// Which devices a bundle fits, and how a deployment spreads among them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The waves in order. A device goes to the first wave that takes it.
    pub waves: Vec<Wave>,
    /// The devices that deployments may reach at all; every device when it is left out.
    #[serde(default)]
    pub candidates: Option<SelectorText>,
    /// By bundle name: which devices it fits, and from which versions it may be reached.
    pub bundles: BTreeMap<String, Bundle>,
    /// Whether bundles may be deployed that are not listed in `bundles`, to every device.
    #[serde(default)]
    pub allow_unlisted: bool,
    /// Whether devices may go back to an older version of the same bundle.
    #[serde(default)]
    pub allow_downgrade: bool,
}

/// What a bundle demands of a device.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The models that it is made for; any when it is left out.
    #[serde(default)]
    pub models: Option<Vec<String>>,
    /// What the device's hardware must be: a device that is otherwise never gets the bundle.
    #[serde(default)]
    pub hardware: Vec<Demand>,
    /// What must hold when the device is chosen, such as its battery: a device that reports something else later
    /// joins the deployment then.
    #[serde(default)]
    pub conditions: Vec<Demand>,
    /// The lowest versions from which newer ones may be reached.
    #[serde(default)]
    pub floors: Vec<Floor>,
    /// Versions that no device may skip.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub checkpoints: Vec<Version>,
    /// Whether a device may get it that is not known to run a version of this bundle, past floors and checkpoints.
    #[serde(default)]
    pub first_install: bool,
}

/// A demand on one fact: its value is one of a list, or a number within a range.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Demand {
    /// What is looked at, as selectors name it: `model`, a label's key, or `fact.` and a fact's name.
    pub fact: String,
    /// The values that fit, as texts: 1 to 64. Numbers and booleans are compared as they are written.
    #[serde(default)]
    pub one_of: Option<Vec<String>>,
    /// The least number that fits, in the unit of the fact. Only facts (`fact.…`) are numbers; labels are texts.
    #[serde(default)]
    pub at_least: Option<f64>,
    /// The largest number that fits, in the unit of the fact.
    #[serde(default)]
    pub at_most: Option<f64>,
}

/// A version floor.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// The floor is for deployments of this version and newer ones.
    #[schemars(with = "String")]
    pub target: Version,
    /// The lowest version that a device may run to get them.
    #[schemars(with = "String")]
    pub installed: Version,
    /// The version that a device below the floor is brought to first: `installed` or newer, and older than
    /// `target`; `installed` when it is left out.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub stepping_stone: Option<Version>,
}
