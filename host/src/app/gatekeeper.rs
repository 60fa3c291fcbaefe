//! Owns the question "may this caller do that?": asks the authorization policies, every time, and keeps their answers.

mod scope;

use std::sync::Arc;
use std::time::Duration;

use kernex_model::action::Action;
use kernex_model::comparison::Finding;
use kernex_model::id::AuditId;
use kernex_model::name::PolicyName;
use kernex_model::policy::{AuthorizationDecision, AuthorizationRequest, Fact, Reason, Resource, Visible};
use kernex_model::principal::Principal;
use kernex_model::record::{AuditRecord, Decision, DecisionOutcome};
use kernex_model::redaction::SecretFact;
use kernex_model::selector::Selector;
use kernex_store::Changes;
use poem_openapi::types::Any;

use super::caller::Caller;
use super::context::Context;
use super::decision_log::DecisionLog;
use super::error::AppError;
use super::policies::again::{Recorded, Told, checked};
use super::policies::looking_on::{Shadows, Shown};
use super::policies::{ActivePolicy, Covering, Policies};
use super::verdict::{Asked, POLICY_FAULT, Verdict, fault_reason, json};
use crate::telemetry::Metrics;

pub use scope::Scope;

/// The gate, as a person calls it.
const GATE: &str = "authorization";

/// Asks the authorization policies. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gatekeeper {
    policies: Policies,
    context: Context,
    log: DecisionLog,
    metrics: Metrics,
    shadows: Shadows,
}

/// Leave to do one thing: proof that the policy was asked, and the start of its audit record.
#[derive(Debug)]
pub struct Grant {
    caller: Caller,
    action: Action,
    resource_kind: &'static str,
    resource_id: Option<String>,
    context: Context,
    /// The broadest policy first; empty for the host itself.
    asked: Vec<Question>,
    /// Who was asked: a list is narrowed by the same revisions, whatever is activated meanwhile.
    covering: Arc<Covering>,
}

/// The audit record of something granted, and the decisions that allowed it.
pub type GrantRecord = (AuditRecord, Vec<Decision>);

/// What a policy was asked and how it answered. Written out as a record only where somebody keeps it: most
/// answers allow a read, and are counted.
#[derive(Debug)]
struct Question {
    policy: Arc<ActivePolicy>,
    request: Arc<AuthorizationRequest>,
    answer: Result<AuthorizationDecision, Reason>,
    facts_read: Vec<Fact>,
    fuel: u64,
    duration: Duration,
    /// What one of those who decide about the action keeps secret, no record of it shows.
    secrets: Arc<[SecretFact]>,
}

impl Question {
    fn outcome(&self) -> DecisionOutcome {
        self.told().0
    }

    fn told(&self) -> (DecisionOutcome, Reason) {
        match &self.answer {
            Ok(answer) => checked(answer),
            Err(reason) => (DecisionOutcome::Fault, reason.clone()),
        }
    }

    fn shown(&self, caller: &Caller, context: &Context) -> Shown {
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

    fn decision(&self, caller: &Caller, context: &Context) -> Decision {
        let asked = Asked {
            facts_read: self.facts_read.clone(),
            fuel: self.fuel,
            duration: self.duration,
            request_id: caller.request_id,
            ..Asked::new(caller.principal, self.request.action.clone(), &*self.request)
        };
        let (outcome, reason) = self.told();
        let output = self.answer.as_ref().ok().map(json);
        let mut decision = self.policy.decision(context, &asked, Verdict { outcome, reason, output });
        decision.redact(&self.secrets);
        decision
    }
}

impl Gatekeeper {
    /// A gatekeeper over the active policies; denials go to `log`.
    #[must_use]
    pub fn new(
        policies: Policies,
        context: Context,
        log: DecisionLog,
        metrics: Metrics,
        shadows: Shadows,
    ) -> Self {
        Self { policies, context, log, metrics, shadows }
    }

