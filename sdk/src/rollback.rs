//! The rollback gate: when a deployment goes on, stops or goes back.

mod passage;
pub mod settings;
mod tally;

pub use crate::bindings::rollback::exports::kernex::policy::rollback::{
    Action, Counts, Extent, Failure, Outcome, Permission, RollbackRequest, Window,
};
pub use passage::Passage;
pub use tally::Tally;

use crate::Plugin;

/// A plugin that decides when a deployment stops.
pub trait Rollback: Plugin {
    /// Judges a running deployment. `state` is the [`Outcome::state`] of the last call for the same
    /// deployment, empty at first; nothing else is kept.
    fn judge(&self, window: &Window, state: &[u8]) -> Outcome;

    /// Decides a rollback of one device that a person asked for.
    fn permit(&self, request: &RollbackRequest) -> Permission;
}
