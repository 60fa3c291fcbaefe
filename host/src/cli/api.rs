//! Owns calls to a server's API: JSON in and out, problem documents as errors, patience with a busy server.

use std::time::Duration;

use kernex_client::Bearer;
use kernex_client::types::Problem;
use rand::Rng;
use reqwest::header::HeaderMap;
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
/// Bytes of an error's body that are read.
const MAX_ERROR_BYTES: usize = 4_096;

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
}

impl ApiError {
    /// Whether the server answered with this status.
    #[must_use]
    pub fn is(&self, status: StatusCode) -> bool {
        matches!(self, Self::Problem { status: given, .. } if *given == status.as_u16())
    }

    /// Whether the same call may succeed a little later, and when.
    pub(super) fn passing(&self) -> Option<Option<Duration>> {
        match self {
            Self::Transport(_) => Some(None),
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
        let base = Url::parse(server).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.ok_or_else(|| ApiError::Address(server.to_owned()))?;
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("kernex/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ApiError::Transport(chain(&error)))?;
        Ok(Self { http, base, attempts: attempts.max(1) })
    }

    /// The generated client of the same server, over the same connections, for a caller.
    pub(crate) fn client(&self, bearer: Bearer) -> kernex_client::Client {
        kernex_client::Client::new_with_client(self.base.as_str().trim_end_matches('/'), self.http.clone(), bearer)
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
        self.patiently(|| async { decode(self.send(self.request(Method::GET, path, token)?).await?).await }).await
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

    /// Sends a request and makes an error of every answer that is none. Not tried again.
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
            let limited = tokio::time::timeout(CALL_TIMEOUT, call());
            let ended = limited.await.unwrap_or_else(|_| Err(ApiError::Transport("no answer in time".to_owned())));
            let error = match ended {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(wait) = error.passing().filter(|_| attempt < self.attempts) else { return Err(error) };
            tokio::time::sleep(wait.unwrap_or_else(|| backoff(attempt)).min(MAX_BACKOFF)).await;
            attempt += 1;
        }
    }
}

/// 0.2 s, doubled with each attempt, with full jitter: a fleet must not come back all at once.
fn backoff(attempt: u32) -> Duration {
    let most_ms = 200_u64 << attempt.min(7);
    Duration::from_millis(rand::rng().random_range(most_ms / 4..=most_ms))
}

/// An empty body is read as `null`, which is what callers expect that ask for `()`.
async fn decode<T: DeserializeOwned>(response: Response) -> Result<T, ApiError> {
    let body = response.bytes().await.map_err(|error| ApiError::Transport(chain(&error)))?;
    let body: &[u8] = if body.is_empty() { b"null" } else { &body };
    serde_json::from_slice(body).map_err(|error| ApiError::Unreadable(error.to_string()))
}

async fn problem(response: Response) -> ApiError {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let body = response.bytes().await.unwrap_or_default();
    let document: ProblemDocument = serde_json::from_slice(&body).unwrap_or_else(|_| ProblemDocument {
        detail: String::from_utf8_lossy(&body[..body.len().min(MAX_ERROR_BYTES)]).into_owned(),
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
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_to_its_own_server_only() {
        let api = Api::new("http://127.0.0.1:1", 1).expect("an address");
        assert!(api.request(Method::GET, "/api/v1/devices", Some("secret")).is_ok());
        assert!(api.request(Method::GET, "http://evil.example/", Some("secret")).is_err());
        assert!(api.request(Method::GET, "//evil.example/", Some("secret")).is_err());
        assert!(Api::new("127.0.0.1:8080", 1).is_err());
    }

    #[test]
    fn what_a_plugin_says_does_not_move_the_cursor() {
        let (code, detail) = ("a\u{9b}2J".to_owned(), "no\u{1b}]0;gone\u{7}\nkernex: done".to_owned());
        let refused = ApiError::Problem { status: 403, code, detail, retry_after: None }.to_string();
        assert_eq!(refused, "no ]0;gone  kernex: done (403 a 2J)");
        let unreadable = ApiError::Unreadable("unknown variant `\u{1b}[2J`".to_owned()).to_string();
        assert!(unreadable.ends_with("unknown variant ` [2J`"), "{unreadable}");
    }

    #[test]
    fn only_what_passes_is_tried_again() {
        let refused =
            |status| ApiError::Problem { status, code: String::new(), detail: String::new(), retry_after: None };
        assert!(refused(503).passing().is_some() && refused(429).passing().is_some());
        assert!(refused(409).passing().is_none() && refused(401).passing().is_none());
        assert!((1..20).all(|attempt| backoff(attempt) <= Duration::from_millis(200 << 7)));
    }
}
