//! Owns asking a policy once more what was asked before: the question as it was recorded, with the facts that were
//! looked up then.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernex_engine::{Policy, Run};
use kernex_model::comparison::Finding;
use kernex_model::policy::{
    AuthorizationDecision, AuthorizationRequest, Fact, Permission, Reason, RollbackOutcome, RollbackRequest,
    ScopeRequest, TargetingDeployment, Visible, Window,
};
use kernex_model::record::{Decision, DecisionGate, DecisionOutcome};
use serde::Deserialize as _;
use serde_json::Value;

use super::ActivePolicy;
use super::asking::{self, Surveyed};
use super::facts::Before;
use crate::app::Scope;
use crate::app::gatekeeper::scoped;
use crate::app::verdict::{POLICY_FAULT, fault_reason, json};

/// A question that can be asked again.
#[derive(Debug, Clone)]
pub enum Recorded {
    /// Whether somebody may do something.
    Check(Arc<AuthorizationRequest>),
    /// Which resources a list shows to somebody.
    Scope(Arc<ScopeRequest>),
    /// How a deployment goes on.
    Judge(Box<Window>, Vec<u8>),
    /// Whether a person may send a device back.
    Permit(RollbackRequest),
    /// How a deployment is planned, where the policy refused to.
    Survey(TargetingDeployment),
}

/// Why a decision cannot be made again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unrepeatable {
    /// A plan is made of devices, and only those of a deployment's first one are kept.
    #[error("the devices as they were then are not kept: they are of the plan that a deployment begins with")]
    Plan,
    /// Values that the policy declares secret were not written down.
    #[error("the question was not written down in full: the policy keeps some of its facts secret")]
    Redacted,
    /// What the host would have answered then is not known.
    #[error("the revision looks up a fact of the host that was not looked up then")]
    NotLookedUp,
    /// The record is not of this program's form.
    #[error("the recorded question cannot be read: {0}")]
    Unreadable(String),
}

/// What was decided, as far as two policies are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// What everybody is told.
    pub finding: Finding,
    /// What a rollback policy wants done, which its outcome says without the extent, or what a list shows; null of
    /// others.
    pub action: Value,
}

impl Recorded {
    /// The question behind a decision.
    ///
    /// # Errors
    /// [`Unrepeatable`].
    pub fn of(decision: &Decision) -> Result<Self, Unrepeatable> {
        match Self::read((decision.gate, decision.outcome), &decision.question, &decision.input.0) {
            Ok(_) if decision.redacted => Err(Unrepeatable::Redacted),
            read => read,
        }
    }

    /// A question of that gate and with that outcome, in the form that records have.
    ///
    /// # Errors
    /// [`Unrepeatable`].
    pub fn read(
        (gate, outcome): (DecisionGate, DecisionOutcome),
        question: &str,
        input: &Value,
    ) -> Result<Self, Unrepeatable> {
        let unreadable = |error: String| Unrepeatable::Unreadable(error);
        match (gate, question) {
            // A refusal is an answer to the survey: no device was asked about.
            (DecisionGate::Targeting, _) if outcome == DecisionOutcome::Deny => {
                let deployment = TargetingDeployment::deserialize(input);
                Ok(Self::Survey(deployment.map_err(|error| unreadable(error.to_string()))?))
            }
            (DecisionGate::Targeting, _) => Err(Unrepeatable::Plan),
            (DecisionGate::Authorization, question) if ScopeRequest::is_named(question) => {
                let request = ScopeRequest::deserialize(input).map_err(|error| unreadable(error.to_string()))?;
                Ok(Self::Scope(Arc::new(request)))
            }
            (DecisionGate::Authorization, _) => {
                let request = AuthorizationRequest::deserialize(input);
                Ok(Self::Check(Arc::new(request.map_err(|error| unreadable(error.to_string()))?)))
            }
            (DecisionGate::Rollback, "judge") => {
                let window = Window::deserialize(&input["window"]).map_err(|error| unreadable(error.to_string()))?;
                let state = STANDARD.decode(input["state"].as_str().unwrap_or_default());
                Ok(Self::Judge(Box::new(window), state.map_err(|error| unreadable(error.to_string()))?))
            }
            (DecisionGate::Rollback, _) => {
                let request = RollbackRequest::deserialize(input).map_err(|error| unreadable(error.to_string()))?;
                Ok(Self::Permit(request))
            }
        }
    }

