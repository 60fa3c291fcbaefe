//! Owns `config show` and `openapi`: what is set, and what the API is.

use clap::Subcommand;

use super::CliError;
use crate::config::Settings;

/// Settings.
#[derive(Debug, Subcommand)]
pub enum Show {
    /// Print the settings in force as TOML, without secrets
    Show,
}

impl Show {
    pub(super) fn run(self, settings: &Settings) -> Result<(), CliError> {
        match self {
            Self::Show => print!("{}", settings.to_toml().map_err(CliError::failed)?),
        }
        Ok(())
    }
}

/// Prints the OpenAPI document, which needs no server.
pub fn openapi() -> Result<(), CliError> {
    println!("{}", crate::http::openapi_document());
    Ok(())
}
