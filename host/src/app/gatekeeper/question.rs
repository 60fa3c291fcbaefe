//! Owns one question to an authorization policy with its answer, and what a refusal is.

use std::sync::Arc;
use std::time::Duration;

use kernex_model::comparison::Finding;
use kernex_model::policy::{AuthorizationDecision, AuthorizationRequest, Fact, Log, Reason};
use kernex_model::record::{Decision, DecisionOutcome};
use kernex_model::redaction::SecretFact;

use crate::app::caller::Caller;
use crate::app::context::Context;
use crate::app::policies::ActivePolicy;
use crate::app::policies::again::{Recorded, Told, checked};
use crate::app::policies::looking_on::Shown;
use crate::app::verdict::{Asked, Verdict, json};

/// Why something is not allowed.
#[derive(Debug)]
pub enum Refusal {
    /// A policy said no, or failed. The decision is not written down yet.
    Decided(Box<Decision>),
    /// No policy is asked about such an action, so that nobody may do it.
    Uncovered,
}

/// What a policy was asked and how it answered. Written out as a record only where somebody keeps it: most
/// answers allow a read, and are counted.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) policy: Arc<ActivePolicy>,
    pub(super) request: Arc<AuthorizationRequest>,
    pub(super) answer: Result<AuthorizationDecision, Reason>,
    /// The code of a failure, for the metrics.
    pub(super) fault: Option<&'static str>,
    pub(super) facts_read: Vec<Fact>,
    pub(super) log: Log,
    pub(super) fuel: u64,
    pub(super) duration: Duration,
    /// What one of those who decide about the action keeps secret, no record of it shows.
    pub(super) secrets: Arc<[SecretFact]>,
}

impl Question {
    /// The outcome alone: every call asks for it, and nearly none for the words.
    pub(super) fn outcome(&self) -> DecisionOutcome {
        match &self.answer {
            Ok(AuthorizationDecision::Allow) => DecisionOutcome::Allow,
            Ok(AuthorizationDecision::Deny(_)) => DecisionOutcome::Deny,
            Err(_) => DecisionOutcome::Fault,
        }
    }

    fn told(&self) -> (DecisionOutcome, Reason) {
        match &self.answer {
            Ok(answer) => checked(answer),
            Err(reason) => (DecisionOutcome::Fault, reason.clone()),
        }
    }

    pub(super) fn shown(&self, caller: &Caller, context: &Context) -> Shown {
        let (outcome, Reason { code, message }) = self.told();
        let finding = Finding { outcome, code, message, fuel: self.fuel };
        Shown {
            recorded: Recorded::Check(self.request.clone()),
            facts: self.facts_read.clone(),
            decided: Told { finding, action: serde_json::Value::Null },
            secrets: self.secrets.clone(),
            at: context.now(),
            request_id: caller.request_id,
        }
    }

    pub(super) fn decision(&self, caller: &Caller, context: &Context) -> Decision {
        let asked = Asked {
            facts_read: self.facts_read.clone(),
            log: self.log.clone(),
            fuel: self.fuel,
            duration: self.duration,
            ..Asked::new(caller.principal, self.request.action.clone(), &*self.request).of(caller)
        };
        let (outcome, reason) = self.told();
        let output = self.answer.as_ref().ok().map(json);
        let mut decision = self.policy.decision(context, &asked, Verdict { outcome, reason, output });
        decision.redact(&self.secrets);
        decision
    }
}
