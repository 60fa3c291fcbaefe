//! Owns offers: free slots are given to queued devices of the open waves, in one transaction with the counts.

use std::collections::HashMap;
use std::sync::Arc;

use kernex_model::assignment::{Assignment, AssignmentState};
use kernex_model::bundle::{Bundle, DeviceConfig};
use kernex_model::deployment::{Deployment, DeploymentState};
use kernex_model::device::{Device, DeviceStatus};
use kernex_model::digest::Digest;
use kernex_model::id::{BundleId, DeploymentId, DeviceId};
use kernex_model::report::TimelineKind;
use kernex_model::time::Timestamp;
use kernex_store::Due;
use poem_openapi::types::Any;

use super::{MAX_STEPS, Progress, STEP};
use crate::app::commands::{Content, command};
use crate::app::execution::{Note, Work};
use crate::app::{App, AppError};

/// Seconds until a device that could not be offered anything (busy, blocked) is tried again.
const DEFER_S: u32 = 30;

/// A device's newest assignments among which one that soaks is looked for.
const OTHERS: usize = 16;

fn soaks(assignment: &Assignment) -> bool {
    assignment.state == AssignmentState::Installed && assignment.bundle_id.is_some()
}

/// Not now, but at the earliest in a second and at the latest in [`DEFER_S`].
fn deferred(before: &Assignment, now: Timestamp, until: Timestamp) -> Assignment {
    Assignment { due_at: until.clamp(now.plus_secs(1), now.plus_secs(DEFER_S)), updated_at: now, ..before.clone() }
}

/// What one step of offers needs to know, loaded at once.
struct Supply {
    devices: HashMap<DeviceId, Device>,
    bundles: HashMap<BundleId, Arc<Bundle>>,
}

impl App {
    /// Gives out free slots until there are none, or nobody waits.
    pub(super) async fn offer(&self, id: DeploymentId) -> Result<Progress, AppError> {
        let mut moved = Progress::Idle;
        for _ in 0..MAX_STEPS {
            let deployment = self.load_deployment(id).await?;
            if self.holds(id) && deployment.state == DeploymentState::Running {
                break;
            }
            let slots = usize::try_from(deployment.free_slots(self.context.now())).unwrap_or(STEP).min(STEP);
            let waiting = self.waiting(&deployment, slots).await?;
            if waiting.is_empty() {
                break;
            }
            let supply = self.supply(&waiting).await?;
            let mut work = Work::new(self.context.now(), [deployment.clone()]);
            for before in &waiting {
                self.offer_one(&mut work, &deployment, before, &supply).await?;
            }
            match self.finish(work, id, "offer").await? {
                Progress::Idle => break,
                Progress::Moved => moved = Progress::Moved,
            }
        }
        Ok(moved)
    }

    /// Queued assignments whose time has come, those on the way back first; none of a wave that is not open yet.
    async fn waiting(&self, deployment: &Deployment, slots: usize) -> Result<Vec<Assignment>, AppError> {
        let now = self.context.now();
        let mut found: Vec<Assignment> = Vec::new();
        for state in [AssignmentState::RollbackQueued, AssignmentState::Queued] {
            if state == AssignmentState::Queued && deployment.state != DeploymentState::Running {
                continue;
            }
            for (wave, counts) in (0_u16..).zip(deployment.waves.iter().map(|wave| wave.counts)) {
                let reached = state == AssignmentState::RollbackQueued || wave <= deployment.wave;
                let left = slots.saturating_sub(found.len());
                if reached && left > 0 && counts.at(state) > 0 {
                    found.extend(
                        self.store.due_assignments(Due { deployment: deployment.id, state, wave }, now, left).await?,
                    );
                }
            }
        }
        Ok(found)
    }

    async fn supply(&self, waiting: &[Assignment]) -> Result<Supply, AppError> {
        let ids: Vec<DeviceId> = waiting.iter().map(|assignment| assignment.device_id).collect();
        let devices: HashMap<_, _> =
            self.store.devices_by_id(&ids).await?.into_iter().map(|device| (device.id, device)).collect();
        let mut bundles = HashMap::new();
        for assignment in waiting {
            let wanted = if assignment.state == AssignmentState::Queued {
                assignment.bundle_id
            } else {
                assignment.previous_bundle_id
            };
            if let Some(id) = wanted
                && !bundles.contains_key(&id)
                && let Some(bundle) = self.store.bundle(id).await?
            {
                bundles.insert(id, Arc::new(bundle));
            }
        }
        Ok(Supply { devices, bundles })
    }