    /// Asks whether `caller` may do `action` on a resource of `kind`. Every policy that covers the action has to
    /// allow it; the first that does not is the answer.
    ///
    /// # Errors
    /// [`AppError::Denied`] where a policy says no, and where it fails: a fault never opens a gate.
    pub fn authorize(
        &self,
        caller: &Caller,
        action: Action,
        kind: &'static str,
        id: Option<String>,
        facts: Vec<Fact>,
    ) -> Result<Grant, AppError> {
        if caller.principal == Principal::System {
            return Ok(self.grant(caller, action, (kind, id), Vec::new(), Arc::default()));
        }
        let request = Arc::new(self.request(caller, action, kind, id.clone(), facts));
        let covering = self.policies.authorization(action);
        let mut granted = Vec::with_capacity(covering.deciding.len());
        for policy in &covering.deciding {
            let asked = self.ask(policy, &request, &covering);
            let outcome = asked.outcome();
            self.metrics.decided(&policy.label, outcome.as_str(), asked.fuel, asked.duration);
            self.show(&covering, &asked, caller);
            if outcome != DecisionOutcome::Allow {
                return Err(self.denied(&asked, caller));
            }
            granted.push(asked);
        }
        if granted.is_empty() {
            // Activating keeps every action covered, so this is a defect; the gate stays shut all the same.
            return Err(AppError::Internal(format!("no authorization policy covers `{}`", action.as_str())));
        }
        Ok(self.grant(caller, action, (kind, id), granted, covering))
    }

    /// Shows those who look on what the revision in their place has decided; those of a policy none of whose revisions
    /// decides, what the broadest policy has.
    fn show(&self, covering: &Covering, asked: &Question, caller: &Caller) {
        let name = |policy: &ActivePolicy| policy.revision.name.clone();
        for candidate in &covering.looking_on {
            let own = covering.deciding.iter().find(|policy| policy.revision.name == candidate.policy.revision.name);
            let place = own.or(covering.deciding.first());
            if place.is_some_and(|place| name(place) == asked.policy.revision.name) {
                self.shadows.show(candidate, || asked.shown(caller, &self.context));
            }
        }
    }

    fn request(
        &self,
        caller: &Caller,
        action: Action,
        kind: &'static str,
        id: Option<String>,
        facts: Vec<Fact>,
    ) -> AuthorizationRequest {
        let mut context = caller.context_facts();
        context.push(Fact::integer("now_ms", self.context.now().as_millis()));
        AuthorizationRequest {
            principal: caller.to_policy(),
            action: action.as_str().to_owned(),
            resource: Resource { kind: kind.to_owned(), id, facts },
            context,
        }
    }

    fn ask(&self, policy: &Arc<ActivePolicy>, request: &Arc<AuthorizationRequest>, covering: &Covering) -> Question {
        let run = policy.check(request);
        let answer = match run.outcome {
            // The engine made sure that there are as many answers as questions.
            Ok(mut answers) => answers.pop().ok_or_else(|| Reason::new(POLICY_FAULT, "the policy gave no answer")),
            Err(fault) => Err(fault_reason(GATE, fault)),
        };
        Question {
            policy: policy.clone(),
            request: request.clone(),
            answer,
            facts_read: run.facts_read,
            fuel: run.fuel,
            duration: run.duration,
            secrets: covering.secrets.clone(),
        }
    }

    /// Writes a denial down and says so.
    fn denied(&self, asked: &Question, caller: &Caller) -> AppError {
        let decision = asked.decision(caller, &self.context);
        let (id, reason) = (decision.id, Reason::new(&*decision.code, &*decision.message));
        self.log.offer(decision);
        AppError::Denied { decision: id, reason }
    }

    /// Whether the caller would be allowed something on a policy if `candidate` decided in the place of the policy
    /// `name`, or if that policy decided no more. Nothing is recorded: it is no decision.
    ///
    /// # Errors
    /// The reason why not.
    pub fn would_allow(
        &self,
        caller: &Caller,
        action: Action,
        name: &PolicyName,
        candidate: Option<&ActivePolicy>,
    ) -> Result<(), Reason> {
        let request = self.request(caller, action, "policy", Some(name.to_string()), Vec::new());
        let covering = self.policies.authorization(action);
        let others = covering.deciding.iter().map(|policy| &**policy).filter(|policy| policy.revision.name != *name);
        let candidate = candidate.filter(|policy| policy.covers(action));
        for policy in others.chain(candidate) {
            match policy.check(&request).outcome {
                Ok(answers) => match answers.into_iter().next() {
                    Some(AuthorizationDecision::Allow) => {}
                    Some(AuthorizationDecision::Deny(reason)) => return Err(reason),
                    None => return Err(Reason::new(POLICY_FAULT, "the policy gave no answer")),
                },
                Err(fault) => return Err(fault_reason(GATE, fault)),
            }
        }
        Ok(())
    }

