//! Owns devices: what is known of one, and which admissions are possible.

use std::borrow::Cow;

use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use crate::attribute::{Facts, Labels};
use crate::digest::Digest;
use crate::id::{BundleId, DeviceId};
use crate::name::{BundleName, BundleVersion, DeviceName, ModelName};
use crate::policy::Fact;
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

impl DeviceAttributes<'_> {
    fn known(&self) -> Known<'_> {
        Known {
            model: self.device.model.as_ref(),
            bundle_name: self.bundle.map(|(name, _)| name),
            bundle_version: self.bundle.map(|(_, version)| version),
            labels: &self.device.labels,
            facts: &self.device.facts,
        }
    }

    /// As policies see a device, by the keys that selectors use.
    #[must_use]
    pub fn to_facts(&self) -> Vec<Fact> {
        self.known().to_facts()
    }
}

impl Attributes for DeviceAttributes<'_> {
    fn texts(&self, key: &str) -> Option<Vec<Cow<'_, str>>> {
        self.known().texts(key)
    }
}

/// What is known of a device, wherever it is written down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) model: Option<&'a ModelName>,
    pub(crate) bundle_name: Option<&'a BundleName>,
    pub(crate) bundle_version: Option<&'a BundleVersion>,
    pub(crate) labels: &'a Labels,
    pub(crate) facts: &'a Facts,
}

impl<'a> Known<'a> {
    /// What a selector compares with under a key.
    pub(crate) fn texts(&self, key: &str) -> Option<Vec<Cow<'a, str>>> {
        let one = |text: &'a str| Some(vec![Cow::Borrowed(text)]);
        match key {
            "model" => self.model.and_then(|model| one(model.as_str())),
            "bundle.name" => self.bundle_name.and_then(|name| one(name.as_str())),
            "bundle.version" => self.bundle_version.and_then(|version| one(version.as_str())),
            _ => match key.strip_prefix("fact.") {
                Some(name) => self.facts.get(&name.parse().ok()?).map(|fact| fact.texts().collect()),
                None => self.labels.get(&key.parse().ok()?).and_then(|value| one(value.as_str())),
            },
        }
    }

    /// All of it, by the keys that selectors use.
    pub(crate) fn to_facts(self) -> Vec<Fact> {
        let mut facts: Vec<Fact> = self.model.iter().map(|model| Fact::text("model", model.as_str())).collect();
        facts.extend(self.labels.iter().map(|(key, value)| Fact::text(key.as_str(), value.as_str())));
        facts.extend(
            self.facts.iter().map(|(name, value)| Fact { name: format!("fact.{name}"), value: value.to_policy() }),
        );
        facts.extend(self.bundle_name.map(|name| Fact::text("bundle.name", name.as_str())));
        facts.extend(self.bundle_version.map(|version| Fact::text("bundle.version", version.as_str())));
        facts
    }
}
