//! Owns how policies change while the server runs: new revisions, activation, the way back.

use kernex_engine::PrepareError;
use kernex_model::action::Action;
use kernex_model::digest::Digest;
use kernex_model::document::{ActionPattern, Instances, Policy, PolicyRevision};
use kernex_model::id::AuditId;
use kernex_model::name::PolicyName;
use kernex_model::policy::Diagnostic;
use kernex_model::principal::Principal;
use kernex_model::record::{AuditRecord, DecisionGate};
use kernex_model::redaction::SecretFact;
use kernex_store::{Changes, CommitError, Listed, Page};
use poem_openapi::types::Any;

use super::settings::check_settings;
use super::{ActivePolicy, PolicyError};
use crate::app::error::FieldError;
use crate::app::{App, AppError, Caller, Context, Grant};

/// Why a targeting policy is not compared on live traffic.
pub(in crate::app) const CANNOT_LOOK_ON: &str =
    "a targeting policy cannot look on: what it is asked is the whole fleet; use `preview_deployment` with its name";

/// A revision that somebody wants.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRevision {
    /// The plugin, by its digest.
    pub plugin: Digest,
    /// The gate that it is to serve.
    pub gate: DecisionGate,
    /// Its settings.
    pub settings: serde_json::Value,
    /// How often one instance is asked.
    pub instances: Instances,
    /// The actions that it is asked about; authorization only, every action where empty.
    pub actions: Vec<ActionPattern>,
    /// Facts whose values are not written down with its decisions.
    pub secret_facts: Vec<SecretFact>,
    /// Whether it looks on from here on.
    pub shadow: bool,
}

/// A policy as it stands, with the revision that decides.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The policy.
    pub policy: Policy,
    /// The revision that decides.
    pub active: Option<PolicyRevision>,
}

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
        request_id: None,
        address: None,
        detail: Some(Any(serde_json::json!({ "reason": why }))),
    }
}

