//! Owns devices: what is known of one, and which admissions are possible.

use std::borrow::Cow;

use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use crate::attribute::{Facts, Labels};
use crate::digest::Digest;
use crate::id::{BundleId, DeviceId};
use crate::name::{BundleName, BundleVersion, DeviceName, ModelName};
use crate::selector::Attributes;
use crate::time::Timestamp;

/// Where a device stands with its operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum DeviceStatus {
    /// Enrolled, waits for admission; gets no token.
    Pending,
    /// Admitted.
    Active,
    /// Shut out for now.
    Blocked,
    /// Gone for good; its identifier and history stay.
    Retired,
}

/// What an operator does to a device's standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// pending -> active
    Admit,
    /// active -> blocked
    Block,
    /// blocked -> active
    Unblock,
    /// anything but retired -> retired
    Retire,
}

impl DeviceStatus {
    /// The name as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Blocked => "blocked",
            Self::Retired => "retired",
        }
    }

    /// The standing after `admission`; `None` where it is not possible. Doing again what is done is
    /// possible and changes nothing.
    #[must_use]
    pub fn after(self, admission: Admission) -> Option<Self> {
        match (self, admission) {
            (Self::Pending | Self::Active, Admission::Admit) | (Self::Blocked | Self::Active, Admission::Unblock) => {
                Some(Self::Active)
            }
            (Self::Active | Self::Blocked, Admission::Block) => Some(Self::Blocked),
            (_, Admission::Retire) => Some(Self::Retired),
            (Self::Blocked | Self::Retired, Admission::Admit)
            | (Self::Pending | Self::Retired, Admission::Unblock | Admission::Block) => None,
        }
    }
}

/// How well a device says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum, Default)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum Health {
    /// All is well; also what a heartbeat without the field means.
    #[default]
    Healthy,
    /// Works, but not as it should.
    Degraded,
    /// Does not work.
    Failed,
}

/// An enrolled endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct Device {
    /// Identifier.
    pub id: DeviceId,
    /// Name for people.
    pub name: Option<DeviceName>,
    /// Hardware model.
    pub model: Option<ModelName>,
    /// Standing.
    pub status: DeviceStatus,
    /// Set by operators.
    pub labels: Labels,
    /// Reported by the device.
    pub facts: Facts,
    /// SHA-256 of the public key's DER form (SubjectPublicKeyInfo): one key, one device.
    pub key_digest: Digest,
    /// The public key (PEM, SubjectPublicKeyInfo).
    pub public_key: String,
    /// The bundle it runs, as far as its reports and heartbeats say.
    pub bundle_id: Option<BundleId>,
    /// The last bundle that stayed healthy over a soak time: where a rollback leads.
    pub verified_bundle_id: Option<BundleId>,
    /// The config version it runs.
    pub config_version: Option<u64>,
    /// Last heartbeat. Kept in memory and flushed in batches, not in the device's own record.
    #[serde(skip)]
    pub last_seen_at: Option<Timestamp>,
    /// When it enrolled.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Optimistic-concurrency counter of what operators edit; the ETag.
    pub revision: u64,
}

/// A device together with what its bundle is called: all that a selector or policy can ask about.
#[derive(Debug, Clone, Copy)]
pub struct DeviceAttributes<'a> {
    /// The device.
    pub device: &'a Device,
    /// Name and version of the bundle it runs, where it is known.
    pub bundle: Option<(&'a BundleName, &'a BundleVersion)>,
}

impl Attributes for DeviceAttributes<'_> {
    fn texts(&self, key: &str) -> Option<Vec<Cow<'_, str>>> {
        let one = |text| Some(vec![Cow::Borrowed(text)]);
        match key {
            "model" => self.device.model.as_ref().and_then(|model| one(model.as_str())),
            "bundle.name" => self.bundle.and_then(|(name, _)| one(name.as_str())),
            "bundle.version" => self.bundle.and_then(|(_, version)| one(version.as_str())),
            _ => match key.strip_prefix("fact.") {
                Some(name) => self.device.facts.get(&name.parse().ok()?).map(|fact| fact.texts().collect()),
                None => self.device.labels.get(&key.parse().ok()?).and_then(|value| one(value.as_str())),
            },
        }
    }
}
