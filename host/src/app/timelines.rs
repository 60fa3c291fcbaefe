//! Owns the answer to "why is this device (not) updating?": what happened to it, and where it stands in every deployment that runs.

use kernex_model::action::Action;
use kernex_model::assignment::{Assignment, AssignmentState};
use kernex_model::deployment::{Deployment, DeploymentKind, DeploymentState};
use kernex_model::device::{Device, DeviceAttributes, DeviceStatus};
use kernex_model::id::{AssignmentId, DeviceId};
use kernex_model::report::TimelineEntry;
use kernex_model::time::Timestamp;
use kernex_store::{Listed, Page};
use poem_openapi::Object;

use super::planning::Keep;
use super::{App, AppError, Caller};

/// Deployments that are explained in one answer.
pub const MAX_EXPLAINED: usize = 32;
/// Seconds without a heartbeat after which a device counts as silent, in poll intervals.
const SILENT_POLLS: u32 = 3;

/// Where a device stands in one deployment, and why.
#[derive(Debug, Clone, PartialEq, Object)]
pub struct Explanation {
    /// The deployment.
    pub deployment_id: kernex_model::id::DeploymentId,
    /// Its name.
    pub name: String,
    /// For machines: an assignment's state, an exclusion's code, `not-selected`, `wave-waiting`, ...
    pub code: String,
    /// For people.
    pub message: String,
}

impl App {
    /// A device's timeline with its explanation.
    ///
    /// # Errors
    /// Denied, or not found.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn get_device_timeline(
        &self,
        caller: &Caller,
        id: DeviceId,
        page: &Page,
    ) -> Result<(Vec<Explanation>, Listed<TimelineEntry>), AppError> {
        let (_, device) = self.device_in_scope(caller, Action::DeviceRead, id).await?;
        let entries = self.store.timeline(id, page).await?;
        let mut explanations = Vec::new();
        let unsettled = self.store.unsettled_deployments().await?;
        for deployment in unsettled.iter().rev().take(MAX_EXPLAINED) {
            if let Some(explanation) = self.explain(deployment, &device).await? {
                explanations.push(explanation);
            }
        }
        Ok((explanations, entries))
    }

    async fn explain(&self, deployment: &Deployment, device: &Device) -> Result<Option<Explanation>, AppError> {
        let say = |code: &str, message: String| {
            Ok(Some(Explanation {
                deployment_id: deployment.id,
                name: deployment.name.to_string(),
                code: code.to_owned(),
                message,
            }))
        };
        let id = AssignmentId { deployment: deployment.id, device: device.id };
        if let Some(assignment) = self.store.assignment(id).await? {
            let (code, message) = self.explain_assignment(deployment, &assignment, device);
            return say(&code, message);
        }
        if deployment.kind == DeploymentKind::Direct {
            return Ok(None);
        }
        if device.status != DeviceStatus::Active {
            return say(
                "device-not-active",
                format!("the device is {}; only active devices are chosen", device.status.as_str()),
            );
        }
        let bundle = device.bundle_id.and_then(|bundle| self.bundle_name(bundle));
        let attributes = DeviceAttributes { device, bundle: bundle.as_ref().map(|(name, version)| (name, version)) };
        if !deployment.selector.matches(&attributes) {
            return say("not-selected", format!("the device does not match the selector `{}`", deployment.selector));
        }
        if deployment.plan.frozen {
            return say("frozen", "the deployment is frozen: devices that begin to match later stay out".to_owned());
        }
        match self.choose(deployment, Some(&[device.id]), 0, Keep::Nothing).await? {
            Err(refused) => say(&refused.reason.code, refused.reason.message),
            Ok(chosen) => match chosen.exclusions.into_iter().next() {
                Some(exclusion) => say(&exclusion.code, exclusion.message),
                None if chosen.devices.is_empty() => {
                    say("not-a-candidate", "the targeting policy does not consider such devices".to_owned())
                }
                None if !takes_in(deployment.state) => say(
                    "deployment-not-running",
                    format!("the deployment is {}; the device joins if it goes on", deployment.state.as_str()),
                ),
                None => say("joining", "the device matches and joins with the driver's next pass".to_owned()),
            },
        }
    }

    fn explain_assignment(
        &self,
        deployment: &Deployment,
        assignment: &Assignment,
        device: &Device,
    ) -> (String, String) {
        let now = self.context.now();
        let wave = deployment.waves.get(usize::from(assignment.wave)).map_or("?", |wave| wave.name.as_str());
        let reason = deployment
            .reason
            .as_ref()
            .map(|reason| format!(": {} ({})", reason.message, reason.by))
            .unwrap_or_default();
        let code = |code: &str, message: String| (code.to_owned(), message);
        match assignment.state {
            AssignmentState::Queued if deployment.state == DeploymentState::AwaitingApproval => {
                code("awaiting-approval", format!("the deployment does not start yet{reason}"))
            }
            AssignmentState::Queued if deployment.state != DeploymentState::Running => {
                code("deployment-not-running", format!("the deployment is {}{reason}", deployment.state.as_str()))
            }
            AssignmentState::Queued if assignment.wave > deployment.wave => {
                code("wave-waiting", format!("the device is in wave `{wave}`, which has not opened yet{reason}"))
            }
            AssignmentState::Queued if device.status != DeviceStatus::Active => {
                code("device-not-active", format!("the device is {}", device.status.as_str()))
            }
            AssignmentState::Queued if assignment.due_at > now => match &assignment.error {
                Some(error) => {
                    code("backoff", format!("tried again at {} after: {}", assignment.due_at, error.message))
                }
                None => code(
                    "device-busy",
                    format!("another deployment has the device; tried again at {}", assignment.due_at),
                ),
            },
            AssignmentState::Queued if self.holds(deployment.id) => {
                code("held", format!("the rollback policy holds new offers{reason}"))
            }
            AssignmentState::Queued if deployment.free_slots(now) == 0 => {
                let window = deployment.plan.maintenance_window.is_some_and(|window| !window.contains(now));
                if window {
                    code("outside-window", "new offers wait for the maintenance window".to_owned())
                } else {
                    code("no-slot", format!("all {} slots are taken", deployment.plan.max_in_flight))
                }
            }
            AssignmentState::Offered | AssignmentState::RollbackOffered if self.silent(device.id, now) => code(
                "device-silent",
                format!("offered, but the device was last seen {}", self.last_seen_text(device.id)),
            ),
            state => {
                let error = assignment
                    .error
                    .as_ref()
                    .map(|error| format!(": {} ({})", error.message, error.code))
                    .unwrap_or_default();
                code(
                    state.as_str(),
                    format!("wave `{wave}`, attempt {}: {}{error}", assignment.attempt, state.as_str()),
                )
            }
        }
    }

    fn silent(&self, device: DeviceId, now: Timestamp) -> bool {
        let limit = i64::from(self.settings.poll_s) * i64::from(SILENT_POLLS) * 1_000;
        self.fleet.last_seen(device).is_none_or(|seen| now.since(seen) > limit)
    }

    fn last_seen_text(&self, device: DeviceId) -> String {
        self.fleet.last_seen(device).map_or_else(|| "never".to_owned(), |seen| format!("at {seen}"))
    }
}

/// Whether devices that begin to match are taken in there.
fn takes_in(state: DeploymentState) -> bool {
    match state {
        DeploymentState::Draft | DeploymentState::AwaitingApproval | DeploymentState::Running => true,
        DeploymentState::Paused
        | DeploymentState::Halted
        | DeploymentState::Completed
        | DeploymentState::Cancelled
        | DeploymentState::RollingBack
        | DeploymentState::RolledBack => false,
    }
}