impl App {
    /// Lists the policies, by name, each with the revision that decides.
    ///
    /// # Errors
    /// Denied.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn list_policies(&self, caller: &Caller) -> Result<Vec<Standing>, AppError> {
        self.gatekeeper.authorize(caller, Action::PolicyList, "policy", None, Vec::new())?;
        let mut all = Vec::new();
        for policy in self.store.policies().await? {
            all.push(self.standing(policy).await?);
        }
        Ok(all)
    }

    /// One policy, with the revision that decides.
    ///
    /// # Errors
    /// Denied or not found.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn get_policy(&self, caller: &Caller, name: &PolicyName) -> Result<Standing, AppError> {
        self.gatekeeper.authorize(caller, Action::PolicyRead, "policy", Some(name.to_string()), Vec::new())?;
        let policy = self.store.policy(name).await?.ok_or(AppError::NotFound("policy"))?;
        self.standing(policy).await
    }

    /// Lists a policy's revisions, newest first.
    ///
    /// # Errors
    /// Denied, or a cursor of another list.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn list_policy_revisions(
        &self,
        caller: &Caller,
        name: &PolicyName,
        page: Page,
    ) -> Result<Listed<PolicyRevision>, AppError> {
        self.gatekeeper.authorize(caller, Action::PolicyRead, "policy", Some(name.to_string()), Vec::new())?;
        Ok(self.store.list_policy_revisions(name, &page).await?)
    }

    async fn standing(&self, policy: Policy) -> Result<Standing, AppError> {
        let active = match policy.active {
            Some(revision) => self.store.policy_revision(&policy.name, revision).await?,
            None => None,
        };
        Ok(Standing { policy, active })
    }

    /// Writes a new revision of a policy, or the first of a new one. It decides nothing before it is activated. Its
    /// settings are checked by the plugin's own schema, then by the plugin.
    ///
    /// # Errors
    /// Denied; invalid where plugin, gate or settings do not fit, with pointers into the body; a conflict where
    /// somebody else wrote one at the same time.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn put_policy(
        &self,
        caller: &Caller,
        name: &PolicyName,
        new: NewRevision,
    ) -> Result<PolicyRevision, AppError> {
        let grant =
            self.gatekeeper.authorize(caller, Action::PolicyWrite, "policy", Some(name.to_string()), Vec::new())?;
        let plugin = self.find_plugin(new.plugin).await?.ok_or_else(|| {
            AppError::field("unknown-plugin", "/plugin", "there is no plugin with this digest; upload it first")
        })?;
        if !plugin.gates.contains(&new.gate) {
            return Err(AppError::field("wrong-gate", "/gate", "the plugin does not serve this gate"));
        }
        let head = self.store.policy(name).await?;
        if head.as_ref().is_some_and(|head| head.gate != new.gate) {
            return Err(AppError::field("wrong-gate", "/gate", "a policy keeps the gate of its first revision"));
        }
        if new.shadow && new.gate == DecisionGate::Targeting {
            return Err(AppError::field("cannot-look-on", "/mode", CANNOT_LOOK_ON));
        }
        refuse(check_settings(&plugin.settings_schema.0, &new.settings))?;
        let revision = self.revision(caller, name, &plugin.name, new.clone()).await?;
        // Proves that the plugin takes the settings and runs.
        self.prepared(revision.clone()).await?;

        let mut changes = grant.changes(Some(serde_json::json!({
            "revision": revision.revision, "plugin_digest": revision.plugin_digest,
            "settings_digest": revision.settings_digest, "shadow": new.shadow,
        })));
        self.add_bundled_plugin(&mut changes, &plugin).await?;
        changes.create(&revision);
        let now = self.context.now();
        let shadow = new.shadow.then_some(revision.revision);
        match head {
            None => {
                let fresh = Policy { shadow, ..Policy::new(name.clone(), new.gate, now) };
                changes.create(&fresh);
            }
            Some(head) if new.shadow => {
                changes.update(&Policy { shadow, updated_at: now, ..head });
            }
            Some(_) => {}
        }
        if new.shadow {
            self.store.forget_shadows(name).await?;
        }
        self.commit_policy(changes).await?;
        Ok(revision)
    }

    async fn revision(
        &self,
        caller: &Caller,
        name: &PolicyName,
        plugin: &str,
        new: NewRevision,
    ) -> Result<PolicyRevision, AppError> {
        let authorization = new.gate == DecisionGate::Authorization;
        let actions = match (authorization, new.actions.is_empty()) {
            (true, true) => vec![ActionPattern::any()],
            (true, false) => new.actions,
            (false, true) => Vec::new(),
            (false, false) => {
                return Err(AppError::field("no-actions", "/actions", "only an authorization policy is asked about actions"));
            }
        };
        Ok(PolicyRevision {
            name: name.clone(),
            revision: self.store.newest_policy_revision(name).await? + 1,
            gate: new.gate,
            plugin: plugin.to_owned(),
            plugin_digest: new.plugin,
            settings_digest: Digest::of(new.settings.to_string().as_bytes()),
            settings: Any(new.settings),
            instances: new.instances,
            actions,
            secret_facts: new.secret_facts,
            created_by: caller.principal,
            created_at: self.context.now(),
        })
    }

    /// Lets a revision of a policy decide from here on, for every call that comes after the answer; none sees a mixture.
    /// `expected` is the policy's revision that the caller has seen, where it said so.
    ///
    /// # Errors
    /// Denied; not found; stale where the policy is not as expected or changes at the same moment; a conflict
    /// where the caller could not take it back (`would-lock-out`).
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn activate_policy(
        &self,
        caller: &Caller,
        name: &PolicyName,
        revision: u64,
        expected: Option<u64>,
    ) -> Result<Standing, AppError> {
        let grant = self.may_activate(caller, name)?;
        let mut head = self.expected_policy(name, expected).await?;
        let found = self.store.policy_revision(name, revision).await?;
        let found = found
            .ok_or_else(|| AppError::field("unknown-revision", "/revision", "the policy has no such revision"))?;
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
        let mut head = self.expected_policy(name, expected).await?;
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

    pub(in crate::app) async fn expected_policy(&self, name: &PolicyName, expected: Option<u64>) -> Result<Policy, AppError> {
        let head = self.store.policy(name).await?.ok_or(AppError::NotFound("policy"))?;
        if expected.is_some_and(|expected| expected != head.revision) {
            return Err(AppError::Stale);
        }
        Ok(head)
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

    pub(in crate::app) async fn decide_anew(&self, grant: &Grant, head: Policy, step: &str) -> Result<Standing, AppError> {
        let detail = serde_json::json!({ "step": step, "active": head.active, "shadow": head.shadow });
        let mut changes = grant.changes(Some(detail));
        changes.update(&head);
        self.commit_policy(changes).await?;
        self.standing(Policy { revision: head.revision + 1, ..head }).await
    }

    async fn commit_policy(&self, changes: Changes) -> Result<(), AppError> {
        match self.store.commit(changes).await {
            Ok(()) => Ok(self.policies.refresh().await?),
            Err(CommitError::Exists { .. } | CommitError::Conflict { .. }) => Err(AppError::conflict(
                "changed-meanwhile",
                "somebody else changed the policy at the same moment; look at it and try again",
            )),
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
            Err(PolicyError::Prepare { cause, .. }) => {
                Err(AppError::field("plugin-fails", "/plugin", format!("the plugin cannot be used: {cause}")))
            }
            Err(PolicyError::Store(error)) => Err(error.into()),
            Err(error) => Err(AppError::Internal(error.to_string())),
        }
    }
}

fn refuse(diagnostics: Vec<Diagnostic>) -> Result<(), AppError> {
    if diagnostics.is_empty() {
        return Ok(());
    }
    let fields = diagnostics
        .into_iter()
        .map(|wrong| FieldError { pointer: format!("/settings{}", wrong.pointer), detail: wrong.message })
        .collect();
    Err(AppError::Invalid { code: "invalid-settings", detail: "the settings do not fit the plugin".to_owned(), fields })
}
