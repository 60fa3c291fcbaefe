//! Owns API keys on the wire.

use std::sync::Arc;

use kernex_model::id::ApiKeyId;
use kernex_model::name::{ApiKeyName, RoleName};
use kernex_model::principal::Principal;
use kernex_model::time::Timestamp;
use kernex_model::user::ApiKey;
use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::ExposeSecret;

use super::auth::Done;
use super::body::Json;
use super::caller::Bearer;
use super::page::{CursorQuery, LimitQuery, Paged, page};
use super::problem::Problem;
use super::tag::Tag;
use crate::app::App;

/// API keys.
pub struct ApiKeyApi {
    app: Arc<App>,
}

impl ApiKeyApi {
    /// On top of the use cases.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// A key to be made for a service.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct ApiKeyRequest {
    /// Name for people.
    name: ApiKeyName,
    /// What it may do.
    roles: Vec<RoleName>,
    /// When it stops working; never, where absent.
    expires_at: Option<Timestamp>,
}

/// A key with its secret.
#[derive(Object)]
struct ApiKeyAnswer {
    /// Identifier.
    id: ApiKeyId,
    /// The key, for `Authorization: Bearer`. It is shown here only.
    key: String,
    /// Name for people.
    name: ApiKeyName,
    /// What it may do.
    roles: Vec<RoleName>,
    /// Who made it.
    created_by: Principal,
    /// When it was made.
    created_at: Timestamp,
    /// When it stops working.
    expires_at: Option<Timestamp>,
}

#[derive(ApiResponse)]
enum CreatedKey {
    /// The key.
    #[oai(status = 201)]
    Key(
        Json<ApiKeyAnswer>,
        /// Where it is.
        #[oai(header = "Location")]
        String,
        /// `no-store`: the answer holds a secret.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

type Answer<T> = Result<T, Problem>;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::ApiKeys")]
impl ApiKeyApi {
    /// Make an API key
    ///
    /// For a service that calls by itself. The answer alone shows the key: only a digest of it is kept.
    #[oai(path = "/api-keys", method = "post", operation_id = "create_api_key")]
    async fn create_api_key(&self, caller: Bearer, body: Json<ApiKeyRequest>) -> Answer<CreatedKey> {
        let (key, secret) = self.app.create_api_key(&caller.0, body.0.name, body.0.roles, body.0.expires_at).await?;
        let ApiKey { id, name, roles, created_by, created_at, expires_at, .. } = key;
        let key = secret.expose_secret().to_owned();
        let answer = ApiKeyAnswer { id, key, name, roles, created_by, created_at, expires_at };
        Ok(CreatedKey::Key(Json(answer), format!("/api/v1/api-keys/{id}"), "no-store".to_owned()))
    }

    /// List API keys
    ///
    /// In the order in which they were made, without the keys themselves.
    #[oai(path = "/api-keys", method = "get", operation_id = "list_api_keys")]
    async fn list_api_keys(&self, caller: Bearer, limit: LimitQuery, cursor: CursorQuery) -> Answer<Paged<ApiKey>> {
        Ok(self.app.list_api_keys(&caller.0, &page(limit, cursor)?).await?.into())
    }

    /// Revoke an API key
    ///
    /// It stops working at once.
    #[oai(path = "/api-keys/:id", method = "delete", operation_id = "revoke_api_key")]
    async fn revoke_api_key(&self, caller: Bearer, id: Path<ApiKeyId>) -> Answer<Done> {
        self.app.revoke_api_key(&caller.0, id.0).await?;
        Ok(Done::Done)
    }
}
