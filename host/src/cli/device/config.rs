//! Owns `device config`: shows a device's config, writes a new one, and lists what there was.

use std::path::PathBuf;

use clap::Subcommand;
use kernex_model::id::DeviceId;
use serde_json::{Value, json};

use crate::cli::CliError;
use crate::cli::listing::{Column, Format, Listing, show_one};
use crate::cli::operator::Server;
use crate::cli::plugin::file::read;

const COLUMNS: [Column; 5] = [
    ("version", "/version"),
    ("created", "/created_at"),
    ("by", "/created_by"),
    ("assignment", "/assignment_id"),
    ("document", "/document"),
];

/// Size of a document, in bytes: more than any server takes.
const MAX_DOCUMENT_BYTES: u64 = 4 << 20;

/// A device's config.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show a device's latest config, delivered or not
    Get {
        #[command(flatten)]
        server: Server,
        /// The device (dev_…)
        device: DeviceId,
        /// How it is shown
        #[arg(long, short, value_enum, default_value_t)]
        output: Format,
    },
    /// Write a new version, which the device gets with its next heartbeat
    Put(Put),
    /// List the versions of a device's config, the newest first
    History {
        #[command(flatten)]
        listing: Listing,
        /// The device (dev_…)
        device: DeviceId,
    },
}

/// Write a new version.
#[derive(Debug, clap::Args)]
pub(crate) struct Put {
    #[command(flatten)]
    server: Server,
    /// The device (dev_…)
    device: DeviceId,
    /// A file with the document: any JSON
    file: PathBuf,
    /// How the version is shown
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

impl Config {
    pub(super) async fn run(self) -> Result<(), CliError> {
        match self {
            Self::Get { server, device, output } => {
                let config: Value = server.operator().await?.get(&path(device)).await?;
                show_one(&config, &COLUMNS, output)
            }
            Self::Put(put) => put.run().await,
            Self::History { listing, device } => {
                listing.print(&format!("{}/versions", path(device)), &[], &COLUMNS).await
            }
        }
    }
}

impl Put {
    async fn run(self) -> Result<(), CliError> {
        let failed = |why: serde_json::Error| CliError::Failed(format!("{}: {why}", self.file.display()));
        let text = read(&self.file, MAX_DOCUMENT_BYTES).map_err(CliError::failed)?;
        let document: Value = serde_json::from_slice(&text).map_err(failed)?;
        let operator = self.server.operator().await?;
        let config: Value = operator.put(&path(self.device), &json!({ "document": document })).await?;
        show_one(&config, &COLUMNS, self.output)
    }
}

fn path(device: DeviceId) -> String {
    format!("/api/v1/devices/{device}/config")
}
