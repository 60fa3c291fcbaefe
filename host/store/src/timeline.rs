//! Owns how a device's timeline and bundle history are stored, newest first.

use kernex_model::bundle::{BundleEvent, BundleHistoryEntry};
use kernex_model::id::{BundleId, DeviceId};
use kernex_model::report::TimelineEntry;
use kernex_model::time::Timestamp;

use crate::cursor::{Listed, Page};
use crate::error::StoreError;
use crate::key::{Key, latest_first};
use crate::record::Record;
use crate::store::Store;
use crate::walk::Walk;

impl Record for TimelineEntry {
    type Id = (DeviceId, Timestamp, u32);
    const TABLE: &'static str = "timeline";
    const APPEND_ONLY: bool = true;

    fn key_of((device, at, sequence): &Self::Id) -> Key {
        Key::Two(device.0.to_string(), format!("{}-{:010}", latest_first(*at), u32::MAX - sequence))
    }

    fn key(&self) -> Key {
        Self::key_of(&(self.device_id, self.at, self.sequence))
    }

    fn id_text(_: &Key) -> Option<String> {
        None
    }
}

impl Record for BundleHistoryEntry {
    type Id = (DeviceId, Timestamp, BundleId, BundleEvent);
    const TABLE: &'static str = "bundle_history";
    const APPEND_ONLY: bool = true;

    fn key_of((device, at, bundle, event): &Self::Id) -> Key {
        let event = match event {
            BundleEvent::Installed => "installed",
            BundleEvent::Verified => "verified",
            BundleEvent::RolledBackTo => "rolled_back_to",
            BundleEvent::Seen => "seen",
        };
        Key::Two(device.0.to_string(), format!("{}-{}-{event}", latest_first(*at), bundle.0))
    }

    fn key(&self) -> Key {
        Self::key_of(&(self.device_id, self.at, self.bundle_id, self.event))
    }

    fn id_text(_: &Key) -> Option<String> {
        None
    }
}

impl Store {
    /// What happened to a device, newest first.
    ///
    /// # Errors
    /// Where the database fails or the cursor is another list's.
    pub async fn timeline(&self, device: DeviceId, page: &Page) -> Result<Listed<TimelineEntry>, StoreError> {
        self.list(&Walk::Group(device.0.to_string()), page).await
    }

    /// What a device ran, newest first.
    ///
    /// # Errors
    /// Where the database fails or the cursor is another list's.
    pub async fn bundle_history(
        &self,
        device: DeviceId,
        page: &Page,
    ) -> Result<Listed<BundleHistoryEntry>, StoreError> {
        self.list(&Walk::Group(device.0.to_string()), page).await
    }
}
