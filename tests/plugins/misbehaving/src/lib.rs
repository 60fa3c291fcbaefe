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
    /// The one function of the gate that does wrong; every one, where it is missing.
    only: Option<String>,
    /// Whether an authorization gate that does no wrong allows. It denies otherwise.
    allows: bool,
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();

/// The wrong that a function is to do in a decision.
fn mischief(function: &str) -> Mischief {
    let meant = |settings: &&Settings| settings.only.as_deref().is_none_or(|only| only == function);
    SETTINGS.get().filter(meant).map(|settings| settings.decide).unwrap_or_default()
}

/// Whether the authorization gate allows where it does no wrong.
fn allows() -> bool {
    SETTINGS.get().is_some_and(|settings| settings.allows)
}

/// The guest.
pub struct Misbehaving;

impl Guest for Misbehaving {
    fn describe() -> Manifest {
        let wrong = Mischief::in_describe();
        wrong.happen();
        let summary = match wrong {
            Mischief::Giant | Mischief::Wordy | Mischief::Garbled => wrong.text(),
            _ => "Does wrong on request".to_owned(),
        };
        Manifest {
            name: if wrong == Mischief::Nonsense { "Not A Name" } else { "misbehaving" }.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary,
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
            Mischief::Giant | Mischief::Wordy | Mischief::Garbled => Err(wrong(configure.text())),
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
