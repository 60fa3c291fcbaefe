//! Owns how lists are asked for and answered: `limit`, `cursor`, and `{"items": [...], "next": ...}`.

use std::borrow::Cow;

use kernex_store::{Cursor, Listed, Page};
use poem_openapi::Object;
use poem_openapi::param::Query;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type};

use super::link::Linked;
use super::problem::Problem;

/// Items of one answer, at most.
pub const MAX_LIMIT: u16 = 1_000;
/// Items of one answer, where nothing else is asked.
pub const DEFAULT_LIMIT: u16 = 100;
/// Longest cursor, in bytes.
pub const MAX_CURSOR_BYTES: usize = 512;

/// How many items a list may answer at once: 1 to [`MAX_LIMIT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u16);

impl Type for Limit {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "integer_limit".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            minimum: Some(1.0),
            maximum: Some(f64::from(MAX_LIMIT)),
            default: Some(DEFAULT_LIMIT.into()),
            ..MetaSchema::new_with_format("integer", "uint16")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self::RawValueType> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self::RawElementValueType> + 'a> {
        Box::new(self.as_raw_value().into_iter())
    }
}

impl ParseFromParameter for Limit {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.map(Self).ok_or_else(|| ParseError::custom(format!("must be a number from 1 to {MAX_LIMIT}")))
    }
}

kernex_model::text!(/// What a list answered as `next`, as far as every list's is alike.
    CursorText { pattern: "^[A-Za-z0-9_-]+$", max_length: MAX_CURSOR_BYTES, example: "NDZmM2Q0M2YwMU02RE1CRQ", rule: |t| {
        t.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    } });

/// The `limit` parameter: `limit: LimitQuery`.
pub type LimitQuery = Query<Option<Limit>>;
/// The `cursor` parameter: `cursor: CursorQuery`.
pub type CursorQuery = Query<Option<CursorText>>;

/// The page that a request asks for.
///
/// # Errors
/// A [`Problem`] that names `cursor` where it is not one that a list answered.
pub fn page(limit: LimitQuery, cursor: CursorQuery) -> Result<Page, Problem> {
    let limit = limit.0.map_or(DEFAULT_LIMIT, |limit| limit.0);
    let wrong = |_| Problem::parameter("cursor", "not a cursor that this list answered");
    let after = cursor.0.map(|text| text.as_str().parse::<Cursor>()).transpose().map_err(wrong)?;
    Ok(Page { limit, after })
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Object)]
pub struct Listing<T: Type + ToJSON + ParseFromJSON> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The `cursor` of the next page; absent after the last.
    pub next: Option<String>,
}

/// What most lists answer: one page, and links to others.
pub type Paged<T> = Linked<Listing<T>>;

impl<T: Type + ToJSON + ParseFromJSON> From<Listed<T>> for Paged<T> {
    fn from(listed: Listed<T>) -> Self {
        let next = listed.next.map(|cursor| cursor.to_string());
        Self::new(Listing { items: listed.items, next: next.clone() }, next)
    }
}
