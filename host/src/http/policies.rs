//! Owns the operations on policies and plugins on the wire.

use std::sync::Arc;

use kernex_model::digest::Digest;
use kernex_model::document::PolicyRevision;
use kernex_model::name::PolicyName;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;

use super::body::Json;
use super::caller::Bearer;
use super::page::Listing;
use super::problem::Problem;
use super::tag::Tag;
use crate::app::App;
use crate::app::records::Plugin;

/// The operations on policies and plugins.
pub struct PolicyApi {
    app: Arc<App>,
}

impl PolicyApi {
    /// On top of the use cases.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Policies")]
impl PolicyApi {
    /// List the active policies
    ///
    /// All of them at once: `next` is always absent.
    #[oai(path = "/policies", method = "get", operation_id = "list_policies")]
    async fn list_policies(&self, caller: Bearer) -> Result<Json<Listing<PolicyRevision>>, Problem> {
        Ok(Json(Listing { items: self.app.list_policies(&caller.0)?, next: None }))
    }

    /// Get the active revision of a policy
    ///
    /// Which plugin decides, and with which settings.
    #[oai(path = "/policies/:name", method = "get", operation_id = "get_policy")]
    async fn get_policy(&self, caller: Bearer, name: Path<PolicyName>) -> Result<Json<PolicyRevision>, Problem> {
        Ok(Json(self.app.get_policy(&caller.0, &name.0)?))
    }

    /// List the plugins
    ///
    /// All of them at once: `next` is always absent.
    #[oai(path = "/plugins", method = "get", operation_id = "list_plugins")]
    async fn list_plugins(&self, caller: Bearer) -> Result<Json<Listing<Plugin>>, Problem> {
        Ok(Json(Listing { items: self.app.list_plugins(&caller.0)?, next: None }))
    }

    /// Get a plugin
    ///
    /// By the digest that policies and decisions name.
    #[oai(path = "/plugins/:digest", method = "get", operation_id = "get_plugin")]
    async fn get_plugin(&self, caller: Bearer, digest: Path<Digest>) -> Result<Json<Plugin>, Problem> {
        Ok(Json(self.app.get_plugin(&caller.0, digest.0)?))
    }
}
