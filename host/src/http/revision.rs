//! Owns optimistic concurrency on the wire: a revision as an ETag, and `If-Match`.

use std::fmt;
use std::str::FromStr;

use kernex_model::codec::InvalidText;
use kernex_model::text_codec;
use poem::IntoResponse;
use poem::http::header;
use poem_openapi::ApiResponse;
use poem_openapi::param::Header;
use poem_openapi::registry::{MetaHeader, MetaResponses, Registry};
use poem_openapi::types::{ToJSON, Type};

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

text_codec!(ETag { pattern: PATTERN, max_length: 24, example: "\"3\"" });

/// The `If-Match` header, where it may be left out: `#[oai(name = "If-Match")] if_match: IfMatch`.
pub type IfMatch = Header<Option<ETag>>;

/// A body with the ETag of what it shows.
#[derive(Debug)]
pub struct Tagged<T>(Json<T>, ETag);

/// An answer whose ETag is `revision`.
pub fn tagged<T: ToJSON>(value: T, revision: u64) -> Tagged<T> {
    Tagged(Json(value), ETag(revision))
}

impl<T: ToJSON> IntoResponse for Tagged<T> {
    fn into_response(self) -> poem::Response {
        self.0.with_header(header::ETAG, self.1.to_string()).into_response()
    }
}

impl<T: ToJSON> ApiResponse for Tagged<T> {
    fn meta() -> MetaResponses {
        let mut meta = Json::<T>::meta();
        meta.responses.iter_mut().for_each(|response| {
            response.headers.push(MetaHeader {
                name: "ETag".to_owned(),
                description: Some("The revision, for `If-Match`.".to_owned()),
                required: true,
                deprecated: false,
                schema: ETag::schema_ref(),
            });
        });
        meta
    }

    fn register(registry: &mut Registry) {
        Json::<T>::register(registry);
    }
}
