//! Owns how API keys are stored.

use kernex_model::id::ApiKeyId;
use kernex_model::user::ApiKey;

use crate::cursor::{Listed, Page};
use crate::error::StoreError;
use crate::key::Key;
use crate::record::{Record, Revised};
use crate::store::Store;
use crate::walk::Walk;

impl Record for ApiKey {
    type Id = ApiKeyId;
    const TABLE: &'static str = "api_key";

    fn key_of(id: &ApiKeyId) -> Key {
        Key::oldest_first(id.0)
    }

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }

    fn id_text(key: &Key) -> Option<String> {
        Some(format!("{}{}", ApiKeyId::PREFIX, key.sort()))
    }
}

impl Revised for ApiKey {
    fn revision(&self) -> u64 {
        self.revision
    }
}

impl Store {
    /// One API key.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        self.get(&id).await
    }

    /// API keys, oldest first.
    ///
    /// # Errors
    /// Where the database fails or the cursor is another list's.
    pub async fn list_api_keys(&self, page: &Page) -> Result<Listed<ApiKey>, StoreError> {
        self.list(&Walk::Table, page).await
    }
}
