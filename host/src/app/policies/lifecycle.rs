//! Owns which revision of a policy decides while the server runs: activation, the way back.

use kernex_engine::PrepareError;
use kernex_model::action::Action;
use kernex_model::document::{Policy, PolicyRevision};
use kernex_model::id::AuditId;
use kernex_model::name::PolicyName;
use kernex_model::policy::{Blame, Diagnostic};
use kernex_model::principal::Principal;
use kernex_model::record::{AuditRecord, DecisionGate};
use kernex_store::{Changes, CommitError};
use poem_openapi::types::Any;
use tokio::sync::MutexGuard;

use super::revisions::Standing;
use super::{ActivePolicy, PolicyError};
use crate::app::{App, AppError, Caller, Context, FieldError, Grant};

/// Mistakes in settings that are pointed at, at most.
const MAX_POINTED: usize = 16;

/// The start of an audit record for what the host itself does to a policy.
pub(super) fn by_the_host(context: &Context, policy: &PolicyName, why: &str) -> AuditRecord {
    AuditRecord {
        id: AuditId(context.ulid()),
        at: context.now(),
        principal: Principal::System,
        action: Action::PolicyInstall,
        resource_kind: "policy".to_owned(),
        resource_id: Some(policy.to_string()),
        decision_id: None,
        decision_ids: Vec::new(),
        request_id: None,
        address: None,
        detail: Some(Any(serde_json::json!({ "reason": why }))),
    }
}

impl App {
    /// Lets a revision of a policy decide from here on, for every call that comes after the answer; none sees a
    /// mixture. `expected` is the policy's revision that the caller has seen, where it said so.
    ///
    /// # Errors
    /// Denied; not found; stale where the policy is not as expected; a conflict where it changed while the call waited
    /// for its turn (`changed-meanwhile`), and where the caller could not take it back (`would-lock-out`).
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn activate_policy(
        &self,
        caller: &Caller,
        name: &PolicyName,
        revision: u64,
        expected: Option<u64>,
    ) -> Result<Standing, AppError> {
        let grant = self.may_activate(caller, name)?;
        let (_change, head) = self.turn(name, expected).await?;
        let mut head = head.ok_or(AppError::NotFound("policy"))?;
        let found = self.store.policy_revision(name, revision).await?;
        let found =
            found.ok_or_else(|| AppError::field("unknown-revision", "/revision", "the policy has no such revision"))?;
        let candidate = self.prepared(found).await?;
        if head.gate == DecisionGate::Authorization {
            self.keeps_the_way_back(caller, name, Some(&candidate))?;
        }
        head.activate(revision, self.context.now());
        self.decide_anew(&grant, head, "activate").await
    }

    /// Lets the revision decide again that decided before. Where there was none, the policy decides no more.
    ///
    /// # Errors
    /// As [`App::activate_policy`]; a conflict where the gate would be left without a policy (`last-policy`), or
    /// none decides (`not-active`).
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn rollback_policy(
        &self,
        caller: &Caller,
        name: &PolicyName,
        expected: Option<u64>,
    ) -> Result<Standing, AppError> {
        let grant = self.may_activate(caller, name)?;
        let (_change, head) = self.turn(name, expected).await?;
        let mut head = head.ok_or(AppError::NotFound("policy"))?;
        let now = self.context.now();
        let Some(failed) = head.active else {
            return Err(AppError::conflict("not-active", "no revision of the policy decides"));
        };
        let before = head.last_good();
        let candidate = match before {
            Some(before) => {
                let found = self.store.policy_revision(name, before).await?.ok_or(AppError::NotFound("revision"))?;
                Some(self.prepared(found).await?)
            }
            None => None,
        };
        if head.gate == DecisionGate::Authorization {
            self.keeps_the_way_back(caller, name, candidate.as_ref())?;
        } else if candidate.is_none() && !self.gate_has_another(&head) {
            return Err(AppError::conflict("last-policy", "the gate would be left without a policy"));
        }
        match before {
            Some(before) => head.activate(before, now),
            None => head.retire(now),
        }
        // Going back twice goes back further instead of forth again.
        head.history.retain(|revision| *revision != failed);
        self.decide_anew(&grant, head, "rollback").await
    }

    pub(in crate::app) fn may_activate(&self, caller: &Caller, name: &PolicyName) -> Result<Grant, AppError> {
        self.gatekeeper.authorize(caller, Action::PolicyActivate, "policy", Some(name.to_string()), Vec::new())
    }

