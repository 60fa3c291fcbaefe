//! Owns how bundles are stored: one record for each name and version.

use kernex_model::bundle::Bundle;
use kernex_model::id::BundleId;
use kernex_model::name::{BundleName, BundleVersion};
use surrealdb::types::Variables;

use crate::codec;
use crate::cursor::{Listed, Page};
use crate::error::StoreError;
use crate::key::{Key, complemented};
use crate::record::{Record, Revised};
use crate::store::Store;
use crate::walk::Walk;

/// Bundles that are read at once.
const MAX_BUNDLES: usize = 100_000;

impl Record for Bundle {
    type Id = BundleId;
    const TABLE: &'static str = "bundle";

    fn key_of(id: &BundleId) -> Key {
        Key::newest_first(id.0)
    }

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }

    fn id_text(key: &Key) -> Option<String> {
        complemented(key.sort()).map(|ulid| BundleId(ulid).to_string())
    }
}

impl Revised for Bundle {
    fn revision(&self) -> u64 {
        self.revision
    }
}

impl Store {
    /// One bundle.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn bundle(&self, id: BundleId) -> Result<Option<Bundle>, StoreError> {
        self.get(&id).await
    }

    /// The bundle with this name and version.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn bundle_by_name(
        &self,
        name: &BundleName,
        version: &BundleVersion,
    ) -> Result<Option<Bundle>, StoreError> {
        let mut variables = Variables::new();
        variables.insert("name", name.to_string());
        variables.insert("version", version.to_string());
        let text = "SELECT * FROM bundle WHERE name = $name AND version = $version LIMIT 1";
        self.rows(text, variables, 0).await?.into_iter().next().map(codec::decode).transpose()
    }

    /// Bundles, newest first.
    ///
    /// # Errors
    /// Where the database fails or the cursor is another list's.
    pub async fn list_bundles(&self, page: &Page) -> Result<Listed<Bundle>, StoreError> {
        self.list(&Walk::Table, page).await
    }

    /// Every bundle, newest first.
    ///
    /// # Errors
    /// Where the database fails or there are more than 100,000.
    pub async fn all_bundles(&self) -> Result<Vec<Bundle>, StoreError> {
        self.walk_all(&Walk::Table, "bundles", MAX_BUNDLES).await
    }
}
