//! Owns what devices and the host say to each other about work: reports, commands, timeline entries.

use poem_openapi::types::Any;
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{AssignmentId, BundleId, DecisionId, DeploymentId, DeviceId};
use crate::name::{BundleName, BundleVersion};
use crate::time::Timestamp;

/// Bytes of an error's code.
pub const MAX_ERROR_CODE_BYTES: usize = 64;
/// Bytes of an error's message.
pub const MAX_ERROR_MESSAGE_BYTES: usize = 1_024;

/// What a device says happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum ReportState {
    /// It downloads.
    Downloading,
    /// It installs.
    Installing,
    /// It runs what was sent.
    Installed,
    /// It tried and failed.
    Failed,
    /// It will not try.
    Rejected,
}

impl ReportState {
    /// The name as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Downloading => "downloading",
            Self::Installing => "installing",
            Self::Installed => "installed",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
        }
    }
}

/// What went wrong on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[oai(deny_unknown_fields)]
pub struct ReportedError {
    /// For machines.
    #[oai(validator(min_length = 1, max_length = 64))]
    pub code: String,
    /// For people.
    #[oai(validator(max_length = 1024))]
    pub message: String,
}

/// What a device said happened in one attempt; the same report twice has no second effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
#[oai(deny_unknown_fields)]
pub struct Report {
    /// What it is about.
    pub assignment_id: AssignmentId,
    /// The attempt that the command named.
    #[oai(validator(minimum(value = "1")))]
    pub attempt: u32,
    /// What happened.
    pub state: ReportState,
    /// Percent done.
    #[oai(validator(maximum(value = "100")))]
    pub progress: Option<u8>,
    /// What went wrong, where it did.
    pub error: Option<ReportedError>,
}

impl Report {
    /// The error, or one that says that the device gave none.
    #[must_use]
    pub fn error_or_default(&self) -> ReportedError {
        self.error.clone().unwrap_or_else(|| ReportedError {
            code: self.state.as_str().to_owned(),
            message: "the device gave no reason".to_owned(),
        })
    }
}

/// What a command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum CommandKind {
    /// Install a bundle.
    Install,
    /// Apply a config.
    Configure,
    /// Go back to an earlier bundle or config.
    Rollback,
}

/// The bundle that a command is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct CommandBundle {
    /// Identifier.
    pub id: BundleId,
    /// Name.
    pub name: BundleName,
    /// Version.
    pub version: BundleVersion,
    /// Bytes of content.
    pub size: u64,
    /// SHA-256 of the content, for the device to check.
    pub sha256: Digest,
    /// Detached signature, for the device to check.
    pub signature: Option<String>,
    /// Where the content is, on this server.
    pub download_path: String,
}

/// The config that a command is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct CommandConfig {
    /// Version, to be sent back in heartbeats.
    pub version: u64,
    /// The document.
    pub document: Any<serde_json::Value>,
    /// SHA-256 of the document's compact JSON form with sorted keys.
    pub sha256: Digest,
}

/// What a heartbeat's answer tells a device to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct Command {
    /// What to do.
    pub kind: CommandKind,
    /// To be sent back in reports.
    pub assignment_id: AssignmentId,
    /// To be sent back in reports.
    pub attempt: u32,
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// The bundle to install or go back to.
    pub bundle: Option<CommandBundle>,
    /// The config to apply or go back to.
    pub config: Option<CommandConfig>,
}

/// What kind of thing happened to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum TimelineKind {
    /// It enrolled.
    Enrolled,
    /// An operator changed its standing or labels.
    Operator,
    /// It became part of a deployment.
    Assigned,
    /// It was told to act.
    Offered,
    /// It reported.
    Report,
    /// An attempt or soak ended without a report.
    Driver,
}

/// One thing that happened to a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct TimelineEntry {
    /// Whose timeline.
    pub device_id: DeviceId,
    /// When.
    pub at: Timestamp,
    /// Tells entries of the same millisecond apart.
    pub sequence: u32,
    /// What kind of thing.
    pub kind: TimelineKind,
    /// For machines: `offered`, `report.installed`, `soak.verified`, ...
    pub code: String,
    /// For people.
    pub message: String,
    /// The deployment it belongs to.
    pub deployment_id: Option<DeploymentId>,
    /// The decision that led to it.
    pub decision_id: Option<DecisionId>,
}
