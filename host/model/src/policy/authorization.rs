//! The authorization gate: who asks for what, and the answers.

use serde::{Deserialize, Serialize};

use super::{Fact, PolicySelector, Reason};

/// What kind of caller a principal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person who logged in.
    User,
    /// A program with an API key.
    Service,
    /// An enrolled device.
    Device,
    /// Nobody in particular.
    Anonymous,
}

/// The caller as a policy sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyPrincipal {
    /// What kind of caller.
    pub kind: PrincipalKind,
    /// Prefixed identifier; empty for an anonymous caller.
    pub id: String,
    /// Names of the caller's roles.
    pub roles: Vec<String>,
    /// What else is known of the caller.
    pub facts: Vec<Fact>,
}

/// What an action is done to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Noun, such as `device`.
    pub kind: String,
    /// Prefixed identifier, when one thing is meant and it exists.
    pub id: Option<String>,
    /// What is known of it, such as `owner`.
    pub facts: Vec<Fact>,
}

/// One question to the authorization policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// Who asks.
    pub principal: PolicyPrincipal,
    /// What they want to do: `noun:verb`, such as `deployment:create`.
    pub action: String,
    /// To what.
    pub resource: Resource,
    /// Circumstances of the call, such as its network address.
    pub context: Vec<Fact>,
}

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorizationDecision {
    /// The caller may.
    Allow,
    /// The caller may not, and why.
    Deny(Reason),
}

impl AuthorizationDecision {
    /// Whether the caller may.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        match self {
            AuthorizationDecision::Allow => true,
            AuthorizationDecision::Deny(_) => false,
        }
    }
}

/// The question which resources of a kind a list shows to somebody, as it is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScopeRequest {
    /// Who asks.
    pub principal: PolicyPrincipal,
    /// What they want to do.
    pub action: String,
    /// The noun of what is listed, such as `device`.
    pub resource_kind: String,
}

impl ScopeRequest {
    /// What stands before the action where the question is named: no action begins like that.
    const PREFIX: &'static str = "scope ";

    /// The question's name in records: `scope noun:verb`.
    #[must_use]
    pub fn question(&self) -> String {
        format!("{}{}", Self::PREFIX, self.action)
    }

    /// Whether a record is of such a question.
    #[must_use]
    pub fn is_named(question: &str) -> bool {
        question.starts_with(Self::PREFIX)
    }
}

/// Which resources of a kind a principal may see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visible {
    /// All of them.
    All,
    /// Those that match.
    Matching(PolicySelector),
    /// None, and why.
    Nothing(Reason),
}
