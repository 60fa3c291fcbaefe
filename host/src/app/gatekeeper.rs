//! Owns the question "may this caller do that?": asks the authorization policies, every time, and keeps their answers.

mod question;
mod scope;

use std::sync::Arc;

use kernex_model::action::Action;
use kernex_model::id::AuditId;
use kernex_model::name::PolicyName;
use kernex_model::policy::{AuthorizationDecision, AuthorizationRequest, Fact, Reason, Resource};
use kernex_model::principal::Principal;
use kernex_model::record::{AuditRecord, Decision, DecisionOutcome};
use kernex_store::Changes;
use poem_openapi::types::Any;

use super::caller::Caller;
use super::context::Context;
use super::decision_log::DecisionLog;
use super::error::AppError;
use super::policies::again::Recorded;
use super::policies::looking_on::Shadows;
use super::policies::{ActivePolicy, Covering, Policies};
use super::share::Share;
use super::verdict::fault_reason;
use crate::telemetry::Metrics;
use question::{Answer, Question};

pub use question::Refusal;
pub use scope::Scope;
pub(super) use scope::{scoped, selected};

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
    reads: Arc<Share>,
    lists: Arc<Share>,
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

impl Gatekeeper {
    /// A gatekeeper over the active policies; denials go to `log`, and of what allows a read this share, in percent.
    #[must_use]
    pub fn new(
        policies: Policies,
        context: Context,
        log: DecisionLog,
        metrics: Metrics,
        shadows: Shadows,
        reads_percent: u8,
    ) -> Self {
        // Listing asks twice: whether somebody may, and what is shown. One share of both would take one kind only.
        let share = || Arc::new(Share::of(reads_percent));
        Self { policies, context, log, metrics, shadows, reads: share(), lists: share() }
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
        self.consult(caller, action, kind, id, facts).map_err(|refusal| match refusal {
            Refusal::Decided(decision) => self.denied(*decision),
            // Activating keeps every action covered; where it is not all the same, the gate stays shut.
            Refusal::Uncovered => {
                let detail =
                    format!("no authorization policy is asked about `{}`, so that nobody may do it", action.as_str());
                tracing::error!("{detail}");
                AppError::Forbidden { code: "no-policy", detail }
            }
        })
    }

    /// Asks as [`Gatekeeper::authorize`] does, for whoever does something else about a refusal than to answer with it:
    /// it is not written down.
    ///
    /// # Errors
    /// The refusal.
    pub fn consult(
        &self,
        caller: &Caller,
        action: Action,
        kind: &'static str,
        id: Option<String>,
        facts: Vec<Fact>,
    ) -> Result<Grant, Refusal> {
        if caller.principal == Principal::System {
            return Ok(self.grant(caller, action, (kind, id), Vec::new(), Arc::default()));
        }
        let request = Arc::new(self.request(caller, action, kind, id.clone(), facts));
        let covering = self.policies.authorization(action);
        let mut granted = Vec::with_capacity(covering.deciding.len());
        for policy in &covering.deciding {
            let asked = self.ask(policy, &request, &covering);
            let outcome = asked.outcome();
            self.metrics.decided(&policy.label, outcome.as_str(), asked.fault, asked.fuel, asked.duration);
            self.show(&covering, &asked, caller);
            if outcome != DecisionOutcome::Allow {
                return Err(Refusal::Decided(Box::new(asked.decision(caller, &self.context))));
            }
            granted.push(asked);
        }
        if granted.is_empty() {
            return Err(Refusal::Uncovered);
        }
        if action.changes_nothing() && self.reads.takes() {
            granted.iter().for_each(|asked| self.log.offer(asked.decision(caller, &self.context)));
        }
        Ok(self.grant(caller, action, (kind, id), granted, covering))
    }

    /// Shows those who look on what the revision in their place has decided; those of a policy none of whose revisions
    /// decides, what the broadest policy has.
    fn show(&self, covering: &Covering, asked: &Question, caller: &Caller) {
        for candidate in &covering.looking_on {
            let own = covering.deciding.iter().find(|policy| policy.revision.name == candidate.policy.revision.name);
            if own.or(covering.deciding.first()).is_some_and(|place| Arc::ptr_eq(place, &asked.policy)) {
                let shown = || asked.shown(caller, &self.context);
                match asked.asked {
                    Recorded::Scope(_) => self.shadows.show_scope(candidate, shown),
                    Recorded::Check(_) | Recorded::Judge(..) | Recorded::Permit(_) | Recorded::Survey(_) => {
                        self.shadows.show(candidate, shown);
                    }
                }
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
        Question::answered(policy, Recorded::Check(request.clone()), run, Answer::Check, &covering.secrets)
    }

    /// Writes a denial down and says so.
    fn denied(&self, decision: Decision) -> AppError {
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
                Ok(AuthorizationDecision::Allow) => {}
                Ok(AuthorizationDecision::Deny(reason)) => return Err(reason),
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

    /// Both: what the caller does needs the leave to do another thing, too.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.asked.extend(other.asked);
        self
    }

    /// The decisions that granted it; none for the host itself.
    #[must_use]
    pub fn decisions(&self) -> Vec<Decision> {
        self.asked.iter().map(|asked| asked.decision(&self.caller, &self.context)).collect()
    }

    /// The audit record of what was granted, and the decisions that allowed it (none for the host itself):
    /// to be committed in one transaction with the change. `detail` must hold no secret.
    #[must_use]
    pub fn record(&self, detail: Option<serde_json::Value>) -> GrantRecord {
        let decisions = self.decisions();
        let audit = AuditRecord {
            id: AuditId(self.context.ulid()),
            at: self.context.now(),
            principal: self.caller.principal,
            action: self.action,
            resource_kind: self.resource_kind.to_owned(),
            resource_id: self.resource_id.clone(),
            decision_id: None,
            decision_ids: Vec::new(),
            request_id: self.caller.request_id,
            address: self.caller.address.map(|address| address.to_string()),
            detail: detail.map(Any),
        };
        (audit.by(&decisions), decisions)
    }

    /// The beginning of the change that was granted, with its record.
    #[must_use]
    pub fn changes(&self, detail: Option<serde_json::Value>) -> Changes {
        let (audit, decisions) = self.record(detail);
        decisions.iter().fold(Changes::new(&audit), |changes, decision| changes.deciding(decision))
    }
}
