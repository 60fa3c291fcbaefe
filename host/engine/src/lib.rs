//! The policy engine: loads plugins, checks what they may touch, and runs them within limits.
//!
//! This is the only crate that knows WebAssembly. A plugin is compiled once per [`Policy`]: its
//! settings are given to it, the configured instance is snapshotted, and every decision starts a
//! fresh instance of that snapshot, unless the policy asks for instances that answer more than once. Whatever a plugin does wrong comes back as a
//! [`Fault`](kernex_model::policy::Fault), never as an error or a panic.
#![forbid(unsafe_code)]

mod compile;
mod engine;
mod fault;
mod inspect;
mod limits;
mod policy;
mod pool;
mod prepare;
mod run;
mod sandbox;
mod shelf;
mod snapshot;
mod ticker;
mod v1;

pub use engine::{Engine, EngineError};
pub use inspect::Inspection;
pub use limits::Limits;
pub use policy::Policy;
pub use prepare::PrepareError;
pub use run::{LogLevel, LogLine, Run};
