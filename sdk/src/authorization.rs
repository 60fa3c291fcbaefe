//! The authorization gate: who may do what.

pub use crate::bindings::authorization::exports::kernex::policy::authorization::{
    Decision, Principal, PrincipalKind, Request, Resource, Visible,
};

use crate::Plugin;

/// A plugin that decides who may do what.
///
/// ```
/// use kernex_sdk::authorization::{Decision, Principal, PrincipalKind, Request, Visible};
/// use kernex_sdk::{Authorization, Diagnostic, Plugin, Reason, testing};
///
/// struct PeopleOnly;
///
/// # impl Plugin for PeopleOnly {
/// #     const NAME: &'static str = "people-only";
/// #     const SUMMARY: &'static str = "Lets people in, and nobody else";
/// #     type Settings = ();
/// #
/// #     fn configure(_: ()) -> Result<Self, Vec<Diagnostic>> {
/// #         Ok(Self)
/// #     }
/// # }
/// #
/// impl Authorization for PeopleOnly {
///     fn check(&self, request: &Request) -> Decision {
///         match request.principal.kind {
///             PrincipalKind::User => Decision::Allow,
///             _ => Decision::Deny(Reason::new("no-person", "only people may")),
///         }
///     }
///
///     fn scope(&self, _: &Principal, _: &str, _: &str) -> Visible {
///         Visible::All
///     }
/// }
///
/// let may = |kind| PeopleOnly.check(&testing::request(testing::principal(kind, &[]), "device:read"));
/// assert_eq!(may(PrincipalKind::User), Decision::Allow);
/// assert!(matches!(may(PrincipalKind::Service), Decision::Deny(reason) if reason.code == "no-person"));
/// ```
pub trait Authorization: Plugin {
    /// Answers one question.
    fn check(&self, request: &Request) -> Decision;

    /// What a list of `resource_kind` shows to the principal, for an action such as `device:list`.
    fn scope(&self, principal: &Principal, action: &str, resource_kind: &str) -> Visible;
}
