//! Owns how device configs are stored: every version for ever, the newest of a device first.

use kernex_model::bundle::DeviceConfig;
use kernex_model::id::DeviceId;

use crate::cursor::{Listed, Page};
use crate::error::StoreError;
use crate::key::{Key, descending};
use crate::record::Record;
use crate::store::Store;
use crate::walk::Walk;

impl Record for DeviceConfig {
    type Id = (DeviceId, u64);
    const TABLE: &'static str = "config";
    const OPAQUE: &'static [&'static str] = &["document"];

    fn key_of((device, version): &(DeviceId, u64)) -> Key {
        Key::Two(device.0.to_string(), descending(*version))
    }

    fn key(&self) -> Key {
        Self::key_of(&(self.device_id, self.version))
    }

    fn id_text(_: &Key) -> Option<String> {
        None
    }
}

impl Store {
    /// One version of a device's config.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn config(&self, device: DeviceId, version: u64) -> Result<Option<DeviceConfig>, StoreError> {
        self.get(&(device, version)).await
    }

    /// The newest version of a device's config.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn latest_config(&self, device: DeviceId) -> Result<Option<DeviceConfig>, StoreError> {
        let rows = self.walk(&Walk::Group(device.0.to_string()), "", 1).await?;
        Ok(rows.into_iter().next().map(|(_, config)| config))
    }

    /// The versions of a device's config, newest first.
    ///
    /// # Errors
    /// Where the database fails or the cursor is another list's.
    pub async fn list_configs(&self, device: DeviceId, page: &Page) -> Result<Listed<DeviceConfig>, StoreError> {
        self.list(&Walk::Group(device.0.to_string()), page).await
    }
}
