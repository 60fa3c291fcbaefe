//! Owns what stands at the root: whether the server is well, and the public keys of its tokens.

use std::sync::Arc;

use poem::http::StatusCode;
use poem_openapi::payload::PlainText;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::body::Json;
use super::caller::Bearer;
use super::problem::Problem;
use super::tag::Tag;
use crate::app::App;
use crate::app::identity::access::Jwks;
use crate::app::readiness::Check;

/// Health and public keys.
pub struct HealthApi {
    app: Arc<App>,
}

impl HealthApi {
    /// On top of the use cases.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// How the server is.
#[derive(Debug, Object)]
struct ServerHealth {
    /// `ok`
    status: String,
    /// The program's version.
    version: String,
}

/// How each part of the server is.
#[derive(Debug, Object)]
struct Readiness {
    /// `ok`
    status: String,
    /// The program's version.
    version: String,
    /// Each part that was asked.
    checks: Vec<PartHealth>,
}

/// How one part is.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub struct PartHealth {
    /// `store`, `bundles`, `policies` or `disk`.
    name: String,
    /// Whether it can do its work.
    working: bool,
    /// How long it took to find out, in microseconds.
    took_us: u64,
}

impl From<&Check> for PartHealth {
    /// Without what is wrong, which may name paths and addresses: that is for the log.
    fn from(check: &Check) -> Self {
        Self {
            name: check.name.to_owned(),
            working: check.problem.is_none(),
            took_us: u64::try_from(check.took.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

#[derive(ApiResponse)]
enum Measured {
    /// The metrics, in the text format of Prometheus.
    #[oai(status = 200)]
    Metrics(PlainText<String>),
}

impl Readiness {
    fn of(checks: Vec<PartHealth>) -> Self {
        let ServerHealth { status, version } = ServerHealth::ok();
        Self { status, version, checks }
    }
}

impl ServerHealth {
    fn ok() -> Self {
        Self { status: "ok".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

#[OpenApi(tag = "Tag::Operating")]
impl HealthApi {
    /// Whether the process answers
    ///
    /// Asks nothing else; for whoever restarts it.
    #[oai(path = "/health/live", method = "get", operation_id = "get_liveness")]
    async fn get_liveness(&self) -> Json<ServerHealth> {
        Json(ServerHealth::ok())
    }

    /// Whether requests can be served
    ///
    /// The database, the place for bundles, the policies and the disk, each asked at most once a second; 503
    /// where one of them cannot do its work, with the same `checks`.
    #[oai(path = "/health/ready", method = "get", operation_id = "get_readiness")]
    async fn get_readiness(&self) -> Result<Json<Readiness>, Problem> {
        let checks = self.app.readiness().await;
        let wrong: Vec<&str> = checks.iter().filter(|check| check.problem.is_some()).map(|check| check.name).collect();
        let parts: Vec<PartHealth> = checks.iter().map(PartHealth::from).collect();
        if !wrong.is_empty() {
            tracing::warn!(?checks, "not ready");
            let detail = format!("not working: {}", wrong.join(", "));
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", detail).with_checks(parts));
        }
        Ok(Json(Readiness::of(parts)))
    }

    /// Metrics, as Prometheus reads them
    ///
    /// The policy decides who may: by default whoever may look at the fleet. Let Prometheus send an API key.
    #[oai(path = "/metrics", method = "get", operation_id = "get_metrics")]
    async fn get_metrics(&self, caller: Bearer) -> Result<Measured, Problem> {
        Ok(Measured::Metrics(PlainText(self.app.metrics_text(&caller.0)?)))
    }

    /// The public keys of access tokens (RFC 7517)
    ///
    /// For services that check access tokens by themselves.
    #[oai(path = "/.well-known/jwks.json", method = "get", operation_id = "get_jwks", tag = "Tag::Auth")]
    async fn get_jwks(&self) -> Json<Jwks> {
        Json(self.app.identity.jwks())
    }
}
