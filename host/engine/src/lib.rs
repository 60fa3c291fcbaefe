//! The policy engine: loads plugins, checks what they may touch, and runs them within limits.
//!
//! This is the only crate that knows WebAssembly. A plugin is compiled once per [`Policy`]: its
//! settings are given to it, the configured instance is snapshotted, and every decision is made by an
//! instance of that snapshot to which nothing was done yet: a new one, or one that was put back to what it
//! was. A policy may ask for instances that are not put back.
//! Whatever a plugin does wrong comes back as a [`Fault`](kernex_model::policy::Fault), never as an error or a panic.

mod cache;
mod child;
mod compile;
mod engine;
mod facts;
mod fault;
mod inspect;
mod instances;
mod limits;
mod native;
mod policy;
mod prepare;
mod renewal;
mod run;
mod runtime;
mod sandbox;
mod shelf;
mod snapshot;
mod ticker;
mod v1;

pub use cache::{Cache, MAC_BYTES};
pub use child::{COMPILE_TIME_S, CompileLimits, Compiler};
pub use engine::{Engine, EngineError};
pub use facts::FactSource;
pub use inspect::Inspection;
pub use limits::Limits;
pub use policy::Policy;
pub use prepare::PrepareError;
pub use run::Run;

/// The other side of a [`Compiler`]: does one compilation for the process that started this one, over standard input
/// and output.
///
/// # Errors
/// Where they cannot be used, or the runtime does not start.
pub fn compile_for_parent() -> std::io::Result<()> {
    child::serve(std::io::stdin().lock(), std::io::stdout().lock())
}
