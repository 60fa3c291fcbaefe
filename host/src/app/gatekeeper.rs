//! Owns the question "may this caller do that?": asks the authorization policy, every time, and keeps its answer.

use std::sync::Arc;
use std::time::Duration;

use kernex_model::action::Action;
use kernex_model::id::AuditId;
use kernex_model::policy::{AuthorizationDecision, AuthorizationRequest, Fact, Reason, Resource, Visible};
use kernex_model::principal::Principal;
use kernex_model::record::{AuditRecord, Decision, DecisionOutcome};
use kernex_model::selector::Selector;
use kernex_store::Changes;
use poem_openapi::types::Any;

use super::caller::Caller;
use super::context::Context;
use super::decision_log::DecisionLog;
use super::error::AppError;
use super::policies::{ActivePolicy, Policies};
use super::verdict::{Asked, POLICY_FAULT, Verdict, fault_reason, json};
use crate::telemetry::Metrics;

/// The gate, as a person calls it.
const GATE: &str = "authorization";

/// Asks the authorization policy. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gatekeeper {
    policies: Policies,
    context: Context,
    log: DecisionLog,
    metrics: Metrics,
}

/// Leave to do one thing: proof that the policy was asked, and the start of its audit record.
#[derive(Debug)]
pub struct Grant {
    caller: Caller,
    action: Action,
    resource_kind: &'static str,
    resource_id: Option<String>,
    context: Context,
    asked: Option<Question>,
}

/// What the policy was asked and how it answered; absent for the host itself. Written out as a record only
/// where somebody keeps it: most answers allow a read, and are counted.
#[derive(Debug)]
struct Question {
    policy: Arc<ActivePolicy>,
    request: AuthorizationRequest,
    answer: Result<AuthorizationDecision, Reason>,
    facts_read: Vec<Fact>,
    fuel: u64,
    duration: Duration,
}

impl Question {
    fn outcome(&self) -> DecisionOutcome {
        match &self.answer {
            Ok(AuthorizationDecision::Allow) => DecisionOutcome::Allow,
            Ok(AuthorizationDecision::Deny(_)) => DecisionOutcome::Deny,
            Err(_) => DecisionOutcome::Fault,
        }
    }

    fn decision(&self, caller: &Caller, context: &Context) -> Decision {
        let asked = Asked {
            facts_read: self.facts_read.clone(),
            fuel: self.fuel,
            duration: self.duration,
            request_id: caller.request_id,
            ..Asked::new(caller.principal, self.request.action.clone(), &self.request)
        };
        let reason = match &self.answer {
            Ok(AuthorizationDecision::Allow) => Reason::new("allowed", "a role of the caller grants the action"),
            Ok(AuthorizationDecision::Deny(reason)) | Err(reason) => reason.clone(),
        };
        let output = self.answer.as_ref().ok().map(json);
        self.policy.decision(context, &asked, Verdict { outcome: self.outcome(), reason, output })
    }
}

/// Which resources of a kind a caller may see.
#[derive(Debug, Clone, PartialEq)]
pub enum Scope {
    /// All of them.
    All,
    /// Those that match.
    Matching(Selector),
    /// None: the list is empty.
    Nothing,
}

impl Scope {
    /// The selector that narrows a list; `None` for all. Call after [`Scope::is_nothing`].
    #[must_use]
    pub fn selector(&self) -> Option<&Selector> {
        match self {
            Self::Matching(selector) => Some(selector),
            Self::All | Self::Nothing => None,
        }
    }

    /// Whether nothing may be seen.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

impl Gatekeeper {
    /// A gatekeeper over the active policies; denials go to `log`.
    #[must_use]
    pub fn new(policies: Policies, context: Context, log: DecisionLog, metrics: Metrics) -> Self {
        Self { policies, context, log, metrics }
    }

