//! Owns calls to a server's API: JSON in and out, problem documents as errors, patience with a busy server.

use std::time::Duration;

use kernex_client::Bearer;
use kernex_client::types::Problem;
use rand::Rng;
use reqwest::header::{ETAG, HeaderMap, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::listing::one_line;

/// How long one call may take, in seconds: longer than a server lets any. Transfers of bundles have no such limit.
const CALL_TIMEOUT: Duration = Duration::from_secs(100);
/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait before a call is tried again.
const MAX_BACKOFF: Duration = Duration::from_secs(20);
/// Bytes of an answer that are read: more than the longest page of a list has.
const MAX_ANSWER_BYTES: usize = 256 << 20;
/// Bytes of an error's body that are read.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// Bytes of an error that are shown where it is no problem document.
const MAX_SHOWN_BYTES: usize = 4_096;

/// Why a call gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApiError {
    /// The server's address is none.
    #[error("`{0}` is no address of a server; it looks like http://127.0.0.1:8080")]
    Address(String),
    /// The server was not reached, or went away.
    #[error("cannot reach the server: {0}")]
    Transport(String),
    /// The server refused. What it says may be a plugin's sentence, or a device's.
    #[error("{} ({status} {})", one_line(.detail), one_line(.code))]
    Problem {
        /// The HTTP status.
        status: u16,
        /// The problem's stable code.
        code: String,
        /// The problem's sentence, with those of its fields.
        detail: String,
        /// When to try again, where the server said so.
        retry_after: Option<Duration>,
    },
    /// The answer is not what it should be.
    #[error("the server's answer is not understood: {}", one_line(.0))]
    Unreadable(String),
    /// The login is not renewed, because another command renews it and does not come to an end.
    #[error("another command has been renewing the login for {} seconds; try again", .0.as_secs())]
    LoginBusy(Duration),
}

impl ApiError {
    /// Whether the server answered with this status.
    #[must_use]
    pub fn is(&self, status: StatusCode) -> bool {
        matches!(self, Self::Problem { status: given, .. } if *given == status.as_u16())
    }

    /// Whether the server refused with this code.
    pub(super) fn has_code(&self, code: &str) -> bool {
        matches!(self, Self::Problem { code: given, .. } if given == code)
    }

    /// Whether the same call may succeed a little later, and when.
    pub(super) fn passing(&self) -> Option<Option<Duration>> {
        match self {
            Self::Transport(_) | Self::LoginBusy(_) => Some(None),
            Self::Problem { status: 429 | 502..=504, retry_after, .. } => Some(*retry_after),
            Self::Problem { .. } | Self::Address(_) | Self::Unreadable(_) => None,
        }
    }
}

/// The API of one server. A clone shares the connections.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: Client,
    base: Url,
    attempts: u32,
}

impl From<kernex_client::Error<Problem>> for ApiError {
    fn from(error: kernex_client::Error<Problem>) -> Self {
        match error {
            kernex_client::Error::ErrorResponse(refusal) => {
                let retry_after = retry_after(refusal.headers());
                let problem = refusal.into_inner();
                let fields = problem.errors.into_iter().flatten();
                let detail = fields
                    .fold(problem.detail, |detail, field| format!("{detail}; {}: {}", field.pointer, field.detail));
                Self::Problem { status: problem.status, code: problem.code, detail, retry_after }
            }
            kernex_client::Error::CommunicationError(error) => Self::Transport(chain(&error)),
            error => Self::Unreadable(chain(&error)),
        }
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct ProblemDocument {
    title: String,
    detail: String,
    code: String,
    errors: Vec<ProblemField>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct ProblemField {
    pointer: String,
    detail: String,
}

impl Api {
    /// The API of the server at `server`, such as `http://127.0.0.1:8080`. A call that meets a busy or
    /// absent server is made up to `attempts` times.
    ///
    /// # Errors
    /// Where the address is none.
    pub(crate) fn new(server: &str, attempts: u32) -> Result<Self, ApiError> {
        let base = address(server).ok_or_else(|| ApiError::Address(server.to_owned()))?;
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("kernex/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ApiError::Transport(chain(&error)))?;
        Ok(Self { http, base, attempts: attempts.max(1) })
    }

    /// The server's address, without a slash at its end.
    pub(crate) fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether `server` is the address of this server, however it is written.
    pub(crate) fn is_at(&self, server: &str) -> bool {
        let path = |url: &Url| url.path().trim_end_matches('/').to_owned();
        address(server).is_some_and(|url| url.origin() == self.base.origin() && path(&url) == path(&self.base))
    }

    /// The generated client of the same server, over the same connections, for a caller.
    pub(crate) fn client(&self, bearer: Bearer) -> kernex_client::Client {
        kernex_client::Client::new_with_client(self.address(), self.http.clone(), bearer)
    }

    /// A request for a path on the server, such as `/api/v1/devices`.
    ///
    /// # Errors
    /// Where the path is none.
    pub(crate) fn request(&self, method: Method, path: &str, token: Option<&str>) -> Result<RequestBuilder, ApiError> {
        let url = self.base.join(path).map_err(|_| ApiError::Address(path.to_owned()))?;
        // A path that leads to another server would be given this one's token.
        if url.origin() != self.base.origin() {
            return Err(ApiError::Address(path.to_owned()));
        }
        let request = self.http.request(method, url);
        Ok(match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    /// GET, JSON out.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, token: Option<&str>) -> Result<T, ApiError> {
        self.get_with(path, token, &[]).await
    }

    /// GET with these pairs in the query, JSON out.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn get_with<T: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&str>,
        query: &[(&str, String)],
    ) -> Result<T, ApiError> {
        self.patiently(|| async {
            decode(self.send(self.request(Method::GET, path, token)?.query(query)).await?).await
        })
        .await
    }

    /// The entity tag of what is at a path, for a change that does not overwrite another one.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn tag(&self, path: &str, token: Option<&str>) -> Result<HeaderValue, ApiError> {
        self.patiently(|| async {
            let read = self.send(self.request(Method::GET, path, token)?).await?;
            read.headers().get(ETAG).cloned().ok_or_else(|| ApiError::Unreadable("it has no ETag".to_owned()))
        })
        .await
    }

    /// POST, JSON in and out.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&str>,
        body: &B,
    ) -> Result<T, ApiError> {
        self.patiently(|| async { decode(self.send(self.request(Method::POST, path, token)?.json(body)).await?).await })
            .await
    }

    /// POST of something that must be done once, JSON in and out: what is sent again has the same key.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn post_once<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&str>,
        body: &B,
    ) -> Result<T, ApiError> {
        let key = format!("{:032x}", rand::rng().random::<u128>());
        self.patiently(|| async {
            let request = self.request(Method::POST, path, token)?;
            decode(self.send(request.header("idempotency-key", &key).json(body)).await?).await
        })
        .await
    }

    /// Sends a request within the time of one call, JSON out. Not tried again: nobody knows what became of a change
    /// whose answer was lost.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ApiError> {
        limited(async { decode(self.send(request).await?).await }).await
    }

