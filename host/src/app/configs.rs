//! Owns device configs and rollbacks of one device: what a person sends to a single device, as a direct deployment.

use kernex_model::action::Action;
use kernex_model::assignment::{Assignment, AssignmentState};
use kernex_model::bundle::{BundleEvent, BundleHistoryEntry, BundleStatus, DeviceConfig};
use kernex_model::device::{Device, DeviceStatus};
use kernex_model::digest::Digest;
use kernex_model::id::{BundleId, DeviceId};
use kernex_model::policy::RollbackRequest;
use kernex_model::record::{Decision, DecisionOutcome};
use kernex_model::selector::Selector;
use kernex_store::{Listed, Page};
use poem_openapi::types::Any;

use super::deployments::Target;
use super::gatekeeper::Grant;
use super::policies::again::permitted;
use super::verdict::{Asked, Verdict, fault_reason, json};
use super::{App, AppError, Caller};

/// Entries of a device's bundle history that are searched for a way back.
const HISTORY_SEARCHED: u16 = 100;

impl App {
    /// A device that something can be sent to, and the leave to do it.
    async fn reachable_device(
        &self,
        caller: &Caller,
        action: Action,
        id: DeviceId,
    ) -> Result<(Grant, Device), AppError> {
        let (grant, device) = self.device_in_scope(caller, action, id).await?;
        match device.status {
            DeviceStatus::Active | DeviceStatus::Pending => Ok((grant, device)),
            DeviceStatus::Blocked | DeviceStatus::Retired => {
                Err(AppError::conflict("device-not-active", format!("the device is {}", device.status.as_str())))
            }
        }
    }