    /// Asks whether `caller` may do `action` on a resource of `kind`.
    ///
    /// # Errors
    /// [`AppError::Denied`] where the policy says no, and where it fails: a fault never opens a gate.
    pub fn authorize(
        &self,
        caller: &Caller,
        action: Action,
        kind: &'static str,
        id: Option<String>,
        facts: Vec<Fact>,
    ) -> Result<Grant, AppError> {
        if caller.principal == Principal::System {
            return Ok(self.grant(caller, action, kind, id, None));
        }
        let policy = self.policies.authorization();
        let request = AuthorizationRequest {
            principal: caller.to_policy(),
            action: action.as_str().to_owned(),
            resource: Resource { kind: kind.to_owned(), id: id.clone(), facts },
            context: caller.context_facts(),
        };
        let run = {
            let _span = tracing::debug_span!("policy.check", policy = &*policy.label).entered();
            policy.engine.check(std::slice::from_ref(&request), &[])
        };
        let answer = match run.outcome {
            // The engine made sure that there are as many answers as questions.
            Ok(mut answers) => answers.pop().ok_or_else(|| Reason::new(POLICY_FAULT, "the policy gave no answer")),
            Err(fault) => Err(fault_reason(GATE, fault)),
        };
        let asked =
            Question { policy, request, answer, facts_read: run.facts_read, fuel: run.fuel, duration: run.duration };
        let outcome = asked.outcome();
        self.metrics.decided(&asked.policy.label, outcome.as_str(), asked.fuel, asked.duration);
        if outcome == DecisionOutcome::Allow {
            return Ok(self.grant(caller, action, kind, id, Some(asked)));
        }
        let decision = asked.decision(caller, &self.context);
        let denied =
            AppError::Denied { decision: decision.id, reason: Reason::new(&*decision.code, &*decision.message) };
        self.log.offer(decision);
        Err(denied)
    }

    fn grant(
        &self,
        caller: &Caller,
        action: Action,
        kind: &'static str,
        id: Option<String>,
        asked: Option<Question>,
    ) -> Grant {
        Grant {
            caller: caller.clone(),
            action,
            resource_kind: kind,
            resource_id: id,
            context: self.context.clone(),
            asked,
        }
    }

    /// Asks which resources of `kind` the caller may see in a list. Call after [`Gatekeeper::authorize`].
    ///
    /// # Errors
    /// [`AppError::Denied`] where the policy fails or names an impossible selector.
    pub fn scope(&self, caller: &Caller, action: Action, kind: &'static str) -> Result<Scope, AppError> {
        if caller.principal == Principal::System {
            return Ok(Scope::All);
        }
        let policy = self.policies.authorization();
        let run = policy.engine.scope(&caller.to_policy(), action.as_str(), kind, &[]);
        let outcome = match &run.outcome {
            Ok(Visible::All | Visible::Matching(_)) => DecisionOutcome::Allow,
            Ok(Visible::Nothing(_)) => DecisionOutcome::Deny,
            Err(_) => DecisionOutcome::Fault,
        };
        self.metrics.decided(&policy.label, outcome.as_str(), run.fuel, run.duration);
        let failed = match run.outcome {
            Ok(Visible::All) => return Ok(Scope::All),
            Ok(Visible::Nothing(_)) => return Ok(Scope::Nothing),
            Ok(Visible::Matching(requirements)) => match Selector::from_policy(requirements) {
                Ok(selector) => return Ok(Scope::Matching(selector)),
                Err(error) => error.to_string(),
            },
            Err(fault) => fault.to_string(),
        };
        let reason = fault_reason(GATE, failed);
        let request = AuthorizationRequest {
            principal: caller.to_policy(),
            action: action.as_str().to_owned(),
            resource: Resource { kind: kind.to_owned(), id: None, facts: Vec::new() },
            context: Vec::new(),
        };
        let asked = Question {
            policy,
            request,
            answer: Err(reason.clone()),
            facts_read: run.facts_read,
            fuel: run.fuel,
            duration: run.duration,
        };
        let decision = asked.decision(caller, &self.context);
        let id = decision.id;
        self.log.offer(decision);
        Err(AppError::Denied { decision: id, reason })
    }
}

impl Grant {
    /// Who was granted it.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Names the resource, where it got its identifier only now.
    #[must_use]
    pub fn on(mut self, id: impl ToString) -> Self {
        self.resource_id = Some(id.to_string());
        self
    }

    /// The audit record of what was granted, and the decision that allowed it (none for the host itself):
    /// to be committed in one transaction with the change. `detail` must hold no secret.
    #[must_use]
    pub fn record(&self, detail: Option<serde_json::Value>) -> (AuditRecord, Option<Decision>) {
        let decision = self.asked.as_ref().map(|asked| asked.decision(&self.caller, &self.context));
        let audit = AuditRecord {
            id: AuditId(self.context.ulid()),
            at: self.context.now(),
            principal: self.caller.principal,
            action: self.action,
            resource_kind: self.resource_kind.to_owned(),
            resource_id: self.resource_id.clone(),
            decision_id: decision.as_ref().map(|decision| decision.id),
            request_id: self.caller.request_id,
            address: self.caller.address.map(|address| address.to_string()),
            detail: detail.map(Any),
        };
        (audit, decision)
    }

    /// The beginning of the change that was granted, with its record.
    #[must_use]
    pub fn changes(&self, detail: Option<serde_json::Value>) -> Changes {
        let (audit, decision) = self.record(detail);
        let changes = Changes::new(&audit);
        match decision {
            Some(decision) => changes.deciding(&decision),
            None => changes,
        }
    }
}
