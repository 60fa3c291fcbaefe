//! Owns `policy restore`: the way back in, when no policy lets anybody in. Never over HTTP.

use clap::Subcommand;

use super::CliError;
use crate::app::{Context, Policies};
use crate::config::Settings;
use crate::host;

/// Policies, on this machine and while the server is stopped.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Make the bundled authorization policy the active one again
    Restore,
}

impl Policy {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), CliError> {
        match self {
            Self::Restore => {
                let store = host::open_migrated(settings).await?;
                let restored = Policies::restore_authorization(&store, &Context::system()).await;
                store.close().await.map_err(CliError::failed)?;
                let revision = restored.map_err(CliError::failed)?;
                println!("{} revision {} is active", revision.name, revision.revision);
                Ok(())
            }
        }
    }
}
