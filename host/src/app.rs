//! The use cases: one file per noun, each reads authorize, load, decide, commit. Knows nothing of HTTP.

pub mod caller;
pub mod context;
pub mod decision_log;
pub mod error;
pub mod gatekeeper;
pub mod policies;

pub use caller::Caller;
pub use context::Context;
pub use error::{AppError, FieldError};
pub use gatekeeper::{Gatekeeper, Grant, Scope};
pub use policies::Policies;
