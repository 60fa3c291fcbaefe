//! Owns the error answer: an RFC 9457 problem document, and how every error becomes one. Never repeats what was sent.

use std::borrow::Cow;

use kernex_model::id::{DecisionId, RequestId};
use kernex_model::time::Timestamp;
use poem::error::ResponseError;
use poem::http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiResponse, Object};

use super::health::PartHealth;
use crate::app::{AppError, FieldError};

/// The media type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// What is wrong, in bytes: of the whole, of one field, and of its pointer. More is cut off.
pub const MAX_DETAIL_BYTES: usize = 4 * 1024;
/// The path that was called, in bytes: longer ones are none that an HTTP library reads.
pub const MAX_INSTANCE_BYTES: usize = u16::MAX as usize;
/// When a busy server wants to be asked again, in seconds.
const BUSY_RETRY_AFTER_S: u32 = 1;

/// One thing that is wrong with the request.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub struct FieldProblem {
    /// RFC 6901 JSON pointer into the body, or the name of a parameter or header.
    pub pointer: String,
    /// What is wrong, for people.
    pub detail: String,
}

/// An RFC 9457 problem document.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename = "Problem", skip_serializing_if_is_none)]
pub struct ProblemDocument {
    /// Names the kind of problem: `urn:kernex:problem:` and the code.
    #[oai(rename = "type")]
    pub kind: String,
    /// The kind of problem, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong this time, for people.
    pub detail: String,
    /// The path that was called.
    pub instance: String,
    /// The kind of problem, for machines; stable.
    pub code: String,
    /// The request, as in `X-Request-Id`; quote it to whoever runs the server.
    pub request_id: RequestId,
    /// When.
    pub timestamp: Timestamp,
    /// Which fields are wrong, where it is about fields.
    pub errors: Option<Vec<FieldProblem>>,
    /// The policy decision that said no.
    pub decision: Option<DecisionId>,
    /// How each part of the server is, where one of them cannot do its work (`not-ready`).
    pub checks: Option<Vec<PartHealth>>,
}

/// The error of a handler. It becomes a [`ProblemDocument`] where the request is known (`envelope.rs`).
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: Cow<'static, str>,
    errors: Vec<FieldProblem>,
    decision: Option<DecisionId>,
    checks: Vec<PartHealth>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem with a stable code and a sentence.
    #[must_use]
    pub fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code: code.into(),
            detail: detail.into(),
            errors: Vec::new(),
            decision: None,
            checks: Vec::new(),
            header: None,
        }
    }

    /// A request with wrong fields or parameters.
    #[must_use]
    pub fn invalid(code: &'static str, detail: impl Into<Cow<'static, str>>, errors: Vec<FieldProblem>) -> Self {
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, code, detail) }
    }

    /// One wrong parameter or header.
    #[must_use]
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let sentence = format!("`{name}`: {detail}");
        Self::invalid("invalid-parameter", sentence, vec![FieldProblem { pointer: name.to_owned(), detail }])
    }

    /// One wrong field of the body.
    #[must_use]
    pub fn field(code: &'static str, pointer: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::invalid(code, format!("`{pointer}` {detail}"), vec![FieldProblem { pointer: pointer.to_owned(), detail }])
    }

    /// Our fault; what happened is in the log.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal-error",
            "something went wrong in the server; the request id names it in the log",
        )
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// With a header of its own; one at most.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: impl ToString) -> Self {
        self.header = HeaderValue::from_str(&value.to_string()).ok().map(|value| (name, value));
        self
    }

    /// With how each part of the server is.
    #[must_use]
    pub fn with_checks(self, checks: Vec<PartHealth>) -> Self {
        Self { checks, ..self }
    }

    /// The answer, with what only the request knows.
    #[must_use]
    pub fn document(self, request_id: RequestId, instance: &str, timestamp: Timestamp) -> Response {
        let document = ProblemDocument {
            kind: format!("urn:kernex:problem:{}", self.code),
            title: title(&self.code),
            status: self.status.as_u16(),
            detail: clipped(self.detail.into_owned()),
            instance: instance.to_owned(),
            code: self.code.into_owned(),
            request_id,
            timestamp,
            errors: Some(self.errors.into_iter().map(FieldProblem::clipped).collect::<Vec<_>>())
                .filter(|errors| !errors.is_empty()),
            decision: self.decision,
            checks: Some(self.checks).filter(|checks| !checks.is_empty()),
        };
        let mut response = Response::builder()
            .status(self.status)
            .content_type(PROBLEM_JSON)
            .header(header::CACHE_CONTROL, "no-store")
            .body(document.to_json_string());
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl FieldProblem {
    fn clipped(self) -> Self {
        Self { pointer: clipped(self.pointer), detail: clipped(self.detail) }
    }
}

/// What a plugin or a body brings along may be of any length.
fn clipped(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_DETAIL_BYTES));
    text
}