    fn grant(
        &self,
        caller: &Caller,
        action: Action,
        (resource_kind, resource_id): (&'static str, Option<String>),
        asked: Vec<Question>,
        covering: Arc<Covering>,
    ) -> Grant {
        let (caller, context) = (caller.clone(), self.context.clone());
        Grant { caller, action, resource_kind, resource_id, context, asked, covering }
    }

    /// Asks which resources of `kind` somebody may see, who was granted the action: what every policy that granted it
    /// shows.
    ///
    /// # Errors
    /// [`AppError::Denied`] where a policy fails or names an impossible selector.
    pub fn scope(&self, grant: &Grant, kind: &'static str) -> Result<Scope, AppError> {
        self.seen(&grant.covering, &grant.caller, grant.action, kind)
    }

    /// The same of a caller who was denied the action on one resource, and perhaps is not on others.
    ///
    /// # Errors
    /// As [`Gatekeeper::scope`].
    pub fn scope_of_denied(&self, caller: &Caller, action: Action, kind: &'static str) -> Result<Scope, AppError> {
        self.seen(&self.policies.authorization(action), caller, action, kind)
    }

    fn seen(
        &self,
        covering: &Covering,
        caller: &Caller,
        action: Action,
        kind: &'static str,
    ) -> Result<Scope, AppError> {
        let mut seen = Scope::All;
        for policy in &covering.deciding {
            seen = match (seen, self.scope_of(policy, covering, caller, (action, kind))?) {
                (Scope::Nothing, _) | (_, Scope::Nothing) => return Ok(Scope::Nothing),
                (Scope::All, other) | (other, Scope::All) => other,
                (Scope::Matching(one), Scope::Matching(other)) => Scope::Matching(one.and(&other)),
            };
        }
        Ok(seen)
    }

    fn scope_of(
        &self,
        policy: &Arc<ActivePolicy>,
        covering: &Covering,
        caller: &Caller,
        (action, kind): (Action, &'static str),
    ) -> Result<Scope, AppError> {
        let run = policy.scope(&caller.to_policy(), action.as_str(), kind);
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
        let asked = Question {
            policy: policy.clone(),
            request: Arc::new(self.request(caller, action, kind, None, Vec::new())),
            answer: Err(fault_reason(GATE, failed)),
            facts_read: run.facts_read,
            fuel: run.fuel,
            duration: run.duration,
            secrets: covering.secrets.clone(),
        };
        Err(self.denied(&asked, caller))
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

    /// The audit record of what was granted, and the decisions that allowed it (none for the host itself):
    /// to be committed in one transaction with the change. `detail` must hold no secret.
    #[must_use]
    pub fn record(&self, detail: Option<serde_json::Value>) -> GrantRecord {
        let decisions: Vec<Decision> =
            self.asked.iter().map(|asked| asked.decision(&self.caller, &self.context)).collect();
        let audit = AuditRecord {
            id: AuditId(self.context.ulid()),
            at: self.context.now(),
            principal: self.caller.principal,
            action: self.action,
            resource_kind: self.resource_kind.to_owned(),
            resource_id: self.resource_id.clone(),
            decision_id: decisions.first().map(|decision| decision.id),
            request_id: self.caller.request_id,
            address: self.caller.address.map(|address| address.to_string()),
            detail: detail.map(Any),
        };
        (audit, decisions)
    }

    /// The beginning of the change that was granted, with its record.
    #[must_use]
    pub fn changes(&self, detail: Option<serde_json::Value>) -> Changes {
        let (audit, decisions) = self.record(detail);
        decisions.iter().fold(Changes::new(&audit), |changes, decision| changes.deciding(decision))
    }
}
