//! Owns what surrounds every call: the request id, limits and time-outs, and that each error leaves as a problem document.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use kernex_model::id::RequestId;
use kernex_model::trace::TraceId;
use poem::error::{MethodNotAllowedError, NotFoundError, ReadBodyError};
use poem::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use poem::{Body, Endpoint, IntoResponse, Request, Response};
use poem_openapi::OperationId;
use poem_openapi::error::{
    AuthorizationError, ContentTypeError, ParseParamError, ParsePathError, ParseRequestPayloadError,
};

use tokio::io::{AsyncRead, AsyncReadExt};
use tracing::{Instrument, Span};

use super::allowed::AllowedMethods;
use super::body::{MAX_JSON_BYTES, rule, too_large};
use super::caller::CallContext;
use super::compressed;
use super::idempotency::{self, Begun};
use super::presentation::Asked;
use super::problem::Problem;
use crate::app::App;
use crate::app::policies::COMPILE_TIME_S;
use crate::telemetry;

/// How long a call may take that does not stream, in seconds.
pub const CALL_TIME_OUT_S: u64 = 30;
/// How long a call may take that has a plugin compiled, in seconds: as long as the compiler, and as any other call.
pub const COMPILING_TIME_OUT_S: u64 = COMPILE_TIME_S + CALL_TIME_OUT_S;
/// Longest request target, in bytes.
pub const MAX_TARGET_BYTES: usize = 8 * 1024;
/// All header names and values of a request together, in bytes.
pub const MAX_HEADER_BYTES: usize = 32 * 1024;

/// How much of a body that is refused is read nevertheless, in bytes.
const DRAIN_BYTES: u64 = 16 * 1024 * 1024;
/// And for how long.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// The one call that comes so often that a task of its own would show.
const HEARTBEAT: &str = "/api/v1/device/heartbeat";
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Wraps the whole API.
pub struct Envelope<E> {
    inner: Arc<E>,
    app: Arc<App>,
    allowed: AllowedMethods,
}

impl<E> Envelope<E> {
    /// Around `inner`, which takes `allowed`.
    pub fn new(inner: E, app: Arc<App>, allowed: AllowedMethods) -> Self {
        Self { inner: Arc::new(inner), app, allowed }
    }
}

impl<E: Endpoint + 'static> Endpoint for Envelope<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let began = Instant::now();
        let _in_flight = self.app.metrics.begin();
        let id = RequestId(self.app.context.ulid());
        let (span, trace_id) = self.span(id, &request);
        let target = request.uri().clone();
        request.extensions_mut().insert(CallContext { id, trace_id, app: self.app.clone() });
        let asked = asked(&mut request);
        let answer = match (self.answer(id, request, &span).instrument(span.clone()).await, asked) {
            (Ok(response), Some(asked)) => Box::pin(asked.present(&target, response)).await,
            (answer, _) => answer,
        };
        let mut response = self.encode(answer, id, &target);
        let status = response.status().as_u16();
        let known = response.data::<OperationId>().map(|operation| operation.0);
        let operation = known.unwrap_or("none");
        self.app.metrics.answered(operation, status, began.elapsed());
        if !span.is_none() {
            if let Some(operation) = known {
                telemetry::name_span(&span, operation);
            }
            span.record("http.response.status_code", status);
        }
        span.in_scope(|| tracing::debug!(operation, status, "answered"));
        if response.status().is_server_error() {
            // The span says whose call it was, and a record must not have the same attribute twice.
            let id = span.is_disabled().then(|| tracing::field::display(id));
            span.in_scope(|| tracing::error!(request.id = id, path = target.path(), status, "call failed"));
        }
        let headers = response.headers_mut();
        if !span.is_none()
            && self.app.settings.trace_ratio.is_some()
            && let Some(parent) = telemetry::trace_parent(&span)
        {
            headers.insert(TRACE_PARENT, parent);
        }
        if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
            headers.insert(X_REQUEST_ID, value);
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Ok(response)
    }
}

