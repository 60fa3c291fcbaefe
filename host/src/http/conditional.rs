//! Owns which JSON answers a client may keep, and word that it has the present one (RFC 9110, section 13.1.2).

use kernex_model::digest::Digest;
use poem::http::{HeaderMap, HeaderValue, StatusCode, header};
use poem::{Body, Response};

/// Operations whose answer is of the moment: nobody keeps it.
pub(super) const MOMENTARY: [&str; 2] = ["get_liveness", "get_readiness"];
/// Operations whose ETag is the revision, for `If-Match`, and does not tell all that is answered: a device's facts,
/// bundle and last heartbeat move without it, and one's own account is another for another caller. They are
/// answered whole each time.
pub(super) const BEYOND_REVISION: [&str; 2] = ["get_device", "get_current_user"];
/// Kept by the client itself alone, and asked for each time whether it is still so.
pub(super) const REVALIDATED: &str = "private, no-cache";

/// Says with the answer to a GET how to ask whether `body` is still the answer. An ETag that is there, a
/// revision, stays.
pub(super) fn validate(headers: &mut HeaderMap, body: &[u8]) {
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static(REVALIDATED));
    if !headers.contains_key(header::ETAG)
        // Weak, because it is the same for every coding of the body.
        && let Ok(tag) = HeaderValue::from_str(&format!("W/\"{}\"", Digest::of(body)))
    {
        headers.insert(header::ETAG, tag);
    }
}

/// A coded body is not byte for byte the one whose ETag this is, which is weak then. `If-Match` takes it as well.
pub(super) fn weaken(headers: &mut HeaderMap) {
    let strong = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| !tag.starts_with("W/"));
    if let Some(tag) = strong.and_then(|tag| HeaderValue::from_str(&format!("W/{tag}")).ok()) {
        headers.insert(header::ETAG, tag);
    }
}

/// Whether `if_none_match` names the answer's ETag. The comparison is weak.
pub(super) fn is_known(if_none_match: &[HeaderValue], headers: &HeaderMap) -> bool {
    let Some(etag) = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()) else { return false };
    names(if_none_match, |tag| opaque(tag) == opaque(etag))
}

/// The answer without its content: the client has that. What it says of the content goes, too; ETag,
/// `Cache-Control`, `Vary` and `Link` stay.
#[must_use]
pub(super) fn not_modified(mut response: Response) -> Response {
    response.set_status(StatusCode::NOT_MODIFIED);
    response.headers_mut().remove(header::CONTENT_TYPE);
    response.set_body(Body::empty());
    response
}

/// Whether a list of entity tags is `*` or has one that fits. Our tags hold no comma.
pub(super) fn names<'a>(values: impl IntoIterator<Item = &'a HeaderValue>, fits: impl Fn(&str) -> bool) -> bool {
    let texts = values.into_iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim).any(|tag| tag == "*" || fits(tag))
}

/// The tag without what says that it is weak.
pub(super) fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(etag: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ETAG, HeaderValue::from_static(etag))])
    }

    #[test]
    fn a_revision_stays_and_other_answers_get_a_digest() {
        let mut tagged = headers("\"7\"");
        validate(&mut tagged, b"a");
        assert_eq!(tagged[header::ETAG], "\"7\"");
        assert_eq!(tagged[header::CACHE_CONTROL], REVALIDATED);
        let of = |body: &[u8]| {
            let mut headers = HeaderMap::new();
            validate(&mut headers, body);
            headers[header::ETAG].clone()
        };
        assert_eq!(of(b"a"), of(b"a"));
        assert_ne!(of(b"a"), of(b"b"));
        assert!(of(b"a").to_str().is_ok_and(|tag| tag.starts_with("W/\"") && tag.len() == 68));
    }

    #[test]
    fn comparison_is_weak() {
        for (sent, etag, same) in [
            ("\"7\"", "\"7\"", true),
            ("W/\"7\"", "\"7\"", true),
            ("\"7\"", "W/\"7\"", true),
            ("\"6\", W/\"7\"", "\"7\"", true),
            ("*", "\"7\"", true),
            ("\"8\"", "\"7\"", false),
            ("7", "\"7\"", false),
            ("", "\"7\"", false),
        ] {
            assert_eq!(is_known(&[HeaderValue::from_static(sent)], &headers(etag)), same, "{sent} and {etag}");
        }
        assert!(!is_known(&[HeaderValue::from_static("*")], &HeaderMap::new()), "without an ETag there is no 304");
    }

    #[test]
    fn what_is_weak_stays_so() {
        for (before, after) in [("\"7\"", "W/\"7\""), ("W/\"7\"", "W/\"7\"")] {
            let mut headers = headers(before);
            weaken(&mut headers);
            assert_eq!(headers[header::ETAG], after);
        }
    }
}