    /// Who or what it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Check(request) => &request.principal.id,
            Self::Scope(request) => &request.principal.id,
            Self::Judge(window, _) => &window.deployment,
            Self::Permit(request) => &request.device,
            Self::Survey(deployment) => &deployment.id,
        }
    }

    /// The action, the contract's name of the question, or both.
    #[must_use]
    pub fn question(&self) -> Cow<'_, str> {
        match self {
            Self::Check(request) => Cow::Borrowed(&request.action),
            Self::Scope(request) => Cow::Owned(request.question()),
            Self::Judge(..) => Cow::Borrowed("judge"),
            Self::Permit(_) => Cow::Borrowed("permit"),
            Self::Survey(_) => Cow::Borrowed("plan"),
        }
    }

    /// The question as plugins see it and records have it.
    #[must_use]
    pub fn input(&self) -> Value {
        match self {
            Self::Check(request) => json(&**request),
            Self::Scope(request) => json(&**request),
            Self::Judge(window, state) => serde_json::json!({ "window": window, "state": STANDARD.encode(state) }),
            Self::Permit(request) => json(request),
            Self::Survey(deployment) => json(deployment),
        }
    }
}

/// The facts that were looked up when a decision was made.
pub fn facts_of(decision: &Decision) -> Vec<Fact> {
    serde_json::from_value(decision.facts_read.0.clone()).unwrap_or_default()
}

impl Told {
    /// What a decision says.
    #[must_use]
    pub fn of(decision: &Decision) -> Self {
        let Decision { outcome, code, message, fuel, .. } = decision;
        let finding = Finding { outcome: *outcome, code: code.clone(), message: message.clone(), fuel: *fuel };
        let action = match decision.output.as_ref().map(|output| &output.0) {
            Some(output) if decision.question == "judge" => output["action"].clone(),
            Some(output) if ScopeRequest::is_named(&decision.question) => {
                let scope = Visible::deserialize(output).ok().and_then(|visible| Scope::of(&visible).ok());
                scope.map(|scope| scope.shown()).unwrap_or_default()
            }
            Some(_) | None => Value::Null,
        };
        Self { finding, action }
    }

    /// Whether something else would have happened.
    #[must_use]
    pub fn differs(&self, other: &Self) -> bool {
        self.finding.outcome != other.finding.outcome || self.action != other.action
    }

    /// Whether both say the same, in the same words.
    #[must_use]
    pub fn says(&self, other: &Self) -> bool {
        let words = |told: &Self| (told.finding.code.clone(), told.finding.message.clone());
        !self.differs(other) && words(self) == words(other)
    }

    fn new(outcome: DecisionOutcome, reason: Reason, fuel: u64) -> Self {
        let Reason { code, message } = reason;
        Self { finding: Finding { outcome, code, message, fuel }, action: Value::Null }
    }
}

/// What a verdict on a person's wish to go back is recorded as.
pub(in crate::app) fn permitted(answer: &Permission) -> (DecisionOutcome, Reason) {
    match answer {
        Permission::Permitted => (DecisionOutcome::Allow, Reason::new("permitted", "the rollback policy permits it")),
        Permission::Refused(reason) => (DecisionOutcome::Deny, reason.clone()),
    }
}

/// What an answer to a survey comes to.
fn surveyed(answer: &Surveyed) -> (DecisionOutcome, Reason) {
    match answer {
        Ok(_) => (DecisionOutcome::Planned, Reason::new("planned", "the policy would plan it")),
        Err(reason) => (DecisionOutcome::Deny, reason.clone()),
    }
}

/// What an answer to a check is recorded as.
pub(in crate::app) fn checked(answer: &AuthorizationDecision) -> (DecisionOutcome, Reason) {
    match answer {
        AuthorizationDecision::Allow => (DecisionOutcome::Allow, Reason::new("allowed", "the policy allows it")),
        AuthorizationDecision::Deny(reason) => (DecisionOutcome::Deny, reason.clone()),
    }
}

impl ActivePolicy {
    /// Asks a recorded question. It is no decision: nothing is recorded, and no failure counts.
    ///
    /// # Errors
    /// [`Unrepeatable::NotLookedUp`].
    pub fn again(&self, recorded: &Recorded, facts: &[Fact]) -> Result<Told, Unrepeatable> {
        let before = Before::of(self.revision.gate, &self.engine);
        let told = told_again(&before.engine, recorded, facts);
        if before.lacked_a_fact() { Err(Unrepeatable::NotLookedUp) } else { Ok(told) }
    }
}