impl<E: Endpoint + 'static> Envelope<E> {
    /// What the call's log lines and spans belong to, and the trace. A heartbeat that nobody traces has no span: it
    /// logs nothing, and comes too often.
    fn span(&self, id: RequestId, request: &Request) -> (Span, Option<TraceId>) {
        let caller = telemetry::caller_context(request.headers());
        let ratio = self.app.settings.trace_ratio;
        let traced = ratio.and_then(|ratio| telemetry::sampled_span(id, caller.as_ref(), ratio));
        let trace_id = telemetry::trace_id(caller.as_ref(), traced.as_ref());
        let span = match traced {
            Some(span) => {
                span.record("http.request.method", request.method().as_str());
                span
            }
            None if request.uri().path() == HEARTBEAT => Span::none(),
            // Of the highest level: whatever `log.filter` lets pass belongs to it.
            None => tracing::error_span!("request", request.id = %id, principal = tracing::field::Empty),
        };
        (span, trace_id)
    }

    /// The answer as it goes out: what failed leaves as a problem document.
    fn encode(&self, answer: poem::Result<Response>, id: RequestId, target: &Uri) -> Response {
        let error = match answer {
            Ok(response) => return response,
            Err(error) if error.is_from_response() => return error.into_response(),
            Err(error) => error,
        };
        let operation = error.data::<OperationId>().copied();
        let problem = problem_of(error, self.allowed.at(target.path()));
        self.app.metrics.problem(problem.code());
        let mut response = problem.document(id, target.path(), self.app.context.now());
        if let Some(operation) = operation {
            response.set_data(operation);
        }
        response
    }

    async fn answer(&self, id: RequestId, mut request: Request, span: &Span) -> poem::Result<Response> {
        let streams = streams(request.method(), request.uri().path());
        let time_out_s = time_out_s(request.method(), request.uri().path());
        check_head(&request)?;
        compressed::refuse_coded(request.headers())?;
        if !streams {
            limit_body(&mut request).await?;
        }
        if request.uri().path() == HEARTBEAT {
            // Answered from memory, and what it may wait for has a time-out of its own: nothing is lost where it
            // ends in its middle, because its changes are written by a worker.
            let call = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
            return call.await.unwrap_or_else(|_| Err(panicked())).map(IntoResponse::into_response);
        }
        let ticket = match idempotency::begin(&self.app, id, &mut request, streams).await? {
            Begun::Run(ticket) => ticket,
            Begun::Replay(response) => return Ok(response),
        };
        let stoppable = stoppable(request.method());
        let inner = self.inner.clone();
        let span = span.clone();
        // Boxed, because it is moved into what watches over it.
        let call = Box::pin(async move {
            let answer = inner.call(request).await.map(IntoResponse::into_response);
            match ticket {
                Some(ticket) => Box::pin(ticket.end(answer)).await,
                None => answer,
            }
        });
        let finished = async move {
            if stoppable {
                return AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|_| Err(panicked()));
            }
            // A change runs to its end even where its client goes away or the time is up: what is in memory
            // is brought up to date after the commit, and must not be left behind by it.
            match tokio::spawn(call.instrument(span)).await {
                Ok(answer) => answer,
                Err(_) => Err(panicked()),
            }
        };
        if streams {
            return finished.await;
        }
        match tokio::time::timeout(Duration::from_secs(time_out_s), finished).await {
            Ok(answer) => answer,
            Err(_) => {
                let detail = format!("not done within {time_out_s} s");
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timed-out", detail).into())
            }
        }
    }
}

/// How the request is to be answered; `None` where the answer goes out as the handler made it: content, which has
/// validators and a digest of its own, and heartbeats, whose answer is short and comes too often.
fn asked(request: &mut Request) -> Option<Asked> {
    let path = request.uri().path();
    if path == HEARTBEAT || streams(request.method(), path) {
        return None;
    }
    let asked = Asked::of(request);
    if *request.method() == Method::HEAD {
        // The router would answer it without the body that the headers tell of; `present` takes that away.
        request.set_method(Method::GET);
    }
    Some(asked)
}

/// Whether nothing is lost where the call ends in its middle.
fn stoppable(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn panicked() -> poem::Error {
    // The panic hook has logged where and why.
    Problem::internal().into()
}

/// Whether the call carries content of any length: bundles, plugins, progress events.
fn streams(method: &Method, path: &str) -> bool {
    let Some(path) = path.strip_prefix("/api/v1/") else { return false };
    (*method == Method::POST && matches!(path, "bundles" | "plugins"))
        || path.ends_with("/content")
        || path.ends_with("/events")
}

/// How long the call may take, in seconds. Whatever changes a policy, or makes a decision again, may have a plugin
/// compiled.
fn time_out_s(method: &Method, path: &str) -> u64 {
    let again = path.starts_with("/api/v1/decisions/");
    let compiles = !stoppable(method) && (again || path.starts_with("/api/v1/policies/"));
    if compiles { COMPILING_TIME_OUT_S } else { CALL_TIME_OUT_S }
}

fn check_head(request: &Request) -> Result<(), Problem> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > MAX_TARGET_BYTES {
        return Err(Problem::new(
            StatusCode::URI_TOO_LONG,
            "target-too-long",
            format!("a request target has at most {MAX_TARGET_BYTES} bytes"),
        ));
    }
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers > MAX_HEADER_BYTES {
        let detail = format!("the headers have at most {MAX_HEADER_BYTES} bytes together");
        return Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers-too-large", detail));
    }
    Ok(())
}

