//! Owns optimistic concurrency on the wire: a revision as an ETag, and `If-Match`.

use std::fmt;
use std::str::FromStr;

use kernex_model::codec::InvalidText;
use kernex_model::text_codec;
use poem_openapi::param::Header;
use poem_openapi::payload::Response;
use poem_openapi::types::ToJSON;

use super::body::Json;

/// A revision as it stands in `ETag` and `If-Match`: a quoted number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ETag(pub u64);

const PATTERN: &str = "^(W/)?\"[0-9]{1,20}\"$";

impl FromStr for ETag {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.trim()
            .trim_start_matches("W/")
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or(InvalidText { what: "ETag", pattern: PATTERN, max_length: 24 })
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

text_codec!(ETag { pattern: PATTERN, max_length: 24, example: "\"7\"" });

/// The `If-Match` header, where it may be left out: `#[oai(name = "If-Match")] if_match: IfMatch`.
pub type IfMatch = Header<Option<ETag>>;

/// A body with the ETag of what it shows.
pub type Tagged<T> = Response<Json<T>>;

/// An answer whose ETag is `revision`.
pub fn tagged<T: ToJSON>(value: T, revision: u64) -> Tagged<T> {
    Response::new(Json(value)).header("ETag", ETag(revision).to_string())
}
