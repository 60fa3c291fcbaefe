//! Owns how settings with a form of their own are read and shown: secrets, and lists in a variable.

use kernex_model::name::RoleName;
use secrecy::{ExposeSecret, SecretString};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// What `config show` prints in place of a secret.
const MASKED: &str = "********";

pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

pub(super) fn masked<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        // An empty one is worth seeing: it is most likely a mistake.
        Some(secret) if secret.expose_secret().is_empty() => serializer.serialize_some(""),
        Some(_) => serializer.serialize_some(MASKED),
        None => serializer.serialize_none(),
    }
}

/// A file has lists; a variable is one text.
#[derive(Deserialize)]
#[serde(untagged, expecting = "it must be names of roles: a list, or in one text separated by commas")]
enum Names {
    List(Vec<String>),
    Text(String),
}

pub(super) fn roles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RoleName>, D::Error> {
    let names = match Names::deserialize(deserializer)? {
        Names::List(names) => names,
        Names::Text(text) if text.trim().is_empty() => Vec::new(),
        Names::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
    };
    names.iter().map(|name| name.parse().map_err(D::Error::custom)).collect()
}
