//! Owns a policy's configured use: which plugin with which settings serves which gate.

use poem_openapi::types::Any;
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::name::PolicyName;
use crate::principal::Principal;
use crate::record::DecisionGate;
use crate::time::Timestamp;

/// How often one instance of a policy's plugin is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum Instances {
    /// Once: nothing of one decision can reach another.
    #[default]
    Fresh,
    /// Some hundred times: several times as fast, for plugins that keep nothing.
    Reused,
}

/// One revision of a policy. A new one never overwrites an old one; one of each gate is active.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct PolicyRevision {
    /// The policy's name.
    pub name: PolicyName,
    /// Counted from 1.
    pub revision: u64,
    /// Which decisions it makes.
    pub gate: DecisionGate,
    /// The plugin's name.
    pub plugin: String,
    /// SHA-256 of the plugin's bytes.
    pub plugin_digest: Digest,
    /// Its settings.
    pub settings: Any<serde_json::Value>,
    /// SHA-256 of the settings' compact JSON form.
    pub settings_digest: Digest,
    /// How often one instance of the plugin is asked.
    #[serde(default)]
    pub instances: Instances,
    /// Whether it decides.
    pub active: bool,
    /// Who installed it.
    pub created_by: Principal,
    /// When it was installed.
    pub created_at: Timestamp,
}
