//! What an administrator sets.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// Who works at which sites, and what they may do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The label whose value is a device's site; `site` when it is left out.
    #[serde(default = "default_label")]
    pub label: String,
    /// Roles that are narrowed to the caller's sites; `*` for every role that is not unrestricted.
    /// Who has a site is narrowed without such a role, too. At most 256.
    #[serde(default)]
    pub narrowed_roles: Vec<String>,
    /// Roles that see everything. One of them is enough. At most 256.
    #[serde(default)]
    pub unrestricted_roles: Vec<String>,
    /// A role that begins with this gives the site that follows: with `site-`, which it is when it
    /// is left out, `site-berlin` gives `berlin`. No role does where it is empty.
    #[serde(default = "default_role_prefix")]
    pub role_prefix: String,
    /// Sites by role, at most 64 each.
    #[serde(default)]
    pub sites_by_role: BTreeMap<String, Vec<String>>,
    /// Sites by identifier of a user or API key, at most 64 each.
    #[serde(default)]
    pub sites_by_principal: BTreeMap<String, Vec<String>>,
    /// What a narrowed caller may do to anything but devices: `noun:verb`, `noun:*`, or `*` for
    /// everything. All else is refused, but for `confined`.
    #[serde(default = "default_allowed")]
    pub allowed: Vec<String>,
    /// What a narrowed caller may do where the resource's selector keeps to the caller's sites.
    /// Goes before `allowed`.
    #[serde(default = "default_confined")]
    pub confined: Vec<String>,
}

fn default_label() -> String {
    "site".to_owned()
}

fn default_role_prefix() -> String {
    "site-".to_owned()
}

fn default_allowed() -> Vec<String> {
    [
        "user:read",
        "password:change",
        "session:*",
        "bundle:list",
        "bundle:read",
        "bundle:download",
        "deployment:list",
        "deployment:read",
        "policy:list",
        "policy:read",
    ]
    .map(str::to_owned)
    .into()
}

fn default_confined() -> Vec<String> {
    ["preview", "create", "start", "approve", "control", "rollback"].map(|verb| format!("deployment:{verb}")).into()
}
