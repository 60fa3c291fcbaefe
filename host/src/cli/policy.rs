//! Owns `policy`: lists a server's policies, and the way back in when none lets anybody in, which is never over HTTP.

use clap::Subcommand;

use super::listing::{Column, Listing};
use super::{CliError, Global};
use crate::app::{Context, Policies};
use crate::host;

const COLUMNS: [Column; 6] = [
    ("name", "/name"),
    ("gate", "/gate"),
    ("revision", "/revision"),
    ("plugin", "/plugin"),
    ("created", "/created_at"),
    ("by", "/created_by"),
];

/// For `kernex policy --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  kernex policy list
  kernex policy list --output json
  kernex policy restore --data-dir /var/lib/kernex";

/// Policies: those on a server, and the way back in on this machine.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// List the policies of a server that decide
    List(Listing),
    /// Make the bundled authorization policy the active one again, on this machine while the server is stopped
    Restore,
}

impl Policy {
    pub(super) async fn run(self, global: Global) -> Result<(), CliError> {
        match self {
            Self::List(listing) => listing.print("/api/v1/policies", &[], &COLUMNS).await,
            Self::Restore => {
                let store = host::open_migrated(&global.settings(None)?).await?;
                let restored = Policies::restore_authorization(&host::engine()?, &store, &Context::system()).await;
                store.close().await.map_err(CliError::failed)?;
                let revision = restored.map_err(CliError::failed)?;
                println!("{} revision {} is active", revision.name, revision.revision);
                Ok(())
            }
        }
    }
}
