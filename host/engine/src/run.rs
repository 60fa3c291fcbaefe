//! What a call of a plugin gave, and what it cost.

use std::time::Duration;

use kernex_model::policy::{Fact, Fault};

/// One call: its outcome and all that the decision log wants to know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Run<T> {
    /// The plugin's answer, or why there is none.
    pub outcome: Result<T, Fault>,
    /// Fuel that was used. The same input uses the same fuel.
    pub fuel: u64,
    /// How long it took, instantiation included.
    pub duration: Duration,
    /// Facts that the plugin asked for and got, each once, in the order of the first reading.
    pub facts_read: Vec<Fact>,
    /// What the plugin wrote to its log, up to 16 KiB.
    pub logs: Vec<LogLine>,
}

impl<T> Run<T> {
    /// A call that was not made.
    pub(crate) fn refused(fault: Fault) -> Self {
        Self { outcome: Err(fault), fuel: 0, duration: Duration::ZERO, facts_read: Vec::new(), logs: Vec::new() }
    }
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Only while something is looked for.
    Debug,
    /// Worth knowing.
    Info,
    /// Should not be.
    Warn,
    /// Went wrong.
    Error,
}

/// A line that a plugin wrote.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// The text, cut where the log is full.
    pub message: String,
}
