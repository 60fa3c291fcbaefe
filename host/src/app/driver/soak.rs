//! Owns the soak: an installed device is verified once it stayed healthy long enough, and has failed as soon as it says so.

use std::collections::BTreeMap;

use kernex_model::assignment::{Assignment, AssignmentState, error_code};
use kernex_model::deployment::Plan;
use kernex_model::device::Health;
use kernex_model::id::DeploymentId;
use kernex_model::report::{ReportedError, TimelineKind};
use kernex_model::time::Timestamp;

use super::{MAX_STEPS, Progress};
use crate::app::execution::{Note, Work};
use crate::app::fleet::Presence;
use crate::app::{App, AppError};

/// Seconds until a device that cannot be judged yet is looked at again.
const LOOK_AGAIN_S: u32 = 5;

/// A device's newest assignments among which something newer is looked for.
const OTHERS: usize = 16;

/// What the heartbeats since the installation say at the end of the soak.
#[derive(Debug, PartialEq)]
enum Verdict {
    Verified,
    Failed(ReportedError),
    /// It runs something else than it was sent.
    Elsewhere,
    Wait,
}

/// Healthy, and running what was installed: verified. Silent or degraded: wait, at most as long as an
/// attempt may take. Anything else: failed.
fn verdict(assignment: &Assignment, presence: Presence, plan: &Plan, now: Timestamp) -> Verdict {
    let installed_at = assignment.installed_at.unwrap_or(assignment.updated_at);
    let fail = |code: &str, message: String| Verdict::Failed(ReportedError { code: code.to_owned(), message });
    let seen = presence.seen.is_some_and(|seen| seen > installed_at);
    let other = presence.bundle.is_some() && assignment.bundle_id.is_some() && presence.bundle != assignment.bundle_id;
    if seen && other {
        return Verdict::Elsewhere;
    }
    if seen && presence.health == Health::Failed {
        return fail(error_code::UNHEALTHY, "the device says that it does not work".to_owned());
    }
    if seen && presence.health == Health::Healthy {
        return Verdict::Verified;
    }
    if now >= installed_at.plus_secs(plan.soak_s).plus_secs(plan.attempt_timeout_s) {
        return fail(
            error_code::UNHEALTHY,
            format!("no healthy heartbeat within {} s of the soak", plan.attempt_timeout_s),
        );
    }
    Verdict::Wait
}

impl App {
    /// Verifies, fails or puts off the devices whose soak time is over.
    pub(super) async fn soak(&self, id: DeploymentId) -> Result<Progress, AppError> {
        let mut moved = Progress::Idle;
        for _ in 0..MAX_STEPS {
            let deployment = self.load_deployment(id).await?;
            let due = self.due(&deployment, &[AssignmentState::Installed]).await?;
            let now = self.context.now();
            let plan = deployment.plan.clone();
            let mut work = Work::new(now, [deployment]);
            for before in due {
                match verdict(&before, self.fleet.presence(before.device_id), &plan, now) {
                    Verdict::Verified => {
                        if let Some(after) = before.verified(now) {
                            let message = format!("healthy over the soak time of {} s", plan.soak_s);
                            work.advance(&before, after, Note::new(TimelineKind::Driver, "soak.verified", message));
                        }
                    }
                    Verdict::Failed(error) => fail(&mut work, &before, error, now),
                    Verdict::Elsewhere => self.gone_elsewhere(&mut work, &before, now).await?,
                    Verdict::Wait => {
                        let later =
                            Assignment { due_at: now.plus_secs(LOOK_AGAIN_S), updated_at: now, ..before.clone() };
                        work.advance_quietly(&before, later);
                    }
                }
            }
            match self.finish(work, id, "soak").await? {
                Progress::Idle => break,
                Progress::Moved => moved = Progress::Moved,
            }
        }
        Ok(moved)
    }

    /// A device that left what it was sent: where something newer was sent to it since, that is why; else it
    /// went back by itself, and has failed.
    async fn gone_elsewhere(&self, work: &mut Work, before: &Assignment, now: Timestamp) -> Result<(), AppError> {
        let installed_at = before.installed_at.unwrap_or(before.updated_at);
        let others = self.store.device_assignments(before.device_id, OTHERS).await?;
        let newer = others
            .iter()
            .find(|other| other.id != before.id && other.offered_at.is_some_and(|offered| offered >= installed_at));
        let Some(newer) = newer else {
            let message = "the device runs another bundle than the one it reported installed".to_owned();
            fail(work, before, ReportedError { code: "reverted".to_owned(), message }, now);
            return Ok(());
        };
        let message = format!("deployment {} was sent to the device while this one soaked", newer.deployment_id);
        if let Some(after) = before.superseded(message.clone(), now) {
            work.advance(before, after, Note::new(TimelineKind::Driver, "soak.superseded", message));
        }
        Ok(())
    }

    /// Ends the soak of devices that said, since the last pass, that they do not work: a wave must not go on
    /// for the rest of a long soak.
    pub(super) async fn fail_the_ill(&self) -> Result<Progress, AppError> {
        let ill = self.fleet.take_ill();
        let mut soaking: BTreeMap<DeploymentId, Vec<Assignment>> = BTreeMap::new();
        for device in &ill {
            let assignments = match self.store.device_assignments(*device, OTHERS).await {
                Ok(assignments) => assignments,
                Err(error) => {
                    self.fleet.note_ill(ill.iter().copied());
                    return Err(error.into());
                }
            };
            for assignment in assignments.into_iter().filter(|other| other.state == AssignmentState::Installed) {
                soaking.entry(assignment.deployment_id).or_default().push(assignment);
            }
        }
        let mut moved = Progress::Idle;
        for (id, assignments) in soaking {
            let deployment = self.load_deployment(id).await?;
            let now = self.context.now();
            let mut work = Work::new(now, [deployment]);
            for before in &assignments {
                let message = "the device says that it does not work".to_owned();
                fail(&mut work, before, ReportedError { code: error_code::UNHEALTHY.to_owned(), message }, now);
            }
            match self.finish(work, id, "soak").await {
                Ok(progress) => moved = moved.or(progress),
                // Somebody moved it meanwhile: the next pass looks again.
                Err(AppError::Stale | AppError::Busy) => {
                    self.fleet.note_ill(assignments.iter().map(|assignment| assignment.device_id));
                    moved = Progress::Moved;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(moved)
    }
}

fn fail(work: &mut Work, before: &Assignment, error: ReportedError, now: Timestamp) {
    let message = error.message.clone();
    work.advance(before, before.unhealthy(error, now), Note::new(TimelineKind::Driver, "soak.failed", message));
}
