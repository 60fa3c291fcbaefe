//! Owns what is known of a plugin: a component, known by the digest of its bytes.

use poem_openapi::Object;
use poem_openapi::types::Any;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::principal::Principal;
use crate::record::DecisionGate;
use crate::time::Timestamp;

/// A plugin that policies may use. What it says about itself is its own word; the rest was found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct Plugin {
    /// SHA-256 of the component: what it is known by.
    pub digest: Digest,
    /// Its name, in its own word.
    pub name: String,
    /// Its version, in its own word.
    pub version: String,
    /// What it does, in its own word.
    pub summary: String,
    /// The gates that it can serve.
    pub gates: Vec<DecisionGate>,
    /// All that it can touch: the interfaces that it imports.
    pub imports: Vec<String>,
    /// JSON Schema (2020-12) of its settings.
    pub settings_schema: Any<serde_json::Value>,
    /// Bytes of the component.
    pub size: u64,
    /// Whether it is part of this program.
    pub bundled: bool,
    /// The trusted key that signed it; absent where it is bundled, or was let in unsigned.
    pub signed_by: Option<String>,
    /// Who brought it.
    pub created_by: Principal,
    /// When.
    pub created_at: Timestamp,
}
