//! Owns how devices are stored: what operators set moves with the revision, what the host learns does not.

use kernex_model::attribute::Facts;
use kernex_model::device::Device;
use kernex_model::digest::Digest;
use kernex_model::id::{BundleId, DeviceId};
use kernex_model::name::ModelName;
use kernex_model::time::Timestamp;
use serde_json::json;
use surrealdb::types::{Object, SurrealValue, Value, Variables};

use crate::codec;
use crate::device_term;
use crate::error::StoreError;
use crate::key::Key;
use crate::record::{Record, Revised};
use crate::store::Store;
use crate::walk::Walk;

impl Record for Device {
    type Id = DeviceId;
    const TABLE: &'static str = "device";
    const DERIVED: &'static [&'static str] = &["terms", "fact_terms", "model_terms"];
    const EDITED: Option<&'static [&'static str]> =
        Some(&["name", "status", "labels", "key_digest", "public_key", "updated_at", "revision", "terms"]);
    const TERM_TABLE: Option<&'static str> = Some("device_term");

    fn key_of(id: &DeviceId) -> Key {
        Key::oldest_first(id.0)
    }

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }

    fn id_text(key: &Key) -> Option<String> {
        Some(format!("{}{}", DeviceId::PREFIX, key.sort()))
    }

    fn derive(&self, row: &mut Object) {
        row.insert("terms", device_term::edited(self));
        row.insert("fact_terms", device_term::facts(&self.facts));
        row.insert("model_terms", device_term::model(self.model.as_ref()));
    }

    fn terms(&self) -> Vec<String> {
        let mut terms = device_term::edited(self);
        terms.extend(device_term::facts(&self.facts));
        terms.extend(device_term::model(self.model.as_ref()));
        terms
    }
}

/// An update writes what operators set: name, standing, labels and key. Everything else of a device is
/// written by [`crate::Changes::patch_device`], so that neither overwrites the other.
impl Revised for Device {
    fn revision(&self) -> u64 {
        self.revision
    }
}

/// What the host learnt of a device. A field that is `None` stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct DevicePatch {
    /// Which device.
    pub id: DeviceId,
    /// The bundle it runs.
    pub bundle_id: Option<Option<BundleId>>,
    /// The last bundle that stayed healthy.
    pub verified_bundle_id: Option<Option<BundleId>>,
    /// The config version it runs.
    pub config_version: Option<Option<u64>>,
    /// All its facts.
    pub facts: Option<Facts>,
    /// Its hardware model.
    pub model: Option<Option<ModelName>>,
    /// When.
    pub updated_at: Timestamp,
}

impl DevicePatch {
    /// A patch that changes nothing yet.
    #[must_use]
    pub fn new(id: DeviceId, updated_at: Timestamp) -> Self {
        Self {
            id,
            bundle_id: None,
            verified_bundle_id: None,
            config_version: None,
            facts: None,
            model: None,
            updated_at,
        }
    }

    /// As the statement takes it: what is merged, and the facts, which replace the old ones as a whole.
    pub(crate) fn entry(&self) -> Result<Object, StoreError> {
        let mut fields = Object::new();
        fields.insert("updated_at", self.updated_at.to_string());
        if let Some(bundle) = self.bundle_id {
            fields.insert("bundle_id", json!(bundle).into_value());
        }
        if let Some(bundle) = self.verified_bundle_id {
            fields.insert("verified_bundle_id", json!(bundle).into_value());
        }
        if let Some(version) = self.config_version {
            fields.insert("config_version", json!(version).into_value());
        }
        if let Some(model) = &self.model {
            fields.insert("model", json!(model).into_value());
            fields.insert("model_terms", device_term::model(model.as_ref()));
        }
        let mut entry = Object::new();
        if let Some(facts) = &self.facts {
            fields.insert("fact_terms", device_term::facts(facts));
            let facts = serde_json::to_value(facts)
                .map_err(|error| StoreError::Unreadable { record: self.id.to_string(), reason: error.to_string() })?;
            entry.insert("facts", facts.into_value());
        }
        let key = Device::key_of(&self.id);
        entry.insert("id", key.record_id(Device::TABLE));
        entry.insert("sort", key.sort().to_owned());
        entry.insert("fields", Value::Object(fields));
        Ok(entry)
    }
}

impl Store {
    /// One device.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn device(&self, id: DeviceId) -> Result<Option<Device>, StoreError> {
        self.get(&id).await
    }

    /// The device with this key.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn device_by_key(&self, key: Digest) -> Result<Option<Device>, StoreError> {
        let mut variables = Variables::new();
        variables.insert("key", key.to_string());
        let rows = self.rows("SELECT * FROM device WHERE key_digest = $key LIMIT 1", variables, 0).await?;
        rows.into_iter().next().map(codec::decode).transpose()
    }

    /// Devices by their identifiers, in their order; those that do not exist are left out.
    ///
    /// # Errors
    /// Where the database fails or there are more than 5,000.
    pub async fn devices_by_id(&self, ids: &[DeviceId]) -> Result<Vec<Device>, StoreError> {
        self.get_many(ids).await
    }

    /// At most `limit` devices after `after`, in the order of their identifiers.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn scan_devices(&self, after: Option<DeviceId>, limit: usize) -> Result<Vec<Device>, StoreError> {
        let from = after.map_or_else(String::new, |id| id.0.to_string());
        let rows = self.walk::<Device>(&Walk::Table, &from, limit).await?;
        Ok(rows.into_iter().map(|(_, device)| device).collect())
    }
}
