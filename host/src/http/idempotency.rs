//! Owns `Idempotency-Key` on the wire: what makes two calls the same, and how an answer is kept and given again.

use std::sync::Arc;

use kernex_model::digest::Digest;
use kernex_model::id::RequestId;
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Body, Request, Response};
use poem_openapi::OperationId;
use serde::{Deserialize, Serialize};

use super::body::MAX_JSON_BYTES;
use super::caller::address;
use super::content::{REPR_DIGEST, parse_repr_digest};
use super::problem::Problem;
use crate::app::idempotency::Claim;
use crate::app::{App, Caller};

/// The header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 255;
/// Longest answer that is kept, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Operations whose answer holds a secret, which is not written down.
const SECRET: [&str; 2] = ["create_api_key", "invite_user"];
/// Paths that make tokens and nothing else: sending them again makes others, and does no harm.
const TOKENS: [&str; 3] = ["/api/v1/auth/login", "/api/v1/auth/refresh", "/api/v1/device/token"];
/// Headers of an answer that are kept.
const KEPT: [HeaderName; 3] = [header::CONTENT_TYPE, header::LOCATION, header::ETAG];

/// A call that was claimed, to be ended by [`Ticket::end`].
#[derive(Debug)]
pub(super) struct Ticket {
    app: Arc<App>,
    name: Digest,
}

/// What becomes of a call.
pub(super) enum Begun {
    /// It runs.
    Run(Option<Ticket>),
    /// It was answered before.
    Replay(Response),
}

/// An answer as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    /// `None` where it held a secret, or was too long.
    body: Option<String>,
    /// Whether it was too long to be kept.
    #[serde(default)]
    long: bool,
}

/// Claims the key of a call, if it has one. `streams`: its body is not read here.
pub(super) async fn begin(app: &Arc<App>, id: RequestId, request: &mut Request, streams: bool) -> poem::Result<Begun> {
    if *request.method() != Method::POST || TOKENS.contains(&request.uri().path()) {
        return Ok(Begun::Run(None));
    }
    let Some(key) = request.headers().get(&IDEMPOTENCY_KEY) else { return Ok(Begun::Run(None)) };
    let key = key.to_str().unwrap_or_default().to_owned();
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        let detail = format!("`Idempotency-Key` has 1 to {MAX_KEY_BYTES} visible ASCII characters");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid-idempotency-key", detail).into());
    }
    let Some(caller) = caller(app, id, request).await else {
        // The call itself will say what is wrong with the credentials.
        return Ok(Begun::Run(None));
    };
    let fingerprint = fingerprint(request, &key, streams).await?;
    match app.claim_key(&caller, &key, fingerprint).await.map_err(Problem::from)? {
        Claim::Runs(name) => Ok(Begun::Run(Some(Ticket { app: app.clone(), name }))),
        Claim::Answered(text) => replay(&text).map(Begun::Replay),
    }
}

async fn caller(app: &App, id: RequestId, request: &Request) -> Option<Caller> {
    match request.headers().get(header::AUTHORIZATION) {
        None => Some(Caller::anonymous(Some(id), address(request))),
        Some(value) => {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            if !scheme.eq_ignore_ascii_case("bearer") {
                return None;
            }
            app.authenticate(token.trim(), Some(id), address(request)).await.ok()
        }
    }
}

/// Two calls are the same where their target and body are. A body that streams is known by its digest, which the call
/// itself compares with what comes.
///
/// The key is part of it: a body may hold a password, whose digest alone could be guessed from.
async fn fingerprint(request: &mut Request, key: &str, streams: bool) -> poem::Result<Digest> {
    let target = request.uri().to_string();
    let body = if streams {
        let media_type = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        [announced(request.headers())?.0.as_slice(), media_type].concat()
    } else {
        let bytes = request.take_body().into_bytes_limit(MAX_JSON_BYTES).await?;
        request.set_body(Body::from_bytes(bytes.clone()));
        bytes.to_vec()
    };
    Ok(Digest::of_parts(&[key.as_bytes(), target.as_bytes(), &body]))
}

/// The SHA-256 that an upload announces.
fn announced(headers: &HeaderMap) -> Result<Digest, Problem> {
    let text = headers.get(REPR_DIGEST).and_then(|value| value.to_str().ok());
    text.map(parse_repr_digest).transpose()?.flatten().ok_or_else(|| {
        let detail = "with `sha-256` is required beside `Idempotency-Key`: an upload is known by its digest";
        Problem::field("repr-digest-required", "Repr-Digest", detail)
    })
}

fn replay(text: &str) -> poem::Result<Response> {
    let answer: Answer = serde_json::from_str(text).map_err(|_| Problem::internal())?;
    let Some(body) = answer.body else {
        let (code, why) = if answer.long {
            ("idempotency-not-kept", format!("had more than {MAX_ANSWER_BYTES} bytes and was not kept"))
        } else {
            ("idempotency-secret", "held a secret, which is shown once".to_owned())
        };
        let detail = format!("the first call with this key was done; its answer {why}");
        return Err(Problem::new(StatusCode::CONFLICT, code, detail).into());
    };
    let status = StatusCode::from_u16(answer.status).map_err(|_| Problem::internal())?;
    let mut response = Response::builder().status(status).body(body);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

impl Ticket {
    /// Keeps the answer of a call that was done; gives the key of one that was refused back.
    pub(super) async fn end(self, answer: poem::Result<Response>) -> poem::Result<Response> {
        let mut response = match answer {
            Ok(response) if response.status().is_success() => response,
            refused => {
                self.app.release_key(self.name).await;
                return refused;
            }
        };
        let secret = response.data::<OperationId>().is_some_and(|operation| SECRET.contains(&operation.0));
        let bytes = response.take_body().into_bytes().await?;
        let text = std::str::from_utf8(&bytes).ok().filter(|_| !secret && bytes.len() <= MAX_ANSWER_BYTES);
        let header = |name: &HeaderName| {
            let value = response.headers().get(name)?.to_str().ok()?.to_owned();
            Some((name.to_string(), value))
        };
        let kept = Answer {
            status: response.status().as_u16(),
            headers: KEPT.iter().filter_map(header).collect(),
            body: text.map(ToOwned::to_owned),
            long: !secret && text.is_none(),
        };
        if let Ok(kept) = serde_json::to_string(&kept) {
            self.app.answer_key(self.name, kept).await;
        }
        response.set_body(Body::from_bytes(bytes));
        Ok(response)
    }
}
