//! Owns what is known of a device as key and value: labels (set by operators) and facts (reported by the device).

use std::borrow::Cow;
use std::collections::BTreeMap;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde::{Deserialize, Serialize};

use crate::policy::Value;

/// Labels one device may have.
pub const MAX_LABELS: usize = 64;
/// Facts one device may report.
pub const MAX_FACTS: usize = 64;
/// Bytes of one fact's text.
pub const MAX_FACT_BYTES: usize = 256;
/// Texts in one list fact.
pub const MAX_FACT_TEXTS: usize = 32;

/// What a key or a fact's name may be.
pub(crate) fn key(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'))
}

text!(/// A label's key. `fact.…`, `bundle.…` and `model` are kept for what the host itself knows.
    LabelKey { pattern: "^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length: 63, example: "channel", rule: |t| {
        key(t) && t != "model" && !t.starts_with("fact.") && !t.starts_with("bundle.")
    } });

text!(/// A label's value.
    LabelValue { pattern: r"^[^\s,()=!]+$", max_length: 128, example: "stable", rule: plain });

text!(/// A fact's name; selectors and policies write it with `fact.` in front.
    FactName { pattern: "^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length: 63, example: "os", rule: key });

/// What a selector can write as a value without quoting.
pub(crate) fn plain(text: &str) -> bool {
    !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, ',' | '(' | ')' | '=' | '!'))
}

/// A device's labels.
pub type Labels = BTreeMap<LabelKey, LabelValue>;
/// A device's facts.
pub type Facts = BTreeMap<FactName, FactValue>;

/// A fact's value in its plain JSON form: a string, number, boolean, or a list of strings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FactValue {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number of 64 bits.
    Integer(i64),
    /// A finite number.
    Real(f64),
    /// A text of at most [`MAX_FACT_BYTES`].
    Text(String),
    /// At most [`MAX_FACT_TEXTS`] texts.
    Texts(Vec<String>),
}

impl FactValue {
    /// The texts that a selector compares with: one, or each of a list.
    pub fn texts(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let (one, many): (Option<Cow<'_, str>>, &[String]) = match self {
            Self::Boolean(value) => (Some(Cow::Borrowed(if *value { "true" } else { "false" })), &[]),
            Self::Integer(value) => (Some(Cow::Owned(value.to_string())), &[]),
            Self::Real(value) => (Some(Cow::Owned(value.to_string())), &[]),
            Self::Text(value) => (Some(Cow::Borrowed(value)), &[]),
            Self::Texts(values) => (None, values),
        };
        one.into_iter().chain(many.iter().map(|text| Cow::Borrowed(text.as_str())))
    }

    /// As a policy sees it.
    #[must_use]
    pub fn to_policy(&self) -> Value {
        match self {
            Self::Boolean(value) => Value::Boolean(*value),
            Self::Integer(value) => Value::Integer(*value),
            Self::Real(value) => Value::Real(*value),
            Self::Text(value) => Value::Text(value.clone()),
            Self::Texts(values) => Value::Texts(values.clone()),
        }
    }

    fn within_limits(&self) -> bool {
        match self {
            Self::Boolean(_) | Self::Integer(_) => true,
            Self::Real(value) => value.is_finite(),
            Self::Text(text) => text.len() <= MAX_FACT_BYTES,
            Self::Texts(texts) => {
                texts.len() <= MAX_FACT_TEXTS && texts.iter().all(|text| text.len() <= MAX_FACT_BYTES)
            }
        }
    }
}

impl Type for FactValue {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "FactValue".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let one = |schema: MetaSchema| MetaSchemaRef::Inline(Box::new(schema));
        let mut text = MetaSchema::new("string");
        text.max_length = Some(MAX_FACT_BYTES);
        let mut texts = MetaSchema::new("array");
        texts.items = Some(Box::new(one(text.clone())));
        texts.max_items = Some(MAX_FACT_TEXTS);
        let mut schema = MetaSchema::ANY;
        schema.any_of = vec![
            one(text),
            one(MetaSchema::new_with_format("integer", "int64")),
            one(MetaSchema::new_with_format("number", "double")),
            one(MetaSchema::new("boolean")),
            one(texts),
        ];
        MetaSchemaRef::Inline(Box::new(schema))
    }

    fn as_raw_value(&self) -> Option<&Self::RawValueType> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self::RawElementValueType> + 'a> {
        Box::new(self.as_raw_value().into_iter())
    }
}

impl ParseFromJSON for FactValue {
    fn parse_from_json(value: Option<serde_json::Value>) -> ParseResult<Self> {
        let value: Self = serde_json::from_value(value.unwrap_or_default())
            .map_err(|_| ParseError::custom("a fact is a string, number, boolean or list of strings"))?;
        if value.within_limits() {
            Ok(value)
        } else {
            Err(ParseError::custom(format!(
                "a fact's text has at most {MAX_FACT_BYTES} bytes, its list at most {MAX_FACT_TEXTS} texts"
            )))
        }
    }
}

impl ToJSON for FactValue {
    fn to_json(&self) -> Option<serde_json::Value> {
        serde_json::to_value(self).ok()
    }
}