/// `last-admin` -> `Last admin`.
fn title(code: &str) -> String {
    let mut title = code.replace('-', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        let sentence = error.to_string();
        match error {
            AppError::Invalid { code, detail, fields } => {
                Self::invalid(code, detail, fields.into_iter().map(FieldProblem::from).collect())
            }
            AppError::Unauthenticated { code, detail } => Self::unauthenticated(code, detail),
            AppError::Denied { decision, reason } => {
                Self { decision: Some(decision), ..Self::new(StatusCode::FORBIDDEN, reason.code, reason.message) }
            }
            AppError::Forbidden { code, detail } => Self::new(StatusCode::FORBIDDEN, code, detail),
            AppError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "not-found", sentence),
            AppError::Conflict { code, detail } => Self::new(StatusCode::CONFLICT, code, detail),
            AppError::Stale => Self::new(StatusCode::PRECONDITION_FAILED, "stale", sentence),
            AppError::PreconditionRequired => {
                Self::new(StatusCode::PRECONDITION_REQUIRED, "if-match-required", sentence)
            }
            AppError::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", sentence),
            AppError::Stalled { .. } => Self::new(StatusCode::REQUEST_TIMEOUT, "body-stalled", sentence)
                .with_header(header::CONNECTION, "close"),
            AppError::StorageFull => Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage-full", sentence),
            AppError::RangeNotSatisfiable { size } => {
                Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "range-not-satisfiable", sentence)
                    .with_header(header::CONTENT_RANGE, format_args!("bytes */{size}"))
            }
            AppError::TooManyRequests { retry_after_s } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", sentence)
                    .with_header(header::RETRY_AFTER, retry_after_s)
            }
            AppError::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", sentence)
                .with_header(header::RETRY_AFTER, BUSY_RETRY_AFTER_S),
            AppError::StoreAway { cause } => {
                tracing::error!(cause, "the database does not answer");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store-away", sentence)
                    .with_header(header::RETRY_AFTER, BUSY_RETRY_AFTER_S)
            }
            AppError::Internal(cause) => {
                tracing::error!(cause, "internal error");
                Self::internal()
            }
        }
    }
}

impl From<FieldError> for FieldProblem {
    fn from(error: FieldError) -> Self {
        Self { pointer: error.pointer, detail: error.detail }
    }
}

impl Problem {
    /// Nobody knows who is calling.
    #[must_use]
    pub fn unauthenticated(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
            .with_header(header::WWW_AUTHENTICATE, "Bearer realm=\"kernex\"")
    }
}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.status
    }
}

impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "A problem document (RFC 9457): the request was not carried out.",
                status: None,
                status_range: Some("default".to_owned()),
                content: vec![MetaMediaType { content_type: PROBLEM_JSON, schema: ProblemDocument::schema_ref() }],
                headers: Vec::new(),
            }],
        }
    }

    fn register(registry: &mut Registry) {
        ProblemDocument::register(registry);
    }
}

impl IntoResponse for Problem {
    /// Only for code that stands outside the envelope, which knows the request.
    fn into_response(self) -> Response {
        poem::Error::from(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[tokio::test]
    async fn what_is_wrong_is_told_within_limits() {
        let long = "ä".repeat(MAX_DETAIL_BYTES);
        let problem = Problem::field("invalid-body", &long, long.clone());
        let response = problem.document(RequestId(kernex_model::id::Ulid(1)), "/", Timestamp::from_millis(0));
        let body = response.into_body().into_bytes().await.expect("a body");
        let document: Value = serde_json::from_slice(&body).expect("JSON");
        for text in [&document["detail"], &document["errors"][0]["pointer"], &document["errors"][0]["detail"]] {
            let bytes = text.as_str().expect("a text").len();
            assert!(bytes <= MAX_DETAIL_BYTES && bytes + 1 >= MAX_DETAIL_BYTES, "{bytes} bytes");
        }
    }
}
