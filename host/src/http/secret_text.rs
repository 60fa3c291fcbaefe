//! Owns secrets in request bodies: passwords and tokens, which no log, error or answer repeats.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use secrecy::SecretString;
use serde_json::Value;

/// Longest secret that is looked at, in bytes; a password has a limit of its own.
pub const MAX_SECRET_BYTES: usize = 4_096;

/// A secret that a client sends.
pub struct SecretText(pub SecretString);

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText")
    }
}

impl Type for SecretText {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_secret".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let mut schema = MetaSchema::new_with_format("string", "password");
        schema.max_length = Some(MAX_SECRET_BYTES);
        MetaSchemaRef::Inline(Box::new(schema))
    }

    fn as_raw_value(&self) -> Option<&Self::RawValueType> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self::RawElementValueType> + 'a> {
        Box::new(self.as_raw_value().into_iter())
    }
}

impl ParseFromJSON for SecretText {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(text)) if text.len() <= MAX_SECRET_BYTES => Ok(Self(text.into())),
            _ => Err(ParseError::custom(format!("expected a string of at most {MAX_SECRET_BYTES} bytes"))),
        }
    }
}

impl ToJSON for SecretText {
    fn to_json(&self) -> Option<Value> {
        None
    }
}
