//! Owns the rollback of a fleet: every exposed device is queued for its own last verified bundle, once.

use std::collections::HashMap;

use kernex_model::assignment::{Assignment, AssignmentState, error_code};
use kernex_model::bundle::BundleStatus;
use kernex_model::deployment::{Deployment, RollbackExtent};
use kernex_model::id::{BundleId, DeploymentId};
use kernex_model::report::{ReportedError, TimelineKind};
use kernex_store::Due;

use super::{MAX_STEPS, Progress, STEP};
use crate::app::execution::{Note, Work};
use crate::app::{App, AppError};

/// Whether the rollback sends back a device that waits for another attempt: the last one may have got
/// somewhere before it failed.
pub(super) fn takes_back_retry(deployment: &Deployment, assignment: &Assignment) -> bool {
    let covered = match deployment.rollback {
        None => false,
        Some(RollbackExtent::Everyone | RollbackExtent::FailedDevices) => true,
        Some(RollbackExtent::CurrentWave) => assignment.wave == deployment.wave,
    };
    covered && assignment.waits_to_retry()
}

impl App {
    /// Queues the way back for what was exposed, and takes back what was only queued.
    pub(super) async fn send_back(&self, id: DeploymentId) -> Result<Progress, AppError> {
        let mut moved = self.cancel_queued(id).await?;
        for _ in 0..MAX_STEPS {
            let deployment = self.load_deployment(id).await?;
            let exposed = self.exposed(&deployment).await?;
            let mut work = Work::new(self.context.now(), [deployment]);
            self.queue_way_back(&mut work, exposed).await?;
            match self.finish(work, id, "send-back").await? {
                Progress::Idle => break,
                Progress::Moved => moved = Progress::Moved,
            }
        }
        Ok(moved)
    }

    /// Queues the way back of each, or writes down why there is none.
    pub(super) async fn queue_way_back(&self, work: &mut Work, exposed: Vec<Assignment>) -> Result<(), AppError> {
        let mut usable = HashMap::new();
        let now = self.context.now();
        for before in exposed {
            if self.never_got_it(work, &before) {
                if let Some(after) = before.unreached(now) {
                    let message = "taken back before the device came to get it";
                    work.advance(&before, after, Note::new(TimelineKind::Driver, "offer.withdrawn", message));
                }
                continue;
            }
            let way = self.way_back(&before, &mut usable).await?;
            let message = way
                .as_ref()
                .err()
                .map_or("queued to go back to what it ran before", |error| error.message.as_str())
                .to_owned();
            let code = if way.is_ok() { "rollback.queued" } else { "rollback.impossible" };
            if let Some(after) = before.sent_back(way, now) {
                work.advance(&before, after, Note::new(TimelineKind::Driver, code, message));
            }
        }
        Ok(())
    }

    /// Whether an offer certainly never reached its device: there is nothing to send back then, and a rollback
    /// need not wait for a device that may be switched off. Heartbeats that this process did not see (another
    /// host's, or those before a restart) are no certainty.
    fn never_got_it(&self, work: &Work, before: &Assignment) -> bool {
        if before.state != AssignmentState::Offered || !self.store.is_exclusive() {
            return false;
        }
        let created = work.deployment(before.deployment_id).map(|deployment| deployment.created_at);
        // Of later attempts only the last offer's time is known.
        let since = if before.attempt == 1 { before.offered_at } else { created };
        since.is_some_and(|since| self.started_at <= since && self.fleet.recall(before.id, before.attempt, since))
    }

    async fn exposed(&self, deployment: &Deployment) -> Result<Vec<Assignment>, AppError> {
        let mut found: Vec<Assignment> = Vec::new();
        for (wave, counts) in (0_u16..).zip(deployment.waves.iter().map(|wave| wave.counts)) {
            for state in AssignmentState::ALL
                .into_iter()
                .filter(|state| counts.at(*state) > 0 && deployment.sends_back(wave, *state))
            {
                let left = STEP.saturating_sub(found.len());
                if left > 0 {
                    found.extend(
                        self.store.assignments_in_state(Due { deployment: deployment.id, state, wave }, left).await?,
                    );
                }
            }
        }
        Ok(found)
    }

    /// Whether a device can go back, looked up once per bundle.
    async fn way_back(
        &self,
        assignment: &Assignment,
        usable: &mut HashMap<BundleId, bool>,
    ) -> Result<Result<(), ReportedError>, AppError> {
        let no =
            |code: &str, message: &str| Ok(Err(ReportedError { code: code.to_owned(), message: message.to_owned() }));
        if assignment.bundle_id.is_none() {
            return match assignment.previous_config_version {
                Some(_) => Ok(Ok(())),
                None => no(error_code::NOTHING_TO_GO_BACK_TO, "the device had no config before"),
            };
        }
        let Some(previous) = assignment.previous_bundle_id.filter(|previous| Some(*previous) != assignment.bundle_id)
        else {
            return no(error_code::NOTHING_TO_GO_BACK_TO, "the device had no other verified bundle before");
        };
        let known = usable.get(&previous).copied();
        // A retired bundle is out of use for new deployments; as the way back it is better than a broken one.
        let good = match known {
            Some(good) => good,
            None => self.store.bundle(previous).await?.is_some_and(|bundle| bundle.status != BundleStatus::Bad),
        };
        usable.insert(previous, good);
        if good {
            Ok(Ok(()))
        } else {
            no(error_code::PREVIOUS_UNAVAILABLE, "the bundle that the device ran before is gone or bad")
        }
    }

    /// Marks the bundle of a deployment that is rolled back, so that nobody deploys it again. Failed
    /// devices alone do not condemn a bundle.
    pub(in crate::app) async fn mark_bad(&self, work: &mut Work, deployment: &Deployment) -> Result<(), AppError> {
        let extent = work.deployment(deployment.id).and_then(|deployment| deployment.rollback);
        let Some(id) = deployment.bundle_id.filter(|_| extent != Some(RollbackExtent::FailedDevices)) else {
            return Ok(());
        };
        if let Some(mut bundle) = self.store.bundle(id).await?
            && bundle.status != BundleStatus::Bad
        {
            bundle.status = BundleStatus::Bad;
            work.change_bundle(bundle);
        }
        Ok(())
    }
}
