//! Owns the download that a device does, on the wire.

use std::sync::Arc;

use kernex_model::id::BundleId;
use poem::http::HeaderMap;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;

use super::caller::Bearer;
use super::content::{self, ContentAnswer};
use super::problem::Problem;
use super::tag::Tag;
use crate::app::App;

/// The bundle operations of devices.
pub struct DeviceBundleApi {
    app: Arc<App>,
}

impl DeviceBundleApi {
    /// On top of the use cases.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[OpenApi(prefix_path = "/api/v1/device", tag = "Tag::Device")]
impl DeviceBundleApi {
    /// Download the bundle that a command names
    ///
    /// One range of bytes at a time, `If-Range` and `If-None-Match` are served, and HEAD as well. A device
    /// whose present command does not name the bundle is refused.
    #[oai(path = "/bundles/:id/content", method = "get", operation_id = "download_bundle_as_device")]
    async fn download_bundle_as_device(
        &self,
        caller: Bearer,
        id: Path<BundleId>,
        headers: &HeaderMap,
    ) -> Result<ContentAnswer, Problem> {
        let content = self.app.download_bundle_as_device(&caller.0, id.0).await?;
        content::answer(content, headers).await
    }
}
