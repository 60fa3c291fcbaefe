//! Owns `migrate`: the database's schema by hand. The server does `up` by itself when it starts.

use std::fmt::Write as _;

use clap::Subcommand;
use kernex_store::{MigrationError, MigrationState};

use super::CliError;
use super::output::say_no_newline;
use crate::config::Settings;
use crate::host;

/// For `kernex migrate --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  kernex migrate status
  kernex migrate up --data-dir /var/lib/kernex
  kernex migrate down --steps 1 --yes";

/// Bring the database's schema up or down.
#[derive(Debug, Subcommand)]
pub(crate) enum Migrate {
    /// Apply every migration that was not applied
    Up,
    /// Take applied migrations back, with the data they made room for
    Down {
        /// How many
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
        steps: u16,
        /// Yes, the data may go
        #[arg(long, required = true)]
        yes: bool,
    },
    /// List the migrations and where each stands
    Status,
}

impl Migrate {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), CliError> {
        let store = host::open_store(settings).await?;
        let done = self.with(&store.migrations()).await;
        store.close().await.map_err(CliError::failed)?;
        // Last: it may be the end of the process.
        say_no_newline!("{}", done.map_err(CliError::failed)?);
        Ok(())
    }

    /// Does it, and tells what came of it, in lines.
    async fn with(self, migrations: &kernex_store::Migrator) -> Result<String, MigrationError> {
        Ok(match self {
            Self::Up => {
                let applied = migrations.up().await?;
                format!("{applied} applied\n")
            }
            Self::Down { steps, yes: _ } => {
                let taken = migrations.down(usize::from(steps)).await?;
                format!("{taken} taken back\n")
            }
            Self::Status => {
                let mut lines = String::new();
                for migration in migrations.status().await? {
                    // Writing to a text does not fail.
                    let _ = writeln!(lines, "{:<40} {}", migration.name, words(&migration.state));
                }
                lines
            }
        })
    }
}

fn words(state: &MigrationState) -> String {
    match state {
        MigrationState::Applied { at } => format!("applied at {at}"),
        MigrationState::Pending => "pending".to_owned(),
        MigrationState::Drifted => "applied in another form: its checksum differs".to_owned(),
        MigrationState::Unknown => "applied by a newer program".to_owned(),
    }
}
