//! Owns `plugins.*`: whose plugins are taken.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::codec;
use kernex_model::signature::PublicKey;

/// `plugins.*`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Plugins {
    /// Public keys whose signature lets a plugin in, as `kernex plugin keygen` prints them.
    #[serde(deserialize_with = "codec::list", serialize_with = "codec::texts")]
    #[schemars(with = "Vec<String>", extend("x-type" = "list of public keys"))]
    pub trusted_keys: Vec<PublicKey>,
    /// Whether a plugin without a signature is taken, too. A wrong signature is refused all the same.
    #[schemars(extend("x-type" = "`true` or `false`"))]
    pub allow_unsigned: bool,
    /// The largest component that is taken, in bytes.
    #[schemars(range(min = 1_024, max = 8_388_608))]
    pub max_bytes: u32,
}

impl Default for Plugins {
    fn default() -> Self {
        Self { trusted_keys: Vec::new(), allow_unsigned: false, max_bytes: 8 * 1024 * 1024 }
    }
}
