//! What an administrator sets.

use kernex_sdk::selector::SelectorText;
use schemars::JsonSchema;
use serde::Deserialize;

/// Which deployments need a second person.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A deployment of more devices than this needs approval; 0 is every deployment that has one.
    pub above_devices: u64,
    /// How many people other than the creator have to approve, 1 to 5; 1 when it is left out.
    #[serde(default = "default_approvals")]
    pub approvals: u32,
    /// Roles whose users may approve, 1 to 8. One of them is enough.
    pub approver_roles: Vec<String>,
    /// Roles that start a deployment without approval, for emergencies. At most 8.
    #[serde(default)]
    pub exempt_roles: Vec<String>,
    /// Lower limits for some deployments. The lowest that applies counts. At most 64.
    #[serde(default)]
    pub limits: Vec<Limit>,
}

/// A lower limit. It has a selector, a bundle, or both, which then both have to fit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Deployments that may reach a device like this: all but those whose own selector rules such
    /// devices out.
    #[serde(default)]
    pub selector: Option<SelectorText>,
    /// Deployments of the bundle of this name.
    #[serde(default)]
    pub bundle: Option<String>,
    /// Such a deployment of more devices than this needs approval; less than the general limit.
    pub above_devices: u64,
}

fn default_approvals() -> u32 {
    1
}
