//! Owns the operations on one device's config, and its rollback, on the wire.

use std::sync::Arc;

use kernex_model::assignment::Assignment;
use kernex_model::bundle::DeviceConfig;
use kernex_model::id::{BundleId, DeviceId};
use poem_openapi::param::Path;
use poem_openapi::types::Any;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::body::Json;
use super::caller::Bearer;
use super::page::{CursorQuery, LimitQuery, Paged, page};
use super::problem::Problem;
use super::tag::Tag;
use crate::app::App;

/// The operations on one device's config, and its rollback.
pub struct ConfigApi {
    app: Arc<App>,
}

impl ConfigApi {
    /// On top of the use cases.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// A config to deliver.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct ConfigRequest {
    /// Any JSON document.
    document: Any<serde_json::Value>,
}

/// Which earlier config to deliver again.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct ConfigRollbackRequest {
    /// The version; the one before the latest, where absent.
    version: Option<u64>,
}

/// Where to send a device back to.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct DeviceRollbackRequest {
    /// The bundle; the one that it last ran verified before the present one, where absent.
    to_bundle: Option<BundleId>,
}

#[derive(ApiResponse)]
enum Accepted {
    /// The assignment that brings the device back.
    #[oai(status = 202)]
    Assignment(Json<Assignment>),
}

#[OpenApi(prefix_path = "/api/v1/devices", tag = "Tag::Devices")]
impl ConfigApi {
    /// Write a device's config
    ///
    /// Makes a new version and has it delivered with the device's next heartbeat. The versions before it stay, so nobody
    /// else's is overwritten and no `If-Match` is asked for.
    #[oai(path = "/:id/config", method = "put", operation_id = "put_device_config")]
    async fn put_device_config(
        &self,
        caller: Bearer,
        id: Path<DeviceId>,
        body: Json<ConfigRequest>,
    ) -> Result<Json<DeviceConfig>, Problem> {
        Ok(Json(self.app.put_device_config(&caller.0, id.0, body.0.document.0).await?))
    }

    /// Get a device's latest config
    ///
    /// Delivered or not: the assignment that it names tells how far it is.
    #[oai(path = "/:id/config", method = "get", operation_id = "get_device_config")]
    async fn get_device_config(&self, caller: Bearer, id: Path<DeviceId>) -> Result<Json<DeviceConfig>, Problem> {
        Ok(Json(self.app.get_device_config(&caller.0, id.0).await?))
    }

    /// List the versions of a device's config
    ///
    /// Newest first.
    #[oai(path = "/:id/config/versions", method = "get", operation_id = "list_device_config_versions")]
    async fn list_device_config_versions(
        &self,
        caller: Bearer,
        id: Path<DeviceId>,
        limit: LimitQuery,
        cursor: CursorQuery,
    ) -> Result<Paged<DeviceConfig>, Problem> {
        let listed = self.app.list_device_configs(&caller.0, id.0, &page(limit, cursor)?).await?;
        Ok(listed.into())
    }

    /// Roll a device's config back
    ///
    /// Writes an earlier document again, as a new version.
    #[oai(path = "/:id/config/rollback", method = "post", operation_id = "rollback_device_config")]
    async fn rollback_device_config(
        &self,
        caller: Bearer,
        id: Path<DeviceId>,
        body: Json<ConfigRollbackRequest>,
    ) -> Result<Json<DeviceConfig>, Problem> {
        Ok(Json(self.app.rollback_device_config(&caller.0, id.0, body.0.version).await?))
    }

    /// Roll a device back
    ///
    /// Sends one device to an earlier bundle, with the rollback policy's permission.
    #[oai(path = "/:id/rollback", method = "post", operation_id = "rollback_device")]
    async fn rollback_device(
        &self,
        caller: Bearer,
        id: Path<DeviceId>,
        body: Json<DeviceRollbackRequest>,
    ) -> Result<Accepted, Problem> {
        Ok(Accepted::Assignment(Json(self.app.rollback_device(&caller.0, id.0, body.0.to_bundle).await?)))
    }
}
