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
///
/// ```
/// use kernex_sdk::rollback::{Action, Counts, Outcome, Permission, RollbackRequest, Tally, Window};
/// use kernex_sdk::{Diagnostic, Plugin, Reason, Rollback, testing};
///
/// struct FirstFailure;
///
/// # impl Plugin for FirstFailure {
/// #     const NAME: &'static str = "first-failure";
/// #     const SUMMARY: &'static str = "Pauses at the first failure";
/// #     type Settings = ();
/// #
/// #     fn configure(_: ()) -> Result<Self, Vec<Diagnostic>> {
/// #         Ok(Self)
/// #     }
/// # }
/// #
/// impl Rollback for FirstFailure {
///     fn judge(&self, window: &Window, _: &[u8]) -> Outcome {
///         let failures = Tally::of(&window.overall).failures;
///         let (action, code) = if failures > 0 { (Action::Pause, "failed") } else { (Action::Advance, "all-well") };
///         Outcome { action, reason: Reason::new(code, format!("{failures} failed")), state: Vec::new() }
///     }
///
///     fn permit(&self, _: &RollbackRequest) -> Permission {
///         Permission::Permitted
///     }
/// }
///
/// let failed = Counts { failed: 1, ..testing::counts(10) };
/// assert_eq!(FirstFailure.judge(&testing::window(failed), &[]).action, Action::Pause);
/// assert_eq!(FirstFailure.permit(&testing::rollback_request()), Permission::Permitted);
/// ```
pub trait Rollback: Plugin {
    /// Judges a running deployment. `state` is the [`Outcome::state`] of the last call for the same
    /// deployment, empty at first; nothing else is kept.
    fn judge(&self, window: &Window, state: &[u8]) -> Outcome;

    /// Decides a rollback of one device that a person asked for.
    fn permit(&self, request: &RollbackRequest) -> Permission;
}
