//! Lines for the author of the plugin; the host keeps them with the decision, up to 16 KiB in all, unless the
//! policy keeps facts secret.

pub use crate::bindings::lifecycle::kernex::policy::log::Level;

/// Writes a line. In native tests it goes to standard error.
///
/// ```
/// use kernex_sdk::log;
///
/// log::write(log::Level::Info, "the season is not known");
/// ```
pub fn write(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::lifecycle::kernex::policy::log::write(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {message}");
}

/// Writes a line that matters only while something is looked for.
///
/// ```
/// kernex_sdk::log::debug("12 of 30 rules were looked at");
/// ```
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Writes a line that is worth knowing.
///
/// ```
/// kernex_sdk::log::info("the season is not known: every rule holds");
/// ```
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Writes a line about something that should not be.
///
/// ```
/// kernex_sdk::log::warn("two rules have the same name");
/// ```
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Writes a line about something that went wrong.
///
/// ```
/// kernex_sdk::log::error("no rule is left");
/// ```
pub fn error(message: &str) {
    write(Level::Error, message);
}