/// What a policy says to a recorded question, with the facts that were looked up then.
fn told_again(policy: &Policy, recorded: &Recorded, facts: &[Fact]) -> Told {
    match recorded {
        Recorded::Check(request) => {
            let run = policy.check(std::slice::from_ref(&**request), facts);
            told("authorization", run, |answers| match answers.first() {
                Some(answer) => checked(answer),
                None => (DecisionOutcome::Fault, Reason::new(POLICY_FAULT, "the policy gave no answer")),
            })
        }
        Recorded::Scope(request) => {
            let run = asking::scope(policy, request, facts);
            let shown = run.outcome.as_ref().ok().map(|(_, scope)| scope.shown());
            let told = told("authorization", run, |(visible, scope)| scoped(visible, scope));
            Told { action: shown.unwrap_or_default(), ..told }
        }
        Recorded::Judge(window, state) => {
            let run = policy.judge(window, state, facts);
            let action = run.outcome.as_ref().ok().map(|outcome: &RollbackOutcome| json(&outcome.action));
            let judged = |outcome: &RollbackOutcome| (outcome.action.into(), outcome.reason.clone());
            Told { action: action.unwrap_or_default(), ..told("rollback", run, judged) }
        }
        Recorded::Permit(request) => told("rollback", policy.permit(request, facts), permitted),
        Recorded::Survey(deployment) => told("targeting", asking::survey(policy, deployment, facts), surveyed),
    }
}

fn told<T>(gate: &str, run: Run<T>, read: impl FnOnce(&T) -> (DecisionOutcome, Reason)) -> Told {
    let (outcome, reason) = match &run.outcome {
        Ok(answer) => read(answer),
        Err(fault) => (DecisionOutcome::Fault, fault_reason(gate, fault)),
    };
    Told::new(outcome, reason, run.fuel)
}

#[cfg(test)]
mod tests {
    use kernex_model::redaction::SecretFact;

    use super::*;

    fn told(outcome: DecisionOutcome, action: Value, fuel: u64) -> Told {
        Told { action, ..Told::new(outcome, Reason::new("a", "b"), fuel) }
    }

    #[test]
    fn what_was_not_written_down_in_full_is_not_asked_again() {
        let principal = serde_json::json!({"kind": "user", "id": "usr_1", "roles": [], "facts": []});
        let mut decision: Decision = serde_json::from_value(serde_json::json!({
            "id": "dec_01M7ZBN26060KA1JJ8BSC32SBV", "at": "2026-11-21T15:30:00.000Z", "gate": "authorization",
            "policy": "rbac", "plugin_digest": "0".repeat(64), "settings_digest": "0".repeat(64), "subject": "usr_1",
            "question": "device:list", "outcome": "deny", "code": "c", "message": "m", "output": null,
            "input": {
                "principal": principal, "action": "device:list",
                "resource": {"kind": "device", "id": null, "facts": []},
                "context": [{"name": "address", "value": {"text": "192.0.2.17"}}],
            },
            "facts_read": [], "fuel": 1, "duration_us": 1, "request_id": null,
        }))
        .expect("a decision");
        assert_eq!(Recorded::of(&decision).map(|recorded| recorded.input()), Ok(decision.input.0.clone()));
        let secret = |name: &str| -> Vec<SecretFact> { vec![name.parse().expect("a name")] };
        decision.redact(&secret("context.now_ms"));
        assert!(Recorded::of(&decision).is_ok(), "there is no such fact");
        decision.redact(&secret("context.address"));
        assert_eq!(Recorded::of(&decision).map(drop), Err(Unrepeatable::Redacted));
        (decision.gate, decision.outcome) = (DecisionGate::Targeting, DecisionOutcome::Planned);
        assert_eq!(Recorded::of(&decision).map(drop), Err(Unrepeatable::Plan), "there is no way at all");
        // Of a refusal the survey can be asked again.
        decision.outcome = DecisionOutcome::Deny;
        decision.input.0 = serde_json::json!({"id": "dep_1", "facts": [], "created_at_ms": 1});
        decision.redacted = false;
        assert_eq!(Recorded::of(&decision).map(|recorded| recorded.input()), Ok(decision.input.0.clone()));
    }

    #[test]
    fn what_would_happen_is_compared_and_not_how_it_is_said() {
        let back = |extent: &str| told(DecisionOutcome::RollBack, serde_json::json!({ "roll_back": extent }), 1);
        assert!(back("fleet").differs(&back("failed")));
        assert!(!back("fleet").differs(&back("fleet")));
        let allow = told(DecisionOutcome::Allow, Value::Null, 1);
        assert!(!allow.differs(&told(DecisionOutcome::Allow, Value::Null, 9)), "fuel is no difference");
        assert!(allow.differs(&told(DecisionOutcome::Fault, Value::Null, 1)));
    }
}
