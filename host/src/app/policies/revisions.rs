//! Owns a policy's revisions: who may look at them, and how a new one is written and checked.

use kernex_model::action::Action;
use kernex_model::digest::Digest;
use kernex_model::document::{ActionPattern, Instances, Policy, PolicyRevision, WHOLE_PERCENT};
use kernex_model::name::PolicyName;
use kernex_model::record::DecisionGate;
use kernex_model::redaction::SecretFact;
use kernex_store::{Listed, MAX_POLICIES, Page};
use poem_openapi::types::Any;

use super::bundled;
use super::lifecycle::refuse;
use super::settings::check_settings;
use crate::app::{App, AppError, Caller};

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
    /// How often in a row it has failed on this host, by its own fault.
    pub faults_in_a_row: u32,
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
    /// Denied, not found, or a cursor of another list.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn list_policy_revisions(
        &self,
        caller: &Caller,
        name: &PolicyName,
        page: Page,
    ) -> Result<Listed<PolicyRevision>, AppError> {
        self.gatekeeper.authorize(caller, Action::PolicyRead, "policy", Some(name.to_string()), Vec::new())?;
        self.store.policy(name).await?.ok_or(AppError::NotFound("policy"))?;
        Ok(self.store.list_policy_revisions(name, &page).await?)
    }

    pub(super) async fn standing(&self, policy: Policy) -> Result<Standing, AppError> {
        let active = match policy.active {
            Some(revision) => self.store.policy_revision(&policy.name, revision).await?,
            None => None,
        };
        let faults_in_a_row = policy.active.map_or(0, |active| self.policies.faults_in_a_row(&policy.name, active));
        Ok(Standing { policy, active, faults_in_a_row })
    }

    /// Writes a new revision of a policy, or the first of a new one. It decides nothing before it is activated. Its
    /// settings are checked by the plugin's own schema, then by the plugin. One that looks on from here on changes who
    /// does, which is for those who may activate.
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
        let mut grant =
            self.gatekeeper.authorize(caller, Action::PolicyWrite, "policy", Some(name.to_string()), Vec::new())?;
        if new.shadow {
            grant = grant.with(self.may_activate(caller, name)?);
        }
        let plugin = self.find_plugin(new.plugin).await?.ok_or_else(|| {
            AppError::field("unknown-plugin", "/plugin", "there is no plugin with this digest; upload it first")
        })?;
        if !plugin.gates.contains(&new.gate) {
            return Err(AppError::field("wrong-gate", "/gate", "the plugin does not serve this gate"));
        }
        let (_change, head) = if new.shadow {
            let (change, head) = self.turn(name, None).await?;
            (Some(change), head)
        } else {
            (None, self.store.policy(name).await?)
        };
        if head.as_ref().is_some_and(|head| head.gate != new.gate) {
            return Err(AppError::field("wrong-gate", "/gate", "a policy keeps the gate of its first revision"));
        }
        if head.is_none() && self.store.policies().await?.len() >= MAX_POLICIES {
            return Err(AppError::conflict("too-many-policies", format!("there are {MAX_POLICIES} policies already")));
        }
        refuse(check_settings(&plugin.settings_schema.0, &new.settings))?;
        let revision = self.revision(caller, name, &plugin.name, new.clone()).await?;
        // Proves that the plugin takes the settings and runs.
        self.prepared(revision.clone()).await?;

        let mut changes = grant.changes(Some(serde_json::json!({
            "revision": revision.revision, "plugin_digest": revision.plugin_digest,
            "settings_digest": revision.settings_digest, "shadow": new.shadow,
        })));
        if let Some(bytes) = bundled::unkept(&self.store, plugin.digest).await? {
            changes.add_plugin(&plugin, bytes);
        }
        changes.create(&revision);
        let now = self.context.now();
        let is_new = head.is_none();
        let mut head = head.unwrap_or_else(|| Policy::new(name.clone(), new.gate, now));
        if new.shadow {
            head.look_on(revision.revision, WHOLE_PERCENT, now);
        }
        match (is_new, new.shadow) {
            (true, _) => {
                changes.create(&head);
            }
            (false, true) => {
                changes.update(&head);
            }
            (false, false) => {}
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
                let detail = "only an authorization policy is asked about actions";
                return Err(AppError::field("no-actions", "/actions", detail));
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
}
