//! Faults: how a plugin can fail to decide, and who is to blame. A fault never opens a gate.

use serde::{Deserialize, Serialize};

/// A decision that a plugin did not make. Each case carries a detail for the person who looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It panicked, divided by zero, overflowed its stack or ran into another trap.
    #[error("the plugin trapped: {0}")]
    Trapped(String),
    /// It executed more instructions than its gate allows. Deterministic.
    #[error("the plugin ran out of fuel: {0}")]
    OutOfFuel(String),
    /// It took longer than its gate allows. Depends on how busy the host is.
    #[error("the plugin exceeded its deadline: {0}")]
    DeadlineExceeded(String),
    /// It wanted more memory than allowed.
    #[error("the plugin ran out of memory: {0}")]
    OutOfMemory(String),
    /// It answered, but not within the contract.
    #[error("the plugin's answer is outside the contract: {0}")]
    BadOutput(String),
    /// It is no component, imports what no plugin may, or lacks what its gate needs.
    #[error("the plugin does not fit this host: {0}")]
    Incompatible(String),
    /// The host had no room to run it, such as no free instance.
    #[error("the host could not run the plugin: {0}")]
    Unavailable(String),
}

/// Whose fault a fault is. Only the plugin's own count towards its quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The plugin's.
    Plugin,
    /// The host's: too busy, or out of instances.
    Host,
}

impl Fault {
    /// Stable name for logs, metrics and the API.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Fault::Trapped(_) => "trapped",
            Fault::OutOfFuel(_) => "out_of_fuel",
            Fault::DeadlineExceeded(_) => "deadline_exceeded",
            Fault::OutOfMemory(_) => "out_of_memory",
            Fault::BadOutput(_) => "bad_output",
            Fault::Incompatible(_) => "incompatible",
            Fault::Unavailable(_) => "unavailable",
        }
    }

    /// What exactly happened.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Fault::Trapped(detail)
            | Fault::OutOfFuel(detail)
            | Fault::DeadlineExceeded(detail)
            | Fault::OutOfMemory(detail)
            | Fault::BadOutput(detail)
            | Fault::Incompatible(detail)
            | Fault::Unavailable(detail) => detail,
        }
    }

    /// Whose fault it is.
    ///
    /// A deadline is the host's: what a plugin executes is bounded by fuel, which runs out well
    /// before the deadline unless the machine is overloaded.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Fault::Trapped(_)
            | Fault::OutOfFuel(_)
            | Fault::OutOfMemory(_)
            | Fault::BadOutput(_)
            | Fault::Incompatible(_) => Blame::Plugin,
            Fault::DeadlineExceeded(_) | Fault::Unavailable(_) => Blame::Host,
        }
    }
}
