//! A plugin for every gate that does wrong on request. It goes past the SDK's traits, which would
//! not let it.

mod gates;
mod mischief;

use std::sync::OnceLock;

use kernex_sdk::Diagnostic;
use kernex_sdk::bindings::lifecycle::exports::kernex::policy::lifecycle::{Guest, Manifest};
use serde::Deserialize;

pub use mischief::Mischief;

/// Which wrong to do, and where.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// In `configure`.
    configure: Mischief,
    /// In a decision.
    decide: Mischief,
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();

/// The wrong to do in a decision.
fn mischief() -> Mischief {
    SETTINGS.get().map(|settings| settings.decide).unwrap_or_default()
}

/// The guest.
pub struct Misbehaving;

impl Guest for Misbehaving {
    fn describe() -> Manifest {
        Manifest {
            name: "misbehaving".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Does wrong on request".to_owned(),
            settings_schema: r#"{"type": "object"}"#.to_owned(),
        }
    }

    fn configure(settings: String) -> Result<(), Vec<Diagnostic>> {
        let wrong = |message: String| vec![Diagnostic::new("", message)];
        let settings: Settings = serde_json::from_str(&settings).map_err(|error| wrong(error.to_string()))?;
        let configure = settings.configure;
        SETTINGS.set(settings).map_err(|_| wrong("configured twice".to_owned()))?;
        configure.happen();
        match configure {
            Mischief::Wordy => Err(wrong("x".repeat(mischief::WORDY_BYTES))),
            Mischief::Nonsense => Err(Vec::new()),
            _ => Ok(()),
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod exports {
    use kernex_sdk::bindings;

    use super::Misbehaving;

    bindings::lifecycle::export_lifecycle_part!(Misbehaving with_types_in bindings::lifecycle);
    bindings::authorization::export_authorization_part!(Misbehaving with_types_in bindings::authorization);
    bindings::targeting::export_targeting_part!(Misbehaving with_types_in bindings::targeting);
    bindings::rollback::export_rollback_part!(Misbehaving with_types_in bindings::rollback);
}
