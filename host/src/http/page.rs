//! Owns how lists are asked for and answered: `limit`, `cursor`, and `{"items": [...], "next": ...}`.

use std::fmt;
use std::str::FromStr;

use kernex_model::codec::InvalidText;
use kernex_model::text_codec;
use kernex_store::{Cursor, Listed, Page};
use poem_openapi::Object;
use poem_openapi::param::Query;
use poem_openapi::types::{ParseFromJSON, ToJSON, Type};

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

const LIMIT_PATTERN: &str = "^[1-9][0-9]{0,3}$";

impl FromStr for Limit {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)).map(Self).ok_or(InvalidText {
            what: "limit (1 to 1000)",
            pattern: LIMIT_PATTERN,
            max_length: 4,
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_codec!(Limit { pattern: LIMIT_PATTERN, max_length: 4, example: "100" });

/// The `limit` parameter: `limit: LimitQuery`.
pub type LimitQuery = Query<Option<Limit>>;
/// The `cursor` parameter: `cursor: CursorQuery`.
pub type CursorQuery = Query<Option<String>>;

/// The page that a request asks for.
///
/// # Errors
/// A [`Problem`] that names `cursor` where it is not one that a list answered.
pub fn page(limit: LimitQuery, cursor: CursorQuery) -> Result<Page, Problem> {
    let limit = limit.0.map_or(DEFAULT_LIMIT, |limit| limit.0);
    let wrong = || Problem::parameter("cursor", "not a cursor that this list answered");
    let after = match cursor.0 {
        None => None,
        Some(text) if text.len() > MAX_CURSOR_BYTES => return Err(wrong()),
        Some(text) => Some(text.parse::<Cursor>().map_err(|_| wrong())?),
    };
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
