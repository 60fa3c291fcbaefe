//! Owns heartbeats: answered from memory; only what changed is written, in groups.

use std::sync::Arc;

use kernex_model::action::Action;
use kernex_model::bundle::{BundleEvent, BundleHistoryEntry};
use kernex_model::device::Device;
use kernex_model::principal::Principal;
use kernex_model::report::Command;
use kernex_store::{Changes, DevicePatch};

use super::fleet::Beat;
use super::gatekeeper::GrantRecord;
use super::{App, AppError, Caller, steps};

/// What a heartbeat is answered with.
#[derive(Debug)]
pub struct HeartbeatAnswer {
    /// Seconds until the next heartbeat, spread so that a fleet does not come all at once.
    pub next_poll_s: u32,
    /// What the device is to do.
    pub command: Option<Arc<Command>>,
}

/// A heartbeat that brought something new, on its way to the writer.
#[derive(Debug)]
pub struct BeatJob {
    device: kernex_model::id::DeviceId,
    beat: Beat,
    record: GrantRecord,
}

impl App {
    /// Takes in a heartbeat.
    ///
    /// # Errors
    /// Denied; forbidden for callers that are no device; invalid where the bundle is unknown; not found where the device is gone; busy where what changed could not be written.
    #[tracing::instrument(level = "debug", skip_all, fields(device.id, assignment.id, deployment.id, bundle.id))]
    pub async fn heartbeat(&self, caller: &Caller, beat: Beat) -> Result<HeartbeatAnswer, AppError> {
        let grant = self.gatekeeper.authorize(
            caller,
            Action::DeviceHeartbeat,
            "device",
            Some(caller.principal.to_string()),
            Vec::new(),
        )?;
        let Principal::Device(device) = caller.principal else { return Err(AppError::not_a_device()) };
        if beat.bundle.is_some_and(|bundle| !self.bundle_names.knows(bundle)) {
            return Err(AppError::field("unknown-bundle", "/bundle_id", "there is no such bundle"));
        }
        let now = self.context.now();
        let beaten = self.fleet.beat(device, &beat, now).ok_or(AppError::NotFound("device"))?;
        let command = beaten.command.as_deref();
        let bundle = command.and_then(|command| command.bundle.as_ref());
        steps::note(device, command.map(|command| command.assignment_id), bundle.map(|bundle| bundle.id));
        if beaten.fell_ill {
            self.wake_driver();
        }
        if beaten.changed {
            let record = grant.record(Some(serde_json::json!({ "facts": beat.facts.is_some(), "bundle_id": beat.bundle, "config_version": beat.config })));
            // Boxed: most heartbeats bring nothing new and should not carry the room for it.
            Box::pin(self.beats.submit(BeatJob { device, beat, record })).await?;
        }
        Ok(HeartbeatAnswer { next_poll_s: self.next_poll_s(now.as_millis()), command: beaten.command })
    }

    /// The poll interval, a tenth shorter or longer.
    fn next_poll_s(&self, seed: i64) -> u32 {
        let spread = self.settings.poll_s / 5;
        let offset = u32::try_from(seed.rem_euclid(i64::from(spread) + 1)).unwrap_or(0);
        (self.settings.poll_s - spread / 2 + offset).max(1)
    }

    /// Writes what a group of heartbeats changed.
    pub(crate) async fn write_beats(&self, jobs: &[BeatJob]) -> Vec<Result<(), AppError>> {
        match self.try_beats(jobs).await {
            Ok(()) => jobs.iter().map(|_| Ok(())).collect(),
            Err(error) => {
                tracing::warn!(error = %error, "heartbeats could not be written through");
                jobs.iter().map(|_| Err(AppError::Busy)).collect()
            }
        }
    }

    async fn try_beats(&self, jobs: &[BeatJob]) -> Result<(), AppError> {
        let now = self.context.now();
        let ids: Vec<_> = jobs.iter().map(|job| job.device).collect();
        let devices = self.store.devices_by_id(&ids).await?;
        let audit: Vec<_> = jobs.iter().map(|job| job.record.0.clone()).collect();
        let mut changes = Changes::grouped(&audit);
        let mut written: Vec<Device> = Vec::new();
        for job in jobs {
            for decision in &job.record.1 {
                changes = changes.deciding(decision);
            }
            // The last word of a device that is in the group twice counts: later patches win.
            let Some(mut device) = written.iter().rev().chain(&devices).find(|device| device.id == job.device).cloned()
            else {
                continue;
            };
            let mut patch = DevicePatch::new(job.device, now);
            if let Some(facts) = &job.beat.facts {
                patch.facts = Some(facts.clone());
                device.facts = facts.clone();
            }
            if job.beat.config.is_some() && job.beat.config != device.config_version {
                patch.config_version = Some(job.beat.config);
                device.config_version = job.beat.config;
            }
            if let Some(bundle_id) = job.beat.bundle.filter(|bundle| Some(*bundle) != device.bundle_id) {
                // What a device runs on its own is where it can be sent back to, unless something better is known.
                // What it was just told to install must prove itself first.
                patch.bundle_id = Some(Some(bundle_id));
                if device.verified_bundle_id.is_none() && !self.fleet.may_download(job.device, bundle_id) {
                    patch.verified_bundle_id = Some(Some(bundle_id));
                    device.verified_bundle_id = Some(bundle_id);
                }
                device.bundle_id = Some(bundle_id);
                changes.put(&BundleHistoryEntry {
                    device_id: job.device,
                    at: now,
                    bundle_id,
                    event: BundleEvent::Seen,
                    assignment_id: None,
                });
            }
            changes.patch_device(&patch);
            written.push(device);
        }
        self.store.commit(changes).await?;
        written.iter().for_each(|device| self.fleet.upsert(device));
        Ok(())
    }
}
