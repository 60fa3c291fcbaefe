//! What every plugin is, whichever gate it serves.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Diagnostic, pointer};

/// A configured plugin. The value holds whatever its decisions need, computed once from the
/// settings.
///
/// ```
/// use kernex_sdk::{Diagnostic, Plugin};
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Settings {
///     /// Devices that may fail.
///     max_failed: u32,
/// }
///
/// struct Careful {
///     max_failed: u32,
/// }
///
/// impl Plugin for Careful {
///     const NAME: &'static str = "careful";
///     const SUMMARY: &'static str = "Pauses when too many devices fail";
///     type Settings = Settings;
///
///     fn configure(settings: Settings) -> Result<Self, Vec<Diagnostic>> {
///         match settings.max_failed {
///             0 => Err(vec![Diagnostic::new("/max_failed", "at least one has to be able to fail")]),
///             max_failed => Ok(Self { max_failed }),
///         }
///     }
/// }
///
/// assert_eq!(Careful::from_json(r#"{"max_failed": 2}"#).ok().map(|plugin| plugin.max_failed), Some(2));
/// let wrong = |settings: &str| Careful::from_json(settings).err().map(|mut found| found.remove(0).pointer);
/// assert_eq!(wrong(r#"{"max_failed": 0}"#).as_deref(), Some("/max_failed"));
/// assert_eq!(wrong(r#"{"max_fail": 2}"#).as_deref(), Some("/max_fail"));
/// ```
pub trait Plugin: Sized + Send + Sync + 'static {
    /// Short name: lower case letters, digits and hyphens, at most 64 bytes.
    const NAME: &'static str;
    /// One sentence for the person who chooses a plugin.
    const SUMMARY: &'static str;
    /// What an administrator can set. The manifest's JSON Schema is derived from it; say
    /// `#[serde(deny_unknown_fields)]`, so that a misspelt name is found.
    type Settings: DeserializeOwned + JsonSchema;

    /// Checks the settings and computes what decisions need. It runs once, before any decision, so
    /// it may take its time.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings, each with a JSON pointer to the place.
    fn configure(settings: Self::Settings) -> Result<Self, Vec<Diagnostic>>;

    /// [`Self::configure`] from the text of a JSON document, as the host calls it.
    ///
    /// # Errors
    ///
    /// Those of `configure`, or one diagnostic that says where the text does not fit
    /// [`Self::Settings`].
    fn from_json(settings: &str) -> Result<Self, Vec<Diagnostic>> {
        let parsed = serde_json::from_str(settings).map_err(|error| {
            vec![Diagnostic { pointer: pointer::at(settings, error.line(), error.column()), message: plain(&error) }]
        })?;
        Self::configure(parsed)
    }
}

/// The error's message without its position, which the pointer tells better.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
