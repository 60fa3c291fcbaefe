//! Owns the `Link` header of a list's answer (RFC 8288): where the next page is, and the first one.

use std::fmt::Write as _;

use poem::http::{HeaderValue, Uri, header};
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaHeader, MetaResponses, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::ToJSON;

use super::body::Json;

/// An answer that is one page of a list; its `Link` header says where others are.
#[derive(Debug)]
pub struct Linked<T> {
    body: T,
    next: NextPage,
}

/// What a page leaves with its answer for [`add`], which knows what was asked: the next page's cursor.
#[derive(Debug, Clone)]
struct NextPage(Option<String>);

impl<T> Linked<T> {
    /// `next` is the cursor of the page after this one.
    #[must_use]
    pub fn new(body: T, next: Option<String>) -> Self {
        Self { body, next: NextPage(next) }
    }
}

impl<T: ToJSON> IntoResponse for Linked<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        response.set_data(self.next);
        response
    }
}

impl<T: ToJSON> ApiResponse for Linked<T> {
    fn meta() -> MetaResponses {
        let mut meta = Json::<T>::meta();
        let link = || MetaHeader {
            name: "Link".to_owned(),
            description: Some(
                "RFC 8288: the next page (`rel=\"next\"`), unless this is the last, and the first (`rel=\"first\"`), \
                 where a cursor was given."
                    .to_owned(),
            ),
            required: false,
            deprecated: false,
            schema: MetaSchemaRef::Inline(Box::new(MetaSchema::new("string"))),
        };
        for response in &mut meta.responses {
            response.headers.push(link());
        }
        meta
    }

    fn register(registry: &mut Registry) {
        <Json<T> as ApiResponse>::register(registry);
    }
}

/// Adds the header to an answer that is a page of the list at `target`.
pub(super) fn add(target: &Uri, response: &mut Response) {
    let Some(NextPage(next)) = response.data() else { return };
    if let Some(value) = links(target, next.as_deref()) {
        response.headers_mut().insert(header::LINK, value);
    }
}

fn links(target: &Uri, next: Option<&str>) -> Option<HeaderValue> {
    let pairs = || target.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let is_cursor = |pair: &&str| *pair == "cursor" || pair.starts_with("cursor=");
    let others: Vec<&str> = pairs().filter(|pair| !is_cursor(pair)).collect();
    let mut links = Vec::new();
    if let Some(next) = next {
        // In front: should the client have written the parameter's name in another way, the first one counts.
        let cursor = format!("cursor={next}");
        let query: Vec<&str> = std::iter::once(cursor.as_str()).chain(others.iter().copied()).collect();
        links.push(link(target.path(), &query, "next"));
    }
    if pairs().any(|pair| is_cursor(&pair)) {
        links.push(link(target.path(), &others, "first"));
    }
    (!links.is_empty()).then(|| HeaderValue::from_str(&links.join(", ")).ok())?
}

fn link(path: &str, query: &[&str], relation: &str) -> String {
    let mut link = String::from("<");
    push_encoded(&mut link, path);
    if !query.is_empty() {
        link.push('?');
        push_encoded(&mut link, &query.join("&"));
    }
    link.push_str(">; rel=\"");
    link.push_str(relation);
    link.push('"');
    link
}

/// What a client wrote without encoding is let in by the server; a URI reference (RFC 3986) has none of it.
fn push_encoded(link: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte) {
            link.push(char::from(byte));
        } else {
            let _ = write!(link, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(target: &str, next: Option<&str>) -> Option<String> {
        let value = links(&target.parse().expect("a target"), next)?;
        Some(value.to_str().expect("visible ASCII").to_owned())
    }

    #[test]
    fn the_query_stays_and_the_cursor_moves() {
        for (target, next, expected) in [
            ("/a", None, None),
            ("/a?limit=2", None, None),
            ("/a", Some("x"), Some("</a?cursor=x>; rel=\"next\"")),
            ("/a?limit=2&q=b%3Dc", Some("x"), Some("</a?cursor=x&limit=2&q=b%3Dc>; rel=\"next\"")),
            (
                "/a?limit=2&cursor=w&q=b",
                Some("x"),
                Some("</a?cursor=x&limit=2&q=b>; rel=\"next\", </a?limit=2&q=b>; rel=\"first\""),
            ),
            ("/a?cursor=w", None, Some("</a>; rel=\"first\"")),
            ("/a?cursors=w", None, None),
            ("/a?%63ursor=w", Some("x"), Some("</a?cursor=x&%63ursor=w>; rel=\"next\"")),
        ] {
            assert_eq!(of(target, next).as_deref(), expected, "{target}");
        }
    }

    #[test]
    fn what_no_uri_has_is_encoded() {
        let expected = "</a?cursor=x&q=m%C3%BCnchen&r=%7B%5E>; rel=\"next\"";
        assert_eq!(of("/a?q=münchen&r={^", Some("x")).as_deref(), Some(expected));
    }
}
