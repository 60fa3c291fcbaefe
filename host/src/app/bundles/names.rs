//! Owns what bundles are called, in memory: selectors, plans and commands ask for it again and again.

use std::collections::HashMap;
use std::sync::Arc;

use kernex_model::bundle::Bundle;
use kernex_model::id::BundleId;
use kernex_model::name::{BundleName, BundleVersion};
use kernex_store::{Store, StoreError};
use parking_lot::RwLock;

/// Bundles that one server keeps: their names are held in memory, about 200 bytes each.
pub const MAX_BUNDLES: usize = 100_000;

/// The names of all bundles. They never change and are never forgotten, so that there is nothing to
/// expire. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct BundleNames {
    known: Arc<RwLock<HashMap<BundleId, (BundleName, BundleVersion)>>>,
}

impl BundleNames {
    /// Reads the names of all bundles.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let names = Self::default();
        store.all_bundles().await?.iter().for_each(|bundle| names.learn(bundle));
        Ok(names)
    }

    /// Takes in a bundle that was just made.
    pub fn learn(&self, bundle: &Bundle) {
        self.known.write().insert(bundle.id, (bundle.name.clone(), bundle.version.clone()));
    }

    /// Name and version of a bundle; `None` where there is no such bundle.
    #[must_use]
    pub fn get(&self, bundle: BundleId) -> Option<(BundleName, BundleVersion)> {
        self.known.read().get(&bundle).cloned()
    }

    /// Whether there is such a bundle.
    #[must_use]
    pub fn knows(&self, bundle: BundleId) -> bool {
        self.known.read().contains_key(&bundle)
    }

    /// Whether there is room for one more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.known.read().len() >= MAX_BUNDLES
    }
}
