//! Owns the operations on plugins on the wire.

use std::sync::Arc;

use kernex_model::digest::Digest;
use kernex_model::plugin::Plugin;
use poem_openapi::param::{Header, Path};
use poem_openapi::{ApiResponse, OpenApi};

use super::body::Json;
use super::caller::Bearer;
use super::content;
use super::page::Listing;
use super::problem::Problem;
use super::tag::Tag;
use super::upload::Upload;
use crate::app::App;
use crate::app::plugins::PluginUploaded;

/// The operations on plugins.
pub struct PluginApi {
    app: Arc<App>,
}

impl PluginApi {
    /// On top of the use cases.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// How an upload came out.
#[derive(ApiResponse)]
enum UploadedPlugin {
    /// A new plugin.
    #[oai(status = 201)]
    Created(
        Json<Plugin>,
        /// Where it is.
        #[oai(header = "Location")]
        String,
    ),
    /// The same bytes were there before.
    #[oai(status = 200)]
    Existing(Json<Plugin>),
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Policies")]
impl PluginApi {
    /// Upload a plugin
    ///
    /// The body is the WebAssembly component. What it imports, and so all that it can touch, is in the answer. It is
    /// compiled and asked what it is, and decides nothing before a policy uses it.
    #[oai(path = "/plugins", method = "post", operation_id = "upload_plugin")]
    async fn upload_plugin(
        &self,
        caller: Bearer,
        /// `<key>:<base64>`, an Ed25519 signature as `kernex plugin sign` writes it, by one of the server's
        /// `plugins.trusted_keys`. Required unless the server lets unsigned plugins in.
        #[oai(name = "X-Plugin-Signature", validator(max_length = 128))]
        signature: Header<Option<String>>,
        /// RFC 9530: `sha-256=:<base64>:`. Other content is refused.
        #[oai(name = "Repr-Digest")]
        repr_digest: Header<Option<String>>,
        body: Upload,
    ) -> Result<UploadedPlugin, Problem> {
        let announced = repr_digest.0.as_deref().map(content::parse_repr_digest).transpose()?.flatten();
        let signature = signature.0.as_deref();
        let uploaded = self.app.upload_plugin(&caller.0, signature, announced, body.0.into_bytes_stream()).await?;
        Ok(match uploaded {
            PluginUploaded::Created(plugin) => {
                let location = format!("/api/v1/plugins/{}", plugin.digest);
                UploadedPlugin::Created(Json(plugin), location)
            }
            PluginUploaded::Existing(plugin) => UploadedPlugin::Existing(Json(plugin)),
        })
    }

    /// List the plugins
    ///
    /// Uploaded ones and those that come with the program, by name. All of them at once: `next` is always absent.
    #[oai(path = "/plugins", method = "get", operation_id = "list_plugins")]
    async fn list_plugins(&self, caller: Bearer) -> Result<Json<Listing<Plugin>>, Problem> {
        Ok(Json(Listing { items: self.app.list_plugins(&caller.0).await?, next: None }))
    }

    /// Get a plugin
    ///
    /// By the digest that policies and decisions name.
    #[oai(path = "/plugins/:digest", method = "get", operation_id = "get_plugin")]
    async fn get_plugin(&self, caller: Bearer, digest: Path<Digest>) -> Result<Json<Plugin>, Problem> {
        Ok(Json(self.app.get_plugin(&caller.0, digest.0).await?))
    }
}
