//! Owns one question to an authorization policy with its answer, and what a refusal is.

use std::sync::Arc;
use std::time::Duration;

use kernex_engine::Run;
use kernex_model::comparison::Finding;
use kernex_model::policy::{AuthorizationDecision, Fact, Fault, Log, Reason, Visible};
use kernex_model::record::{Decision, DecisionOutcome};
use kernex_model::redaction::SecretFact;

use super::GATE;
use super::scope::{Scope, scoped};
use crate::app::caller::Caller;
use crate::app::context::Context;
use crate::app::policies::ActivePolicy;
use crate::app::policies::again::{Recorded, Told, checked};
use crate::app::policies::looking_on::Shown;
use crate::app::verdict::{Asked, Verdict, fault_reason, json};

/// Why something is not allowed.
#[derive(Debug)]
pub enum Refusal {
    /// A policy said no, or failed. The decision is not written down yet.
    Decided(Box<Decision>),
    /// No policy is asked about such an action, so that nobody may do it.
    Uncovered,
}

/// What a policy answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// Whether somebody may do something.
    Check(AuthorizationDecision),
    /// What a list shows, in the policy's words, and what that means.
    Scope(Visible, Scope),
}

/// What a policy was asked and how it answered. Written out as a record only where somebody keeps it: most
/// answers allow a read, and are counted.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) policy: Arc<ActivePolicy>,
    pub(super) asked: Recorded,
    pub(super) answer: Result<Answer, Reason>,
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
    /// What came of a call.
    pub(super) fn answered<T>(
        policy: &Arc<ActivePolicy>,
        asked: Recorded,
        run: Run<T>,
        answer: impl FnOnce(T) -> Answer,
        secrets: &Arc<[SecretFact]>,
    ) -> Self {
        Self {
            policy: policy.clone(),
            asked,
            fault: run.outcome.as_ref().err().map(Fault::code),
            answer: run.outcome.map(answer).map_err(|fault| fault_reason(GATE, fault)),
            facts_read: run.facts_read,
            log: run.log,
            fuel: run.fuel,
            duration: run.duration,
            secrets: secrets.clone(),
        }
    }

    /// The outcome alone: every call asks for it, and nearly none for the words.
    pub(super) fn outcome(&self) -> DecisionOutcome {
        match &self.answer {
            Ok(Answer::Check(AuthorizationDecision::Allow) | Answer::Scope(_, Scope::All | Scope::Matching(_))) => {
                DecisionOutcome::Allow
            }
            Ok(Answer::Check(AuthorizationDecision::Deny(_)) | Answer::Scope(_, Scope::Nothing)) => {
                DecisionOutcome::Deny
            }
            Err(_) => DecisionOutcome::Fault,
        }
    }

    /// What a list shows, where that was asked and answered.
    pub(super) fn scope(&self) -> Option<&Scope> {
        match &self.answer {
            Ok(Answer::Scope(_, scope)) => Some(scope),
            Ok(Answer::Check(_)) | Err(_) => None,
        }
    }

    fn told(&self) -> (DecisionOutcome, Reason) {
        match &self.answer {
            Ok(Answer::Check(answer)) => checked(answer),
            Ok(Answer::Scope(answer, scope)) => scoped(answer, scope),
            Err(reason) => (DecisionOutcome::Fault, reason.clone()),
        }
    }

    pub(super) fn shown(&self, caller: &Caller, context: &Context) -> Shown {
        let (outcome, Reason { code, message }) = self.told();
        let finding = Finding { outcome, code, message, fuel: self.fuel };
        let action = self.scope().map(Scope::shown).unwrap_or_default();
        Shown {
            recorded: self.asked.clone(),
            facts: self.facts_read.clone(),
            decided: Told { finding, action },
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
            ..Asked::new(caller.principal, self.asked.question(), &self.asked.input()).of(caller)
        };
        let (outcome, reason) = self.told();
        let output = self.answer.as_ref().ok().map(|answer| match answer {
            Answer::Check(answer) => json(answer),
            Answer::Scope(answer, _) => json(answer),
        });
        let mut decision = self.policy.decision(context, &asked, Verdict { outcome, reason, output });
        decision.redact(&self.secrets);
        decision
    }
}