    async fn offer_one(
        &self,
        work: &mut Work,
        deployment: &Deployment,
        before: &Assignment,
        supply: &Supply,
    ) -> Result<(), AppError> {
        let now = self.context.now();
        let device = supply.devices.get(&before.device_id);
        if device.is_none_or(|device| device.status == DeviceStatus::Retired) {
            if let Some(after) = before.abandoned(now) {
                let message = "the device is retired; nothing is sent to it any more";
                work.advance(before, after, Note::new(TimelineKind::Driver, "device-retired", message));
            }
            return Ok(());
        }
        if let Some(newer) = self.newer_config(before).await? {
            let message = format!("config version {newer} was written meanwhile");
            if let Some(after) = before.superseded(message.clone(), now) {
                work.advance(before, after, Note::new(TimelineKind::Driver, "config.superseded", message));
            }
            return Ok(());
        }
        let active = device.is_some_and(|device| device.status == DeviceStatus::Active);
        let (true, Some(device), None) = (active, device, self.fleet.command(before.device_id)) else {
            // Busy with another deployment, or not admitted: others get the slot meanwhile.
            work.advance_quietly(before, deferred(before, now, now.plus_secs(DEFER_S)));
            return Ok(());
        };
        if let Some(until) = self.soaks_until(before, device).await? {
            work.advance_quietly(before, deferred(before, now, until));
            return Ok(());
        }
        let Some(mut after) = before.offered(now, &deployment.plan) else { return Ok(()) };
        if before.attempt == 0 && before.state == AssignmentState::Queued {
            after.previous_bundle_id = device.verified_bundle_id;
            after.previous_config_version = device.config_version;
        }
        let back = after.state.going_back();
        let wanted = if back { after.previous_bundle_id } else { after.bundle_id };
        let content = match wanted {
            Some(id) => match supply.bundles.get(&id) {
                Some(bundle) => Content::Bundle(bundle.clone()),
                None => return Err(AppError::Internal(format!("bundle {id} of an assignment is gone"))),
            },
            None => {
                let Some(config) = self.config_for(deployment, &after, now).await? else {
                    return Err(AppError::Internal(format!("assignment {} is about nothing", after.id)));
                };
                if after.config_version != Some(config.version) {
                    after.config_version = Some(config.version);
                    work.configure(config.clone());
                }
                Content::Config(Arc::new(config))
            }
        };
        work.publish(command(&after, &content));
        let word = if back { "told to go back" } else { "offered" };
        let note = Note::new(
            TimelineKind::Offered,
            if back { "rollback.offered" } else { "offered" },
            format!("{word}, attempt {}", after.attempt),
        );
        work.advance(before, after, note);
        Ok(())
    }

    /// Until when the device proves another deployment's bundle: a second bundle now would make the first
    /// one look as if it had been reverted. `None` where the device is free.
    async fn soaks_until(&self, before: &Assignment, device: &Device) -> Result<Option<Timestamp>, AppError> {
        let forward = before.state == AssignmentState::Queued && before.bundle_id.is_some();
        if !forward || device.bundle_id == device.verified_bundle_id {
            return Ok(None);
        }
        let others = self.store.device_assignments(device.id, OTHERS).await?;
        Ok(others.into_iter().find(|other| other.id != before.id && soaks(other)).map(|other| other.due_at))
    }

    /// The device's latest config version, where `before` would deliver an older one.
    async fn newer_config(&self, before: &Assignment) -> Result<Option<u64>, AppError> {
        let Some(version) = before.config_version.filter(|_| before.state == AssignmentState::Queued) else {
            return Ok(None);
        };
        let latest = self.store.latest_config(before.device_id).await?;
        Ok(latest.map(|latest| latest.version).filter(|latest| *latest > version))
    }

    /// The config version that an offer delivers: the one of an earlier attempt, or a new one with the
    /// deployment's document, or, on the way back, a new one with the earlier document.
    async fn config_for(
        &self,
        deployment: &Deployment,
        assignment: &Assignment,
        now: Timestamp,
    ) -> Result<Option<DeviceConfig>, AppError> {
        let device = assignment.device_id;
        let back = assignment.state.going_back();
        if let (Some(version), false) = (assignment.config_version, back) {
            return Ok(self.store.config(device, version).await?);
        }
        let document = if back {
            let Some(version) = assignment.previous_config_version else { return Ok(None) };
            self.store.config(device, version).await?.map(|config| config.document.0)
        } else {
            deployment.config.as_ref().map(|config| config.0.clone())
        };
        let Some(document) = document else { return Ok(None) };
        let latest = self.store.latest_config(device).await?.map_or(0, |config| config.version);
        Ok(Some(DeviceConfig {
            device_id: device,
            version: latest + 1,
            digest: Digest::of(document.to_string().as_bytes()),
            document: Any(document),
            assignment_id: Some(assignment.id),
            created_by: deployment.created_by,
            created_at: now,
        }))
    }
}
