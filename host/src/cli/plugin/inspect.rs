//! Owns `plugin inspect`: what a component says about itself and wants from the host.

use std::path::PathBuf;

use serde_json::json;

use super::component::Component;
use super::report::{grouped, shown};
use crate::cli::CliError;
use crate::cli::listing::Format;
use crate::cli::output::say;

const EXAMPLES: &str = "\
Examples:
  kernex plugin inspect target/kernex/my-rings.wasm
  kernex plugin inspect my-rings.wasm --output json | jq .settings_schema > schema.json";

/// Show what a component is: name, version, gate, imports, exports, digest, schema.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Inspect {
    /// The component
    file: PathBuf,
    /// How it is shown
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

impl Inspect {
    pub(super) fn run(self) -> Result<(), CliError> {
        let component = Component::open(&self.file).map_err(CliError::failed)?;
        let (inspection, size) = (&component.inspection, u64::try_from(component.bytes.len()).unwrap_or(u64::MAX));
        let manifest = &inspection.manifest;
        let schema = serde_json::to_string_pretty(&manifest.settings_schema).map_err(CliError::failed)?;
        match self.output {
            Format::Json => {
                let shown = json!({
                    "name": manifest.name,
                    "version": manifest.version,
                    "summary": manifest.summary,
                    "gates": inspection.gates,
                    "imports": inspection.imports,
                    "exports": inspection.exports,
                    "size": size,
                    "digest": inspection.digest,
                    "settings_schema": manifest.settings_schema,
                });
                say!("{}", serde_json::to_string_pretty(&shown).map_err(CliError::failed)?);
            }
            Format::Table => {
                say!("name      {}", manifest.name);
                say!("version   {}", shown(&manifest.version));
                say!("summary   {}", shown(&manifest.summary));
                say!("gate      {}", component.gates());
                inspection.imports.iter().for_each(|import| say!("imports   {import}"));
                inspection.exports.iter().for_each(|export| say!("exports   {}", shown(export)));
                say!("size      {} bytes", grouped(size));
                say!("digest    {}", inspection.digest);
                say!("settings  by this JSON Schema:\n{schema}");
            }
        }
        Ok(())
    }
}
