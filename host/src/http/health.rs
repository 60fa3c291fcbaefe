//! Owns what stands at the root: whether the server is well, and the public keys of its tokens.

use std::sync::Arc;

use poem::http::StatusCode;
use poem_openapi::payload::PlainText;
use poem_openapi::types::Any;
use poem_openapi::{Object, OpenApi};

use super::body::Json;
use super::caller::Bearer;
use super::problem::Problem;
use super::tag::Tag;
use crate::app::App;

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

impl ServerHealth {
    fn ok() -> Self {
        Self { status: "ok".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

#[OpenApi(tag = "Tag::Operating")]
impl HealthApi {
    /// Whether the process answers
    #[oai(path = "/health/live", method = "get", operation_id = "get_liveness")]
    async fn get_liveness(&self) -> Json<ServerHealth> {
        Json(ServerHealth::ok())
    }

    /// Whether requests can be served
    ///
    /// 503 where the database does not answer.
    #[oai(path = "/health/ready", method = "get", operation_id = "get_readiness")]
    async fn get_readiness(&self) -> Result<Json<ServerHealth>, Problem> {
        self.app.store.ping().await.map_err(|error| {
            tracing::warn!(%error, "not ready");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "the database does not answer")
        })?;
        Ok(Json(ServerHealth::ok()))
    }

    /// Metrics, as Prometheus reads them
    ///
    /// The policy decides who may: by default whoever may look at the fleet. Let Prometheus send an API key.
    #[oai(path = "/metrics", method = "get", operation_id = "get_metrics")]
    async fn get_metrics(&self, caller: Bearer) -> Result<PlainText<String>, Problem> {
        Ok(PlainText(self.app.metrics_text(&caller.0)?))
    }

    /// The public keys of access tokens (RFC 7517)
    #[oai(path = "/.well-known/jwks.json", method = "get", operation_id = "get_jwks", tag = "Tag::Auth")]
    async fn get_jwks(&self) -> Json<Any<serde_json::Value>> {
        Json(Any(self.app.identity.jwks()))
    }
}