    /// Sends a request and makes an error of every answer that is none. Not tried again, and without a limit on time.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, ApiError> {
        let response = request.send().await.map_err(|error| ApiError::Transport(chain(&error)))?;
        if response.status().is_success() { Ok(response) } else { Err(problem(response).await) }
    }

    /// Makes a call again where it met a busy or absent server.
    ///
    /// # Errors
    /// [`ApiError`], of the last attempt.
    pub(crate) async fn patiently<T, F>(&self, call: impl Fn() -> F) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        let mut attempt = 1;
        loop {
            let error = match limited(call()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(wait) = error.passing().filter(|_| attempt < self.attempts) else { return Err(error) };
            tokio::time::sleep(wait.unwrap_or_else(|| backoff(attempt)).min(MAX_BACKOFF)).await;
            attempt += 1;
        }
    }
}

/// The address of a server, where it is one.
fn address(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// A call, or that it took too long.
async fn limited<T>(call: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let ended = tokio::time::timeout(CALL_TIMEOUT, call).await;
    ended.unwrap_or_else(|_| Err(ApiError::Transport("no answer in time".to_owned())))
}

/// 0.2 s, doubled with each attempt, with full jitter: a fleet must not come back all at once.
fn backoff(attempt: u32) -> Duration {
    let most_ms = 200_u64 << attempt.min(7);
    Duration::from_millis(rand::rng().random_range(most_ms / 4..=most_ms))
}

/// An empty body is read as `null`, which is what callers expect that ask for `()`.
///
/// # Errors
/// [`ApiError`].
pub(super) async fn decode<T: DeserializeOwned>(response: Response) -> Result<T, ApiError> {
    let (body, whole) =
        beginning(response, MAX_ANSWER_BYTES).await.map_err(|error| ApiError::Transport(chain(&error)))?;
    if !whole {
        return Err(ApiError::Unreadable(format!("it is longer than {MAX_ANSWER_BYTES} bytes")));
    }
    let body: &[u8] = if body.is_empty() { b"null" } else { &body };
    serde_json::from_slice(body).map_err(|error| ApiError::Unreadable(error.to_string()))
}

/// What a body begins with, up to `limit` bytes, and whether that is all of it.
async fn beginning(mut response: Response, limit: usize) -> reqwest::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        match chunk.get(..limit.saturating_sub(bytes.len())) {
            Some(fits) if fits.len() < chunk.len() => {
                bytes.extend_from_slice(fits);
                return Ok((bytes, false));
            }
            Some(_) | None => bytes.extend_from_slice(&chunk),
        }
    }
    Ok((bytes, true))
}

async fn problem(response: Response) -> ApiError {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    // What could not be read of it is not worth an error of its own.
    let (body, _) = beginning(response, MAX_ERROR_BYTES).await.unwrap_or_default();
    let document: ProblemDocument = serde_json::from_slice(&body).unwrap_or_else(|_| ProblemDocument {
        detail: String::from_utf8_lossy(body.get(..MAX_SHOWN_BYTES).unwrap_or(&body)).into_owned(),
        ..ProblemDocument::default()
    });
    let mut detail = if document.detail.is_empty() { document.title } else { document.detail };
    for field in document.errors {
        detail.push_str(&format!("; {}: {}", field.pointer, field.detail));
    }
    ApiError::Problem { status: status.as_u16(), code: document.code, detail, retry_after }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// reqwest's own text leaves out the reason; its sources have it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
