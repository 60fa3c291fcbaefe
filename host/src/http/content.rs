//! Owns how content goes out and its digest comes in: RFC 9110 ranges and preconditions, RFC 9530 digests.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kernex_model::digest::Digest;
use poem::http::{HeaderMap, HeaderName, StatusCode, header};
use poem::{Body, IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{
    MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};

use super::conditional::{names, opaque};
use super::problem::Problem;
use crate::app::AppError;
use crate::app::bundles::Content;

/// RFC 9530: the digest of the whole content, also where a part of it is sent.
pub(super) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// A bundle's content, or a part of it, or word that the client has it.
#[derive(Debug)]
pub(super) struct ContentAnswer(Response);

/// What of the content is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    /// The client has it.
    Nothing,
}

/// Answers with what `headers` ask for of the content.
///
/// # Errors
/// 412 where `If-Match` names other content, 416 where no byte of the range exists.
pub(super) async fn answer(content: Content, headers: &HeaderMap) -> Result<ContentAnswer, Problem> {
    let bundle = &content.bundle;
    let etag = format!("\"{}\"", bundle.sha256);
    let head = Response::builder()
        .header(header::ETAG, &etag)
        .header(REPR_DIGEST, repr_digest(&bundle.sha256))
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CACHE_CONTROL, "private, no-transform");
    let (status, range) = match wanted(headers, &etag, bundle.size)? {
        Wanted::Nothing => return Ok(ContentAnswer(head.status(StatusCode::NOT_MODIFIED).body(()))),
        Wanted::Whole => (StatusCode::OK, 0..bundle.size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
    };
    // An attachment: whoever uploads a page must not have it run beside the API's own documentation.
    let mut head = head
        .status(status)
        .content_type(bundle.media_type.as_str())
        .header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}-{}\"", bundle.name, bundle.version))
        .header(header::CONTENT_LENGTH, range.end - range.start);
    if status == StatusCode::PARTIAL_CONTENT {
        head = head.header(header::CONTENT_RANGE, format!("bytes {}-{}/{}", range.start, range.end - 1, bundle.size));
    }
    let stream = content.read(range).await?;
    Ok(ContentAnswer(head.body(Body::from_bytes_stream(stream))))
}

/// RFC 9110, section 13.2.2: the order in which preconditions count.
fn wanted(headers: &HeaderMap, etag: &str, size: u64) -> Result<Wanted, AppError> {
    if headers.contains_key(header::IF_MATCH) && !names(headers.get_all(header::IF_MATCH), |tag| tag == etag) {
        return Err(AppError::Stale);
    }
    if names(headers.get_all(header::IF_NONE_MATCH), |tag| opaque(tag) == etag) {
        return Ok(Wanted::Nothing);
    }
    let mut ranges = headers.get_all(header::RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Ok(Wanted::Whole) };
    // A date never matches: content is known by its digest alone.
    if headers.get(header::IF_RANGE).is_some_and(|value| value.as_bytes() != etag.as_bytes()) {
        return Ok(Wanted::Whole);
    }
    match range.to_str().ok().and_then(|text| part(text, size)) {
        None => Ok(Wanted::Whole),
        Some(range) if range.is_empty() => Err(AppError::RangeNotSatisfiable { size }),
        Some(range) => Ok(Wanted::Part(range)),
    }
}

/// The one part that a `Range` asks for; empty where no byte of it exists. `None` where the header is to
/// be ignored, as RFC 9110 has it for what cannot be read and lets us for several parts at once.
fn part(text: &str, size: u64) -> Option<Range<u64>> {
    let (unit, range) = text.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    if first.is_empty() {
        return Some(size.saturating_sub(number(last)?)..size);
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    let end = last.saturating_add(1).min(size);
    Some(first.min(end)..end)
}

/// A number of any length: what is too large for us is larger than any content.
fn number(digits: &str) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// A digest as `Repr-Digest` writes it.
#[must_use]
pub(super) fn repr_digest(digest: &Digest) -> String {
    format!("sha-256=:{}:", BASE64.encode(digest.0))
}

/// The SHA-256 in a `Repr-Digest`; `None` where it names only others, which a server may ignore.
///
/// # Errors
/// A [`Problem`] where it is not written as RFC 9530 says.
pub(super) fn parse_repr_digest(text: &str) -> Result<Option<Digest>, Problem> {
    let wrong = || Problem::parameter("Repr-Digest", "write `sha-256=:<the digest in base64>:`");
    let mut found = None;
    for member in text.split(',') {
        let (algorithm, value) = member.trim().split_once('=').ok_or_else(wrong)?;
        if algorithm != "sha-256" {
            continue;
        }
        let bytes =
            value.strip_prefix(':').and_then(|value| value.strip_suffix(':')).and_then(|text| BASE64.decode(text).ok());
        found = Some(Digest(bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)?));
    }
    Ok(found)
}

impl IntoResponse for ContentAnswer {
    fn into_response(self) -> Response {
        self.0
    }
}

