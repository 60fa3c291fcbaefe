//! Owns a component in the author's hands: read, inspected and prepared exactly as a server does it.

use std::path::{Path, PathBuf};

use kernex_engine::{Engine, Inspection, Policy, PrepareError};
use kernex_model::policy::{Diagnostic, Fault, Gate};
use serde_json::Value;

use super::file::{FileError, read};
use crate::app::policies::settings::{check_schema, check_settings};
use crate::host::{self, StartError};

/// Why a component cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub(super) enum ComponentError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] StartError),
    /// The bytes.
    #[error("{}: {fault}", path.display())]
    Refused {
        /// Which file.
        path: PathBuf,
        /// What the engine says to it.
        fault: Fault,
    },
    /// What it says about its settings.
    #[error("{}: {why}", path.display())]
    Schema {
        /// Which file.
        path: PathBuf,
        /// What is wrong with the schema.
        why: String,
    },
}

/// A component that a server would take.
pub(super) struct Component {
    engine: Engine,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// What it is and wants.
    pub(super) inspection: Inspection,
}

/// Who found settings to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judge {
    /// The plugin's JSON Schema.
    Schema,
    /// The plugin itself.
    Plugin,
}

/// Why there is no policy.
#[derive(Debug)]
pub(super) enum Unprepared {
    /// The settings.
    Settings(Judge, Vec<Diagnostic>),
    /// The plugin, in a sentence.
    Failed(String),
}

impl Unprepared {
    /// A line for each thing that is wrong.
    pub(super) fn lines(&self) -> Vec<String> {
        match self {
            Self::Failed(why) => vec![why.clone()],
            Self::Settings(judge, diagnostics) => {
                let by = match judge {
                    Judge::Schema => "schema",
                    Judge::Plugin => "plugin",
                };
                let line = |diagnostic: &Diagnostic| {
                    let pointer = if diagnostic.pointer.is_empty() { "(all)" } else { &diagnostic.pointer };
                    format!("settings {pointer}: {} (says the {by})", diagnostic.message)
                };
                diagnostics.iter().map(line).collect()
            }
        }
    }
}

impl Component {
    /// Reads a component and looks at it as a server does at an upload: size, form, imports, manifest, schema.
    ///
    /// # Errors
    /// [`ComponentError`].
    pub(super) fn open(path: &Path) -> Result<Self, ComponentError> {
        let engine = host::engine()?;
        let limit = u64::try_from(engine.limits().component_bytes).unwrap_or(u64::MAX);
        let bytes = read(path, limit)?;
        let inspection =
            engine.inspect(&bytes).map_err(|fault| ComponentError::Refused { path: path.to_owned(), fault })?;
        check_schema(&inspection.manifest.settings_schema)
            .map_err(|why| ComponentError::Schema { path: path.to_owned(), why })?;
        Ok(Self { engine, bytes, inspection })
    }

    /// Configures it: the schema has the first word about the settings, the plugin the last.
    ///
    /// # Errors
    /// [`Unprepared`].
    pub(super) fn prepare(&self, gate: Gate, settings: &Value) -> Result<Policy, Unprepared> {
        let diagnostics = check_settings(&self.inspection.manifest.settings_schema, settings);
        if !diagnostics.is_empty() {
            return Err(Unprepared::Settings(Judge::Schema, diagnostics));
        }
        self.engine.prepare(&self.bytes, gate, &settings.to_string()).map_err(|error| match error {
            PrepareError::Settings(diagnostics) => Unprepared::Settings(Judge::Plugin, diagnostics),
            PrepareError::Refused { .. } | PrepareError::WrongGate { .. } | PrepareError::Fault(_) => {
                Unprepared::Failed(error.to_string())
            }
        })
    }

    /// Name, version and gates in one line.
    pub(super) fn title(&self) -> String {
        let manifest = &self.inspection.manifest;
        format!("{} {} ({})", manifest.name, manifest.version, self.gates())
    }

    /// The gates that it serves.
    pub(super) fn gates(&self) -> String {
        let gates: Vec<&str> = self.inspection.gates.iter().map(|gate| gate.as_str()).collect();
        gates.join(", ")
    }
}