    /// Waits until nobody else of this host changes a policy; gives the policy as it is then, where there is one.
    ///
    /// # Errors
    /// Whoever says what they have seen (`expected`) is told where it is that no more. Whoever does not can at best have
    /// seen what was there when the call came, and is told where somebody changed it since.
    pub(in crate::app) async fn turn(
        &self,
        name: &PolicyName,
        expected: Option<u64>,
    ) -> Result<(MutexGuard<'_, ()>, Option<Policy>), AppError> {
        let seen = self.store.policy(name).await?.map(|head| head.revision);
        let change = self.policies.changing().await?;
        let head = self.store.policy(name).await?;
        let found = head.as_ref().map(|head| head.revision);
        match expected {
            Some(_) if found.is_some() && found != expected => Err(AppError::Stale),
            None if found != seen => Err(changed_meanwhile()),
            Some(_) | None => Ok((change, head)),
        }
    }

    /// Whoever changes the authorization policies must be allowed to change them back, and every action must stay
    /// covered by one of them.
    fn keeps_the_way_back(
        &self,
        caller: &Caller,
        name: &PolicyName,
        candidate: Option<&ActivePolicy>,
    ) -> Result<(), AppError> {
        let uncovered = self.policies.uncovered(name, candidate);
        if let Some(action) = uncovered.first() {
            let detail = format!("no authorization policy would be asked about `{action}`, so that nobody could do it");
            return Err(AppError::conflict("uncovered-actions", detail));
        }
        if caller.principal == Principal::System {
            return Ok(());
        }
        let asked = self.gatekeeper.would_allow(caller, Action::PolicyActivate, name, candidate);
        asked.map_err(|reason| {
            let detail = format!("you could not take it back: {} ({})", reason.message, reason.code);
            AppError::conflict("would-lock-out", detail)
        })
    }

    fn gate_has_another(&self, head: &Policy) -> bool {
        let others = self.policies.all();
        others.iter().any(|other| other.revision.gate == head.gate && other.revision.name != head.name)
    }

    pub(in crate::app) async fn decide_anew(
        &self,
        grant: &Grant,
        head: Policy,
        step: &str,
    ) -> Result<Standing, AppError> {
        let detail = serde_json::json!({ "step": step, "active": head.active, "shadow": head.shadow });
        let mut changes = grant.changes(Some(detail));
        changes.update(&head);
        self.commit_policy(changes).await?;
        self.standing(Policy { revision: head.revision + 1, ..head }).await
    }

    pub(super) async fn commit_policy(&self, changes: Changes) -> Result<(), AppError> {
        match self.store.commit(changes).await {
            Ok(()) => Ok(self.policies.refresh().await?),
            Err(CommitError::Exists { .. } | CommitError::Conflict { .. }) => Err(changed_meanwhile()),
            Err(error) => Err(error.into()),
        }
    }

    pub(in crate::app) async fn prepared(&self, revision: PolicyRevision) -> Result<ActivePolicy, AppError> {
        match self.policies.prepare(revision).await {
            Ok(policy) => Ok(policy),
            Err(PolicyError::Prepare { cause: PrepareError::Settings(diagnostics), .. }) => {
                refuse(diagnostics)?;
                Err(AppError::field("invalid-settings", "/settings", "the plugin refuses its settings"))
            }
            Err(PolicyError::Prepare { cause: PrepareError::Fault(fault), .. }) if fault.blame() == Blame::Host => {
                Err(AppError::Busy)
            }
            Err(PolicyError::Prepare { cause, .. }) => {
                Err(AppError::field("plugin-fails", "/plugin", format!("the plugin cannot be used: {cause}")))
            }
            Err(PolicyError::Store(error)) => Err(error.into()),
            Err(error) => Err(AppError::Internal(error.to_string())),
        }
    }
}

fn changed_meanwhile() -> AppError {
    let detail = "somebody else changed the policy at the same moment; look at it and try again";
    AppError::conflict("changed-meanwhile", detail)
}

/// Says what is wrong with settings, each with its pointer into the body.
pub(super) fn refuse(diagnostics: Vec<Diagnostic>) -> Result<(), AppError> {
    if diagnostics.is_empty() {
        return Ok(());
    }
    let fields = diagnostics
        .into_iter()
        .take(MAX_POINTED)
        .map(|wrong| FieldError { pointer: format!("/settings{}", wrong.pointer), detail: wrong.message })
        .collect();
    Err(AppError::Invalid { code: "invalid-settings", detail: "the settings do not fit the plugin".to_owned(), fields })
}
