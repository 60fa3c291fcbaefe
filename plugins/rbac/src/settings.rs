//! What an administrator sets.

use std::collections::BTreeMap;

use kernex_sdk::selector::SelectorText;
use schemars::JsonSchema;
use serde::Deserialize;

/// Who may do what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The roles by name.
    pub roles: BTreeMap<String, Role>,
    /// What a device may do to itself.
    #[serde(default)]
    pub device: Granted,
    /// What a caller may do without logging in.
    #[serde(default)]
    pub anonymous: Granted,
    /// What every user may do to their own account and sessions, whatever their roles.
    #[serde(default)]
    pub self_service: Vec<String>,
}

/// What a role allows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Actions: `noun:verb`, `noun:*`, or `*` for everything.
    pub grants: Vec<String>,
    /// The devices that the role sees and acts on; all when it is left out.
    #[serde(default)]
    pub devices: Option<SelectorText>,
}

/// What a kind of caller may do.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Granted {
    /// Actions: `noun:verb`, `noun:*`, or `*` for everything.
    pub grants: Vec<String>,
}
