//! Owns what an answer gets after its handler: links, a validator and a content coding, in an order that matters.
//!
//! 1. Idempotency has kept the answer already (`envelope.rs`): plain, so that it can be given again in any coding.
//! 2. Links and the validator are made of the plain answer, which is the same for everybody who sees the same.
//! 3. The coding is chosen before the validator is compared, because a coded answer has a weak ETag and a 304
//!    must carry the one that the whole answer would have carried.
//! 4. What the client has is not compressed for it.
//! 5. The envelope writes the request's own headers last, on whatever came out.
//!
//! Errors pass by: each is about one request, is not kept, and is short.

use poem::http::{HeaderValue, Method, StatusCode, Uri, header};
use poem::web::CompressionAlgo;
use poem::{Body, Request, Response};
use poem_openapi::OperationId;

use super::{compressed, conditional, link};

/// Media types that compress well. Not `text/event-stream`: what compresses a stream holds its events back.
const COMPRESSIBLE: [&str; 3] = [JSON, "text/plain", "text/html"];
const JSON: &str = "application/json";
const NO_STORE: &str = "no-store";

/// What a request says of how it is to be answered.
#[derive(Debug)]
pub(super) struct Asked {
    method: Method,
    if_none_match: Vec<HeaderValue>,
    coding: Option<CompressionAlgo>,
}

impl Asked {
    /// Reads it off a request, which is gone when its answer is there.
    #[must_use]
    pub(super) fn of(request: &Request) -> Self {
        let headers = request.headers();
        Self {
            method: request.method().clone(),
            if_none_match: headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect(),
            coding: compressed::wanted(headers),
        }
    }

    /// The answer as it goes out, apart from the envelope's own headers. That to a HEAD is to have its body still,
    /// of which the headers tell; it goes here.
    ///
    /// # Errors
    /// Where the body cannot be read; it is in memory.
    pub(super) async fn present(self, target: &Uri, mut response: Response) -> poem::Result<Response> {
        link::add(target, &mut response);
        let Some(media_type) = shared(&response) else { return Ok(response) };
        let operation = response.data::<OperationId>().map_or("", |operation| operation.0);
        let validated = matches!(self.method, Method::GET | Method::HEAD)
            && media_type == JSON
            && response.status() == StatusCode::OK
            && !conditional::MOMENTARY.contains(&operation);
        let body = response.take_body().into_bytes().await?;
        let coding = self.coding.filter(|_| body.len() >= compressed::MIN_BYTES);
        let headers = response.headers_mut();
        compressed::vary(headers);
        if validated {
            conditional::validate(headers, &body);
        }
        if coding.is_some() {
            conditional::weaken(headers);
        }
        if validated
            && !conditional::BEYOND_REVISION.contains(&operation)
            && conditional::is_known(&self.if_none_match, headers)
        {
            return Ok(conditional::not_modified(response));
        }
        // Of the plain body: compression takes it away.
        response.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
        response.set_body(Body::from_bytes(body));
        let mut response = match coding {
            Some(coding) => compressed::compress(response, coding),
            None => response,
        };
        if self.method == Method::HEAD {
            response.set_body(Body::empty());
        }
        Ok(response)
    }
}

/// The media type of an answer that may be compressed and kept. An answer with a secret is not: the length of what
/// is compressed tells about the secret where somebody else chose what stands beside it (the BREACH attack).
fn shared(response: &Response) -> Option<&'static str> {
    let headers = response.headers();
    if headers.get(header::CACHE_CONTROL).is_some_and(|value| value == NO_STORE) {
        return None;
    }
    let media_type = response.content_type()?.split(';').next()?.trim();
    COMPRESSIBLE.into_iter().find(|known| media_type.eq_ignore_ascii_case(known))
}
