//! Owns policies as people write them down: TOML documents such as those in `policies/`.

use std::str::FromStr;

use kernex_model::document::{ActionPattern, Instances};
use kernex_model::name::PolicyName;
use kernex_model::record::DecisionGate;
use kernex_model::redaction::SecretFact;
use serde::{Deserialize, Serialize};

/// A policy, as it is written in a file of TOML.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Its name.
    pub name: PolicyName,
    /// The gate that it serves.
    pub gate: DecisionGate,
    /// The plugin, by its name.
    pub plugin: String,
    /// How often one instance of the plugin is asked.
    #[serde(default)]
    pub instances: Instances,
    /// The actions that it is asked about; authorization only, every action where empty.
    #[serde(default)]
    pub actions: Vec<ActionPattern>,
    /// Facts whose values are not written down with its decisions, at most 64.
    #[serde(default)]
    pub secret_facts: Vec<SecretFact>,
    /// What the plugin's schema asks for.
    #[serde(default)]
    pub settings: serde_json::Map<String, serde_json::Value>,
}

impl FromStr for Document {
    type Err = toml::de::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        toml::from_str(text)
    }
}
