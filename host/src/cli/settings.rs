//! Owns `config` and `openapi`: what is set, what can be, and what the API is.

use std::sync::Arc;

use clap::Subcommand;

use super::{CliError, Global};
use crate::cli::output::{say, say_no_newline};
use crate::config::{self, DataDir, Settings};
use crate::telemetry::ExportFailures;
use crate::{host, http};

/// For `kernex config --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  kernex config show
  kernex config show --config /etc/kernex.toml";

/// Settings.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the settings in force as TOML, without secrets
    Show(Global),
    /// Print every setting there is, as the book's chapter on them, in Markdown
    Reference,
}

impl Command {
    pub(super) fn run(self) -> Result<(), CliError> {
        match self {
            Self::Show(global) => say_no_newline!("{}", global.settings(None)?.to_toml().map_err(CliError::failed)?),
            // Reads no settings: who looks one up may have wrong ones.
            Self::Reference => say_no_newline!("{}", config::chapter()),
        }
        Ok(())
    }
}

/// Prints the OpenAPI document. It is a function of the program alone, so a server in memory will do.
pub(crate) async fn openapi() -> Result<(), CliError> {
    let directory = tempfile::tempdir().map_err(CliError::failed)?;
    let mut settings = Settings { data_dir: DataDir(directory.path().to_owned()), ..Settings::default() };
    settings.store.url = Some("mem://".to_owned());
    let opened = host::open(&settings, &host::engine()?, &ExportFailures::default()).await?;
    say!("{}", http::openapi(&Arc::new(opened.app)));
    Ok(())
}
