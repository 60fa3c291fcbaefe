//! The lifecycle interface: what a plugin says about itself and its settings.

use kernex_model::policy::{self as model, Fault};

use super::bindings::exports::kernex::policy::lifecycle;
use super::output::{MESSAGE_BYTES, NAME_BYTES, bad, bounded, word};
use super::types;

pub(crate) use lifecycle::GuestIndices as Indices;

/// Size of a settings schema, in bytes of JSON.
const SCHEMA_BYTES: usize = 64 << 10;
/// How many diagnostics one `configure` may return.
const DIAGNOSTICS: usize = 100;
/// Length of a JSON pointer, in bytes.
const POINTER_BYTES: usize = 512;

pub(crate) fn manifest(manifest: lifecycle::Manifest) -> Result<model::Manifest, Fault> {
    let schema = bounded("a settings schema", manifest.settings_schema, SCHEMA_BYTES)?;
    Ok(model::Manifest {
        name: word("a plugin's name", manifest.name)?,
        version: bounded("a plugin's version", manifest.version, NAME_BYTES)?,
        summary: bounded("a plugin's summary", manifest.summary, MESSAGE_BYTES)?,
        settings_schema: serde_json::from_str(&schema)
            .or_else(|error| bad(format!("a settings schema that is no JSON: {error}")))?,
    })
}

pub(crate) fn diagnostics(diagnostics: Vec<types::Diagnostic>) -> Result<Vec<model::Diagnostic>, Fault> {
    if diagnostics.is_empty() || diagnostics.len() > DIAGNOSTICS {
        return bad(format!("{} diagnostics; 1 to {DIAGNOSTICS} are allowed", diagnostics.len()));
    }
    let diagnostic = |diagnostic: types::Diagnostic| {
        let pointer = bounded("a diagnostic's pointer", diagnostic.pointer, POINTER_BYTES)?;
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return bad("a diagnostic whose pointer is no JSON pointer");
        }
        let message = bounded("a diagnostic's message", diagnostic.message, MESSAGE_BYTES)?;
        Ok(model::Diagnostic { pointer, message })
    };
    diagnostics.into_iter().map(diagnostic).collect()
}