    /// Writes a new version of a device's config and has it delivered.
    ///
    /// # Errors
    /// Denied, not found, or a conflict where the device is blocked or retired.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn put_device_config(
        &self,
        caller: &Caller,
        id: DeviceId,
        document: serde_json::Value,
    ) -> Result<DeviceConfig, AppError> {
        let (grant, device) = self.reachable_device(caller, Action::ConfigWrite, id).await?;
        self.deliver_config(&grant, &device, document).await
    }

    /// Writes an earlier document again, as a new version: the one before the latest, or `version`.
    ///
    /// # Errors
    /// Denied, not found, or a conflict (`nothing-to-go-back-to`) where there is no earlier version.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn rollback_device_config(
        &self,
        caller: &Caller,
        id: DeviceId,
        version: Option<u64>,
    ) -> Result<DeviceConfig, AppError> {
        let (grant, device) = self.reachable_device(caller, Action::ConfigWrite, id).await?;
        let nothing = || AppError::conflict("nothing-to-go-back-to", "the device has no earlier config version");
        let latest = self.store.latest_config(id).await?.ok_or_else(nothing)?;
        let wanted = match version {
            Some(version) => version,
            None => latest.version.checked_sub(1).filter(|version| *version > 0).ok_or_else(nothing)?,
        };
        let earlier = self.store.config(id, wanted).await?.ok_or(AppError::NotFound("config version"))?;
        self.deliver_config(&grant, &device, earlier.document.0).await
    }

    async fn deliver_config(
        &self,
        grant: &Grant,
        device: &Device,
        document: serde_json::Value,
    ) -> Result<DeviceConfig, AppError> {
        let caller = grant.caller();
        let version = self.store.latest_config(device.id).await?.map_or(0, |config| config.version) + 1;
        let name = format!("config {version} to {}", device.id)
            .parse()
            .map_err(|_| AppError::Internal("a made name does not fit".to_owned()))?;
        let (deployment, mut assignment) =
            self.direct(caller, name, Target::Config(document.clone()), Selector::everything(), device.id);
        assignment.config_version = Some(version);
        assignment.previous_config_version = device.config_version;
        let config = DeviceConfig {
            device_id: device.id,
            version,
            digest: Digest::of(document.to_string().as_bytes()),
            document: Any(document),
            assignment_id: Some(assignment.id),
            created_by: caller.principal,
            created_at: self.context.now(),
        };
        let mut changes = grant.changes(Some(serde_json::json!({ "version": version, "digest": config.digest })));
        let mut deployment = deployment;
        deployment.waves.iter_mut().for_each(|wave| wave.counts.enter(assignment.state));
        changes.create(&deployment);
        changes.create(&assignment);
        changes.create(&config);
        // Two writers of the same version: the record's key lets one of them in.
        self.store.commit(changes).await.map_err(|error| match AppError::from(error) {
            AppError::Conflict { .. } => {
                AppError::conflict("config-moved", "another version was written at the same moment; try again")
            }
            other => other,
        })?;
        self.wake_driver();
        Ok(config)
    }

    /// The latest config of a device.
    ///
    /// # Errors
    /// Denied, or not found where the device has none.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn get_device_config(&self, caller: &Caller, id: DeviceId) -> Result<DeviceConfig, AppError> {
        self.device_in_scope(caller, Action::ConfigRead, id).await?;
        self.store.latest_config(id).await?.ok_or(AppError::NotFound("config"))
    }

    /// Every version of a device's config, newest first.
    ///
    /// # Errors
    /// Denied, or not found.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn list_device_configs(
        &self,
        caller: &Caller,
        id: DeviceId,
        page: &Page,
    ) -> Result<Listed<DeviceConfig>, AppError> {
        self.device_in_scope(caller, Action::ConfigRead, id).await?;
        Ok(self.store.list_configs(id, page).await?)
    }

    /// Sends one device back: to `to`, or to the bundle that it last ran verified before the present one.
    ///
    /// # Errors
    /// Denied; not found where the device or `to` is; a conflict where there is nothing to go back to, the
    /// bundle is bad, or the rollback policy refuses (its reason is in the text).
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn rollback_device(
        &self,
        caller: &Caller,
        id: DeviceId,
        to: Option<BundleId>,
    ) -> Result<Assignment, AppError> {
        let (grant, device) = self.reachable_device(caller, Action::DeviceRollback, id).await?;
        let target = match to {
            Some(bundle) => bundle,
            None => self.earlier_bundle(&device).await?,
        };
        let bundle = self.store.bundle(target).await?.ok_or(AppError::NotFound("bundle"))?;
        if bundle.status == BundleStatus::Bad {
            return Err(AppError::conflict("bundle-bad", "a fleet was rolled back from that bundle"));
        }
        if device.bundle_id == Some(target) {
            return Err(AppError::conflict("already-running", "the device runs that bundle"));
        }
        let decision = self.permit(caller, &device, target).await?;
        let name = format!("rollback of {id}")
            .parse()
            .map_err(|_| AppError::Internal("a made name does not fit".to_owned()))?;
        let (mut deployment, assignment) =
            self.direct(caller, name, Target::Bundle(target), Selector::everything(), id);
        let assignment =
            Assignment { state: AssignmentState::RollbackQueued, previous_bundle_id: Some(target), ..assignment };
        deployment.waves.iter_mut().for_each(|wave| wave.counts.enter(assignment.state));
        let mut changes = grant.changes(Some(serde_json::json!({ "to_bundle": target }))).deciding(&decision);
        changes.create(&deployment);
        changes.create(&assignment);
        self.store.commit(changes).await?;
        self.wake_driver();
        Ok(assignment)
    }

    async fn earlier_bundle(&self, device: &Device) -> Result<BundleId, AppError> {
        let current = device.bundle_id;
        if let Some(verified) = device.verified_bundle_id.filter(|verified| Some(*verified) != current) {
            return Ok(verified);
        }
        let history = self.store.bundle_history(device.id, &Page::first(HISTORY_SEARCHED)).await?;
        let proven = |entry: &BundleHistoryEntry| {
            matches!(entry.event, BundleEvent::Verified | BundleEvent::RolledBackTo | BundleEvent::Seen)
        };
        let mut tried = current;
        for entry in history.items.iter().filter(|entry| proven(entry)) {
            if tried == Some(entry.bundle_id) || current == Some(entry.bundle_id) {
                continue;
            }
            tried = Some(entry.bundle_id);
            // One that a fleet was rolled back from is no way back, however well it ran here.
            if self.store.bundle(entry.bundle_id).await?.is_some_and(|bundle| bundle.status != BundleStatus::Bad) {
                return Ok(entry.bundle_id);
            }
        }
        Err(AppError::conflict("nothing-to-go-back-to", "the device ran no other verified bundle before"))
    }

    /// Asks the rollback policy whether a person may send the device back. A refusal is written down before it is the
    /// answer.
    async fn permit(&self, caller: &Caller, device: &Device, to: BundleId) -> Result<Decision, AppError> {
        let policy =
            self.policies.rollback(None).ok_or_else(|| AppError::Internal("there is no rollback policy".to_owned()))?;
        let request = RollbackRequest {
            device: device.id.to_string(),
            from_bundle: device.bundle_id.map(|id| id.to_string()).unwrap_or_default(),
            to_bundle: to.to_string(),
            facts: Vec::new(),
        };
        let mut asked = Asked::new(device.id, "permit", &request).of(caller);
        let answer = asked.spent(policy.permit(&request));
        let (outcome, reason) = match &answer {
            Ok(answer) => permitted(answer),
            Err(fault) => (DecisionOutcome::Fault, fault_reason("rollback", fault)),
        };
        let output = answer.as_ref().ok().map(json);
        let decision = self.decided(&policy, &asked, Verdict { outcome, reason, output });
        self.show(&policy, &asked, &decision);
        if outcome == DecisionOutcome::Allow {
            return Ok(decision);
        }
        self.store.append_decisions(std::slice::from_ref(&decision)).await?;
        Err(AppError::conflict("rollback-refused", format!("{} ({})", decision.message, decision.code)))
    }
}
