//! Lines for the author of the plugin; the host keeps them with the decision, up to 16 KiB in all, unless the
//! policy keeps facts secret.

pub use crate::bindings::lifecycle::kernex::policy::log::Level;

/// Writes a line. In native tests it goes to standard error.
pub fn write(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::lifecycle::kernex::policy::log::write(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {message}");
}

/// Writes a line that matters only while something is looked for.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Writes a line that is worth knowing.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Writes a line about something that should not be.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Writes a line about something that went wrong.
pub fn error(message: &str) {
    write(Level::Error, message);
}
