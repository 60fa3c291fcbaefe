//! Owns presence pages: when devices were last seen and what they run, 1,024 of them in one record.

use kernex_model::device::Health;
use kernex_model::id::{BundleId, DeviceId};
use serde::{Deserialize, Serialize};

use crate::changes::Changes;
use crate::error::{CommitError, StoreError};
use crate::key::Key;
use crate::record::Record;
use crate::store::Store;
use crate::walk::Walk;

/// Devices on one presence page.
pub const MAX_PRESENCE_DEVICES: usize = 1_024;

/// What heartbeats told of some devices. The lists are equally long; the same place is the same device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresencePage {
    /// Number of the page.
    pub page: u32,
    /// Which devices, at most [`MAX_PRESENCE_DEVICES`].
    pub device_ids: Vec<DeviceId>,
    /// Last heartbeats, in milliseconds since 1970.
    pub last_seen_ms: Vec<i64>,
    /// How well they said they were.
    pub health: Vec<Health>,
    /// The bundles that they said they run.
    pub bundle_ids: Vec<Option<BundleId>>,
    /// The config versions that they said they run.
    pub config_versions: Vec<Option<u64>>,
}

impl PresencePage {
    fn is_even(&self) -> bool {
        let length = self.device_ids.len();
        let lengths = [self.last_seen_ms.len(), self.health.len(), self.bundle_ids.len(), self.config_versions.len()];
        length <= MAX_PRESENCE_DEVICES && lengths.iter().all(|other| *other == length)
    }
}

impl Record for PresencePage {
    type Id = u32;
    const TABLE: &'static str = "presence";
    // One text a list: a typed array of a thousand elements would be checked element by element.
    const OPAQUE: &'static [&'static str] = &["device_ids", "last_seen_ms", "health", "bundle_ids", "config_versions"];

    fn key_of(page: &u32) -> Key {
        Key::One(format!("{page:010}"))
    }

    fn key(&self) -> Key {
        Self::key_of(&self.page)
    }

    fn id_text(_: &Key) -> Option<String> {
        None
    }
}

impl Store {
    /// Writes presence pages over what was there. Presence is soft state that every heartbeat renews:
    /// this is the one write of a noun without an audit record.
    ///
    /// # Errors
    /// Where the database fails, or the lists of a page are not equally long or too long.
    pub async fn put_presence(&self, pages: &[PresencePage]) -> Result<(), StoreError> {
        if pages.is_empty() {
            return Ok(());
        }
        if !pages.iter().all(PresencePage::is_even) {
            return Err(StoreError::TooMany {
                what: "devices of a presence page, in lists of one length",
                limit: MAX_PRESENCE_DEVICES,
            });
        }
        let mut changes = Changes::unaudited();
        for page in pages {
            changes.put(page);
        }
        self.commit_unaudited(changes).await
    }

    /// At most `limit` presence pages after `after`, by number.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn presence_pages(&self, after: Option<u32>, limit: usize) -> Result<Vec<PresencePage>, StoreError> {
        let from = after.map_or_else(String::new, |page| format!("{page:010}"));
        let rows = self.walk(&Walk::Table, &from, limit).await?;
        Ok(rows.into_iter().map(|(_, page)| page).collect())
    }

    pub(crate) async fn commit_unaudited(&self, changes: Changes) -> Result<(), StoreError> {
        self.commit(changes).await.map_err(|error| match error {
            CommitError::Failed(error) => error,
            other => StoreError::Database(other.to_string()),
        })
    }
}
