//! Owns bundles (immutable signed content) and device configs (versioned documents).

use poem_openapi::types::Any;
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use crate::attribute::Labels;
use crate::digest::Digest;
use crate::id::{AssignmentId, BundleId, DeviceId};
use crate::name::{BundleName, BundleVersion, MediaType};
use crate::principal::Principal;
use crate::time::Timestamp;

/// Whether a bundle may still be deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum BundleStatus {
    /// May be deployed.
    Available,
    /// A fleet was rolled back from it: never deployed again.
    Bad,
    /// Taken out of use by a person.
    Retired,
}

/// Immutable content with a name and version. Its bytes are in the object store under its digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct Bundle {
    /// Identifier.
    pub id: BundleId,
    /// Name; together with the version unique.
    pub name: BundleName,
    /// Version.
    pub version: BundleVersion,
    /// Bytes of content.
    pub size: u64,
    /// SHA-256 of the content.
    pub sha256: Digest,
    /// Media type of the content.
    pub media_type: MediaType,
    /// Set by operators; `models` lists the hardware it fits, joined by `+`.
    pub labels: Labels,
    /// Detached signature for the device to check; opaque to the server.
    pub signature: Option<String>,
    /// Whether it may be deployed.
    pub status: BundleStatus,
    /// Who uploaded it.
    pub created_by: Principal,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// Optimistic-concurrency counter.
    pub revision: u64,
}

/// One version of a device's config. A new one never overwrites an old one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct DeviceConfig {
    /// Whose config it is.
    pub device_id: DeviceId,
    /// Counted from 1.
    pub version: u64,
    /// The document.
    pub document: Any<serde_json::Value>,
    /// SHA-256 of the document's compact JSON form.
    pub digest: Digest,
    /// The assignment that delivers it: the device's reports on it say how it went.
    pub assignment_id: Option<AssignmentId>,
    /// Who wrote it.
    pub created_by: Principal,
    /// When it was written.
    pub created_at: Timestamp,
}

/// What happened to a bundle on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum BundleEvent {
    /// The device runs it.
    Installed,
    /// It stayed healthy over the soak time.
    Verified,
    /// The device went back to it.
    RolledBackTo,
    /// The device's heartbeat named it, without a deployment.
    Seen,
}

/// One entry of a device's bundle history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct BundleHistoryEntry {
    /// Whose history.
    pub device_id: DeviceId,
    /// When.
    pub at: Timestamp,
    /// Which bundle.
    pub bundle_id: BundleId,
    /// What happened.
    pub event: BundleEvent,
    /// The assignment that led to it.
    pub assignment_id: Option<AssignmentId>,
}
