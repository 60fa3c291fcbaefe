//! The policy contract in plain Rust: what crosses a gate, without any WebAssembly.
//!
//! These types mirror `sdk/wit/v1/policy.wit` one to one. They are kept in the decision log, so
//! their JSON form is stable: names in snake_case, a variant with content as `{"name": content}`.

mod authorization;
mod fault;
mod log;
mod rollback;
mod targeting;

use serde::{Deserialize, Serialize};

pub use authorization::{
    AuthorizationDecision, AuthorizationRequest, PolicyPrincipal, PrincipalKind, Resource, ScopeRequest, Visible,
};
pub use fault::{Blame, Fault};
pub use log::{LOG_BYTES, Log, LogLevel, LogLine, MAX_LOG_LINES};
pub use rollback::{
    Counts, Extent, FailureSample, Permission, RollbackAction, RollbackOutcome, RollbackRequest, Window,
};
pub use targeting::{ABSENT, Batch, Column, ColumnRequest, ColumnType, TargetingDeployment, TargetingPlan};

/// One of the three kinds of decision that a plugin makes. A plugin serves exactly one gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Who may do what.
    Authorization,
    /// Which devices get a deployment, and in which wave.
    Targeting,
    /// When a deployment goes on, stops or goes back.
    Rollback,
}

impl Gate {
    /// Every gate, in the order in which they are documented.
    pub const ALL: [Gate; 3] = [Gate::Authorization, Gate::Targeting, Gate::Rollback];

    /// The stable name: `authorization`, `targeting` or `rollback`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Gate::Authorization => "authorization",
            Gate::Targeting => "targeting",
            Gate::Rollback => "rollback",
        }
    }
}

impl std::fmt::Display for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Gate {
    type Err = UnknownGate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Gate::ALL.into_iter().find(|gate| gate.as_str() == text).ok_or_else(|| UnknownGate(text.to_owned()))
    }
}

/// A text that names none of the gates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no gate: authorization, targeting and rollback are")]
pub struct UnknownGate(pub String);

/// What a fact can be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A real number.
    Real(f64),
    /// True or false.
    Boolean(bool),
    /// A list of texts.
    Texts(Vec<String>),
}

/// A named value that a decision may depend on, such as `bundle.version`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// Dotted name.
    pub name: String,
    /// What it is at the time of the decision.
    pub value: Value,
}

impl Fact {
    /// A fact whose value is a text.
    pub fn text(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: Value::Text(value.into()) }
    }

    /// A fact whose value is a whole number.
    pub fn integer(name: impl Into<String>, value: i64) -> Self {
        Self { name: name.into(), value: Value::Integer(value) }
    }

    /// A fact whose value is true or false.
    pub fn boolean(name: impl Into<String>, value: bool) -> Self {
        Self { name: name.into(), value: Value::Boolean(value) }
    }

    /// A fact whose value is a list of texts.
    pub fn texts(name: impl Into<String>, values: Vec<String>) -> Self {
        Self { name: name.into(), value: Value::Texts(values) }
    }
}

/// Why a plugin decided as it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable, for machines: lower case words joined by hyphens, such as `role-missing`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

impl Reason {
    /// A reason from its two parts.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// What is wrong with the settings of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// RFC 6901 JSON pointer into the settings; empty for the whole document.
    pub pointer: String,
    /// A sentence for the person who edits them.
    pub message: String,
}

/// How a requirement compares a key's value with its `values`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// The key has the one value.
    Equals,
    /// The key is absent or has another value.
    Differs,
    /// The key has one of the values.
    OneOf,
    /// The key is absent or has none of the values.
    NoneOf,
    /// The key is there, whatever its value.
    Exists,
    /// The key is not there.
    Absent,
}

/// One condition on a label or fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// Label key or fact name.
    pub key: String,
    /// How to compare.
    pub operator: Operator,
    /// What to compare with: one for `equals` and `differs`, none for `exists` and `absent`.
    pub values: Vec<String>,
}

/// A conjunction: all requirements hold. An empty one holds for everything.
pub type PolicySelector = Vec<Requirement>;

/// What a plugin says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Short name, such as `rbac`.
    pub name: String,
    /// Semantic version of the plugin.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// JSON Schema (2020-12) of the settings.
    pub settings_schema: serde_json::Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_round_trip_through_their_names() {
        for gate in Gate::ALL {
            assert_eq!(gate.as_str().parse(), Ok(gate));
        }
        assert_eq!("door".parse::<Gate>(), Err(UnknownGate("door".into())));
    }

    #[test]
    fn the_recorded_form_is_stable() {
        let fact = serde_json::to_value(Fact::texts("bundle.models", vec!["a1".into()])).unwrap();
        assert_eq!(fact, serde_json::json!({"name": "bundle.models", "value": {"texts": ["a1"]}}));
        let denied = AuthorizationDecision::Deny(Reason::new("role-missing", "no"));
        assert_eq!(
            serde_json::to_value(&denied).unwrap(),
            serde_json::json!({"deny": {"code": "role-missing", "message": "no"}})
        );
        let back = RollbackAction::RollBack(Extent::FailedDevices);
        assert_eq!(serde_json::to_value(back).unwrap(), serde_json::json!({"roll_back": "failed_devices"}));
    }
}
