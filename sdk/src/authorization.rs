//! The authorization gate: who may do what.

pub use crate::bindings::authorization::exports::kernex::policy::authorization::{
    Decision, Principal, PrincipalKind, Request, Resource, Visible,
};

use crate::Plugin;

/// A plugin that decides who may do what.
pub trait Authorization: Plugin {
    /// Answers one question.
    fn check(&self, request: &Request) -> Decision;

    /// What a list of `resource_kind` shows to the principal, for an action such as `device:list`.
    fn scope(&self, principal: &Principal, action: &str, resource_kind: &str) -> Visible;
}