impl ApiResponse for ContentAnswer {
    fn meta() -> MetaResponses {
        let text = || MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")));
        let header = |name: &str, description: &str| MetaHeader {
            name: name.to_owned(),
            description: Some(description.to_owned()),
            required: true,
            deprecated: false,
            schema: text(),
        };
        let etag = || header("ETag", "The content's SHA-256, in quotation marks.");
        let digest = || header("Repr-Digest", "The SHA-256 of the whole content, as RFC 9530 writes it.");
        let binary = || MetaMediaType {
            content_type: "application/octet-stream",
            schema: MetaSchemaRef::Inline(Box::new(MetaSchema { format: Some("binary"), ..MetaSchema::new("string") })),
        };
        let response = |status, description, content, headers| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content,
            headers,
        };
        MetaResponses {
            responses: vec![
                response(200, "The whole content, with its own media type.", vec![binary()], vec![etag(), digest()]),
                response(
                    206,
                    "The part that `Range` asked for.",
                    vec![binary()],
                    vec![etag(), digest(), header("Content-Range", "Which part.")],
                ),
                response(304, "The client has it: `If-None-Match` names it.", Vec::new(), vec![etag()]),
            ],
        }
    }

    fn register(_: &mut Registry) {}
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    const ETAG: &str = "\"abc\"";

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_str(value).expect("a header's value"));
        }
        headers
    }

    #[test]
    fn ranges_are_read_as_rfc_9110_has_them() {
        for (text, expected) in [
            ("bytes=0-0", Some(0..1)),
            ("bytes=0-99", Some(0..100)),
            ("bytes=0-1000", Some(0..100)),
            ("bytes=90-", Some(90..100)),
            ("Bytes = 10-19", Some(10..20)),
            ("bytes=-1", Some(99..100)),
            ("bytes=-1000", Some(0..100)),
            ("bytes=99-99999999999999999999999", Some(99..100)),
            // No byte of it exists.
            ("bytes=-0", Some(100..100)),
            ("bytes=100-", Some(100..100)),
            ("bytes=99999999999999999999999-", Some(100..100)),
            // Ignored: unreadable, of another unit, or several.
            ("bytes=2-1", None),
            ("bytes=", None),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("bytes=+1-2", None),
            ("items=0-1", None),
            ("bytes=0-1,5-6", None),
            ("0-1", None),
        ] {
            assert_eq!(part(text, 100), expected, "{text}");
        }
    }

    #[test]
    fn preconditions_count_in_their_order() {
        let of = |pairs: &[(HeaderName, &str)]| wanted(&headers(pairs), ETAG, 100);
        assert!(matches!(of(&[]), Ok(Wanted::Whole)));
        assert!(matches!(of(&[(header::RANGE, "bytes=0-1")]), Ok(Wanted::Part(range)) if range == (0..2)));
        assert!(matches!(of(&[(header::RANGE, "bytes=100-")]), Err(AppError::RangeNotSatisfiable { size: 100 })));
        assert!(matches!(of(&[(header::RANGE, "bytes=0-1"), (header::RANGE, "bytes=5-6")]), Ok(Wanted::Whole)));
        for (tag, same) in [(ETAG, true), ("W/\"abc\"", true), ("\"x\", \"abc\"", true), ("*", true), ("\"x\"", false)]
        {
            assert_eq!(matches!(of(&[(header::IF_NONE_MATCH, tag)]), Ok(Wanted::Nothing)), same, "{tag}");
        }
        assert!(matches!(of(&[(header::IF_NONE_MATCH, ETAG), (header::RANGE, "bytes=0-1")]), Ok(Wanted::Nothing)));
        assert!(matches!(of(&[(header::IF_RANGE, ETAG), (header::RANGE, "bytes=0-1")]), Ok(Wanted::Part(_))));
        for other in ["\"x\"", "W/\"abc\"", "Sat, 21 Nov 2026 15:00:00 GMT"] {
            assert!(
                matches!(of(&[(header::IF_RANGE, other), (header::RANGE, "bytes=0-1")]), Ok(Wanted::Whole)),
                "{other}"
            );
        }
        assert!(matches!(of(&[(header::IF_MATCH, "\"x\"")]), Err(AppError::Stale)));
        assert!(matches!(of(&[(header::IF_MATCH, ETAG)]), Ok(Wanted::Whole)));
    }

    #[test]
    fn digests_read_back() {
        let digest = Digest::of(b"kernex");
        assert_eq!(parse_repr_digest(&repr_digest(&digest)).expect("our own form"), Some(digest));
        let both = format!("sha-512=:AAAA:, {}", repr_digest(&digest));
        assert_eq!(parse_repr_digest(&both).expect("two members"), Some(digest));
        assert_eq!(parse_repr_digest("md5=:AAAA:").expect("another algorithm"), None);
        for wrong in ["", "sha-256", "sha-256=AAAA", "sha-256=:AAAA:", "sha-256=:!:", "sha-256=::"] {
            assert!(parse_repr_digest(wrong).is_err(), "{wrong}");
        }
    }
}
