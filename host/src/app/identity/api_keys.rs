//! Owns API keys: made with roles, shown once, revoked at once.

use kernex_model::action::Action;
use kernex_model::id::ApiKeyId;
use kernex_model::name::{ApiKeyName, RoleName};
use kernex_model::time::Timestamp;
use kernex_model::user::ApiKey;
use kernex_store::{Listed, Page};
use secrecy::SecretString;

use super::roles::{given, roles_at};
use super::secret::{API_KEY_PREFIX, SECRET_BYTES, fresh};
use crate::app::{App, AppError, Caller};

const KIND: &str = "api-key";

impl App {
    /// Makes an API key; the secret is returned here and never again.
    ///
    /// # Errors
    /// Denied; invalid where it would expire in the past.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn create_api_key(
        &self,
        caller: &Caller,
        name: ApiKeyName,
        roles: Vec<RoleName>,
        expires_at: Option<Timestamp>,
    ) -> Result<(ApiKey, SecretString), AppError> {
        let roles = roles_at("/roles", roles)?;
        let grant = self.gatekeeper.authorize(caller, Action::ApiKeyCreate, KIND, None, vec![given(&roles)])?;
        let now = self.context.now();
        if expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(AppError::field("expires-in-the-past", "/expires_at", "must lie in the future"));
        }
        let id = ApiKeyId(self.context.ulid());
        let fresh = fresh(API_KEY_PREFIX, id.0, self.context.bytes::<SECRET_BYTES>());
        let key = ApiKey {
            id,
            name,
            roles,
            secret_digest: Some(fresh.digest),
            created_by: caller.principal,
            created_at: now,
            expires_at,
            revision: 1,
        };
        let mut changes = grant
            .on(id)
            .changes(Some(serde_json::json!({ "name": key.name, "roles": key.roles, "expires_at": key.expires_at })));
        changes.create(&key);
        self.store.commit(changes).await?;
        Ok((key, fresh.text))
    }

    /// API keys, oldest first, without their secrets.
    ///
    /// # Errors
    /// Denied.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn list_api_keys(&self, caller: &Caller, page: &Page) -> Result<Listed<ApiKey>, AppError> {
        self.gatekeeper.authorize(caller, Action::ApiKeyList, KIND, None, Vec::new())?;
        Ok(self.store.list_api_keys(page).await?)
    }

    /// Ends an API key; its next call is refused.
    ///
    /// # Errors
    /// Denied; not found.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn revoke_api_key(&self, caller: &Caller, id: ApiKeyId) -> Result<(), AppError> {
        let grant = self.gatekeeper.authorize(caller, Action::ApiKeyRevoke, KIND, Some(id.to_string()), Vec::new())?;
        let key = self.store.api_key(id).await?.ok_or(AppError::NotFound("API key"))?;
        let mut changes = grant.changes(Some(serde_json::json!({ "name": key.name })));
        changes.delete::<ApiKey>(&id);
        let ended = self.store.commit(changes).await;
        self.identity.api_keys.forget(&id);
        Ok(ended?)
    }
}
