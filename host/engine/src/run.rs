//! What a call of a plugin gave, and what it cost.

use std::time::Duration;

use kernex_model::policy::{Fact, Fault, Log};

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
    /// What the plugin wrote to its log.
    pub log: Log,
}

impl<T> Run<T> {
    /// A call that was not made.
    pub(crate) fn refused(fault: Fault) -> Self {
        Self { outcome: Err(fault), fuel: 0, duration: Duration::ZERO, facts_read: Vec::new(), log: Log::default() }
    }
}
