//! Owns how settings with a form of their own are read and shown: secrets, and lists in a variable.

use std::fmt::Display;
use std::str::FromStr;

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
#[serde(untagged, expecting = "it must be a list of texts, or one text with commas between them")]
enum Texts {
    List(Vec<String>),
    Text(String),
}

/// Anything that is written as text, in a list.
pub(super) fn list<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let texts = match Texts::deserialize(deserializer)? {
        Texts::List(texts) => texts,
        Texts::Text(text) if text.trim().is_empty() => Vec::new(),
        Texts::Text(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
    };
    texts.iter().map(|text| text.parse::<T>().map_err(D::Error::custom)).collect()
}

/// The way back of [`list`].
pub(super) fn texts<T: Display, S: Serializer>(list: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(ToString::to_string))
}