/// Refuses a long body by its announced length; one without such is read here, up to the limit.
async fn limit_body(request: &mut Request) -> poem::Result<()> {
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length <= MAX_JSON_BYTES as u64) {
        return Ok(());
    }
    let body = request.take_body();
    if body.is_empty() {
        return Ok(());
    }
    let mut body = body.into_async_read();
    if announced.is_some() {
        drain(&mut body).await;
        return Err(too_large().into());
    }
    let mut bytes = Vec::new();
    let mut within = (&mut body).take(MAX_JSON_BYTES as u64 + 1);
    let read = within.read_to_end(&mut bytes);
    let read = tokio::time::timeout(Duration::from_secs(CALL_TIME_OUT_S), read).await.map_err(|_| {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body-too-slow",
            format!("the body did not come within {CALL_TIME_OUT_S} s"),
        )
    })?;
    read.map_err(ReadBodyError::Io)?;
    if bytes.len() > MAX_JSON_BYTES {
        drain(&mut body).await;
        return Err(too_large().into());
    }
    request.set_body(Body::from_vec(bytes));
    Ok(())
}

/// Reads on what is refused, within limits: a client that still sends when the connection closes under it sees
/// a broken pipe in place of the answer.
async fn drain(body: &mut (impl AsyncRead + Unpin)) {
    let mut rest = body.take(DRAIN_BYTES);
    let _ = tokio::time::timeout(DRAIN_TIME, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
}

/// Every error as a problem. The framework's own lose the values that they carry.
fn problem_of(error: poem::Error, allowed: Option<&str>) -> Problem {
    let error = match error.downcast::<Problem>() {
        Ok(problem) => return problem,
        Err(error) => error,
    };
    if error.is::<NotFoundError>() {
        return Problem::new(StatusCode::NOT_FOUND, "unknown-path", "there is nothing at this path; see /docs");
    }
    if error.is::<MethodNotAllowedError>() {
        return Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "this path does not take this method; see /docs",
        )
        .with_header(header::ALLOW, allowed.unwrap_or("GET"));
    }
    if error.is::<AuthorizationError>() {
        return Problem::unauthenticated(
            "authentication-required",
            "send `Authorization: Bearer` with an access token or API key",
        );
    }
    if error.is::<ContentTypeError>() {
        return Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "send the body with `Content-Type: application/json`",
        );
    }
    if let Some(ParseParamError { name, reason }) = error.downcast_ref() {
        return Problem::parameter(name, rule(reason));
    }
    if let Some(ParsePathError { reason, .. }) = error.downcast_ref() {
        // The framework's own name for it is `param0`.
        return Problem::parameter("path", rule(reason));
    }
    if let Some(ParseRequestPayloadError { reason }) = error.downcast_ref() {
        return Problem::invalid("invalid-body", rule(reason), Vec::new());
    }
    if let Some(ReadBodyError::PayloadTooLarge) = error.downcast_ref() {
        return too_large();
    }
    by_status(&error)
}

fn by_status(error: &poem::Error) -> Problem {
    let status = error.status();
    if status.is_server_error() {
        tracing::error!(cause = %error, "internal error");
        return Problem::internal();
    }
    let code = if status == StatusCode::BAD_REQUEST { "bad-request" } else { "refused" };
    Problem::new(status, code, status.canonical_reason().unwrap_or("the request was refused"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framework_errors_become_problems_without_values() {
        let error =
            ParseParamError { name: "limit", reason: r#"Expected input type "x", found "hunter2"."#.to_owned() };
        let problem = problem_of(error.into(), None);
        assert_eq!(problem.code(), "invalid-parameter");
        assert!(!format!("{problem:?}").contains("hunter2"));
        assert_eq!(problem_of(NotFoundError.into(), None).code(), "unknown-path");
        assert_eq!(problem_of(MethodNotAllowedError.into(), None).code(), "method-not-allowed");
        assert_eq!(problem_of(AuthorizationError.into(), None).code(), "authentication-required");
        let unknown = poem::Error::from_string("secret", StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!format!("{:?}", problem_of(unknown, None)).contains("secret"));
    }

    #[test]
    fn only_content_streams() {
        assert!(streams(&Method::POST, "/api/v1/bundles"));
        assert!(streams(&Method::GET, "/api/v1/device/bundles/bun_1/content"));
        assert!(!streams(&Method::GET, "/api/v1/bundles"));
        assert!(!streams(&Method::POST, "/api/v1/device/heartbeat"));
    }

    #[test]
    fn calls_that_have_a_plugin_compiled_have_the_time_for_it() {
        let compiling = [
            (Method::PUT, "/api/v1/policies/rbac"),
            (Method::POST, "/api/v1/policies/rbac/activate"),
            (Method::POST, "/api/v1/policies/rbac/replay"),
            (Method::POST, "/api/v1/decisions/dec_1/explain"),
        ];
        for (method, path) in compiling {
            assert_eq!(time_out_s(&method, path), COMPILE_TIME_S + CALL_TIME_OUT_S, "{method} {path}");
        }
        for (method, path) in [(Method::GET, "/api/v1/policies/rbac"), (Method::POST, "/api/v1/deployments")] {
            assert_eq!(time_out_s(&method, path), CALL_TIME_OUT_S, "{method} {path}");
        }
    }
}
