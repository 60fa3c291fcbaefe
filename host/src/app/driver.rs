//! Owns carrying deployments on: each pass reads what is stored, does what is due, and commits it step by step.
//!
//! The driver keeps nothing that it cannot read again: it may be killed at any point and goes on from what
//! is stored. Every step is one transaction on the revisions that were read; where something moved, the
//! step is dropped and the next pass sees the new state.

mod expire;
mod judge;
mod offer;
mod plan;
mod send_back;
mod soak;
mod start;

use kernex_model::assignment::{Assignment, AssignmentState};
use kernex_model::deployment::{Deployment, DeploymentKind, DeploymentState, StateReason};
use kernex_model::id::DeploymentId;
use kernex_store::{CommitError, Due};

use super::execution::Work;
use super::fleet::ChangedDevices;
use super::{App, AppError};

pub(super) use start::LastAsked;

/// Assignments that one step moves, at most.
pub const STEP: usize = 1_000;
/// Steps of one kind in one pass, at most: one large deployment must not keep the others waiting.
const MAX_STEPS: usize = 64;

/// What it is called that no revision of a policy decides about a deployment that it should decide about.
const UNKNOWN_POLICY: &str = "unknown-policy";

/// Whether a step did something, so that there may be more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing was due.
    Idle,
    /// Something was committed.
    Moved,
}

impl App {
    /// One pass over every deployment that is not settled. Returns whether anything moved.
    ///
    /// # Errors
    /// Where the store fails; a deployment's own trouble does not stop the others.
    pub async fn drive(&self) -> Result<bool, AppError> {
        let mut moved = self.fail_the_ill().await? == Progress::Moved;
        let changed = self.fleet.take_changed();
        let deployments = match self.store.unsettled_deployments().await {
            Ok(deployments) => deployments,
            Err(error) => {
                self.fleet.mark_all_changed();
                return Err(error.into());
            }
        };
        self.pulse.note(deployments.iter().map(Deployment::counts).sum());
        let mut missed = false;
        // The oldest first: where two want the same device, it came first.
        for deployment in deployments.iter().rev() {
            let mut joined = false;
            let driven = match self.drive_deployment(deployment.id, &changed, &mut joined).await {
                Err(AppError::Invalid { code: UNKNOWN_POLICY, detail, .. }) => {
                    self.wait_for_policy(deployment.id, detail).await
                }
                driven => driven,
            };
            match driven {
                Ok(progress) => moved |= progress == Progress::Moved,
                // Somebody moved it meanwhile: the next pass begins from there.
                Err(AppError::Stale | AppError::Busy) => {
                    moved = true;
                    missed |= !joined;
                }
                Err(error) => {
                    missed |= !joined && matches!(error, AppError::StoreAway { .. });
                    tracing::error!(deployment.id = %deployment.id, error = %error, detail = ?error, "a deployment could not be carried on");
                }
            }
        }
        if missed {
            // Whoever was to join is looked at again: nobody else says that they changed.
            self.fleet.give_back_changed(changed);
        }
        Ok(moved)
    }

    /// One deployment's part of a pass. `joined` tells whether it needs the changed devices no more.
    async fn drive_deployment(
        &self,
        id: DeploymentId,
        changed: &ChangedDevices,
        joined: &mut bool,
    ) -> Result<Progress, AppError> {
        let mut moved = self.expire(id).await?;
        moved = moved.or(self.soak(id).await?);
        let Some(deployment) = self.store.deployment(id).await? else { return Ok(moved) };
        if deployment.state != DeploymentState::AwaitingApproval {
            self.forget_asked(id);
        }
        // Whoever approves one that waits sees how many devices it has by now.
        if matches!(deployment.state, DeploymentState::AwaitingApproval | DeploymentState::Running) {
            moved = moved.or(self.join_if_targeted(&deployment, changed).await?);
        }
        // A draft is planned with all devices, and one that stood still looks at all when it goes on.
        *joined = true;
        match deployment.state {
            DeploymentState::Draft => moved = moved.or(self.plan(deployment).await?),
            DeploymentState::AwaitingApproval => moved = moved.or(self.begin_again(id).await?),
            DeploymentState::Running => {
                moved = moved.or(self.judge(id).await?);
                moved = moved.or(self.offer(id).await?);
            }
            DeploymentState::RollingBack => {
                moved = moved.or(self.send_back(id).await?);
                moved = moved.or(self.offer(id).await?);
            }
            DeploymentState::Cancelled => moved = moved.or(self.cancel_queued(id).await?),
            DeploymentState::Paused
            | DeploymentState::Halted
            | DeploymentState::Completed
            | DeploymentState::RolledBack => {}
        }
        Ok(moved.or(self.settle(id).await?))
    }

    /// Lets devices join. Where no targeting policy decides any more nobody does, and those that are in it go on; where
    /// one decides again, all devices are looked at.
    async fn join_if_targeted(&self, deployment: &Deployment, changed: &ChangedDevices) -> Result<Progress, AppError> {
        let all = ChangedDevices { all: true, ..ChangedDevices::default() };
        let changed = if self.untargeted.is_told(&deployment.id) { &all } else { changed };
        match self.join(deployment, changed).await {
            Ok(progress) => {
                self.untargeted.forget(&deployment.id);
                Ok(progress)
            }
            Err(AppError::Invalid { code: UNKNOWN_POLICY, detail, .. }) => {
                if self.untargeted.is_news(deployment.id) {
                    tracing::error!(deployment.id = %deployment.id, why = %detail, "no device joins a deployment any more");
                }
                Ok(Progress::Idle)
            }
            failed => failed,
        }
    }

    /// Shows in a deployment's record that a policy that decides about it is gone. That is written and logged once; the
    /// deployment goes on from where it stands when there is one again.
    async fn wait_for_policy(&self, id: DeploymentId, why: String) -> Result<Progress, AppError> {
        let mut deployment = self.load_deployment(id).await?;
        let reason = host_reason(UNKNOWN_POLICY, why.as_str());
        let decided_about = matches!(deployment.state, DeploymentState::Draft | DeploymentState::Running);
        if !decided_about || deployment.reason.as_ref() == Some(&reason) {
            return Ok(Progress::Idle);
        }
        deployment.reason = Some(reason);
        let mut work = Work::new(self.context.now(), [deployment]);
        work.deployment_mut(id);
        let progress = self.finish(work, id, "wait").await?;
        tracing::error!(deployment.id = %id, %why, "a deployment waits for a policy that is gone");
        Ok(progress)
    }

    /// Loads a deployment for one step.
    pub(super) async fn load_deployment(&self, id: DeploymentId) -> Result<Deployment, AppError> {
        self.store.deployment(id).await?.ok_or(AppError::NotFound("deployment"))
    }

    /// Commits a step, unless there is nothing in it.
    pub(super) async fn finish(&self, mut work: Work, id: DeploymentId, what: &str) -> Result<Progress, AppError> {
        if work.is_empty() {
            return Ok(Progress::Idle);
        }
        work.audit_drive(self, id, what);
        match work.commit(self).await {
            Ok(()) => Ok(Progress::Moved),
            Err(error) => Err(not_committed(error)),
        }
    }

    /// Assignments of a deployment in one of `states` that are due, at most [`STEP`].
    pub(super) async fn due(
        &self,
        deployment: &Deployment,
        states: &[AssignmentState],
    ) -> Result<Vec<Assignment>, AppError> {
        let now = self.context.now();
        let mut found = Vec::new();
        for (wave, counts) in (0_u16..).zip(deployment.waves.iter().map(|wave| wave.counts)) {
            for state in states.iter().filter(|state| counts.at(**state) > 0) {
                let left = STEP.saturating_sub(found.len());
                if left > 0 {
                    let due = Due { deployment: deployment.id, state: *state, wave };
                    found.extend(self.store.due_assignments(due, now, left).await?);
                }
            }
        }
        Ok(found)
    }

    /// Takes back what waits to be offered. Where the deployment is rolled back, what waits for another
    /// attempt goes back like everything that was exposed.
    async fn cancel_queued(&self, id: DeploymentId) -> Result<Progress, AppError> {
        let mut moved = Progress::Idle;
        for _ in 0..MAX_STEPS {
            let deployment = self.load_deployment(id).await?;
            let mut work = Work::new(self.context.now(), [deployment.clone()]);
            let queued = (0_u16..).zip(&deployment.waves).find(|(_, wave)| wave.counts.queued > 0);
            let Some((wave, _)) = queued else { break };
            let waiting = self
                .store
                .assignments_in_state(Due { deployment: id, state: AssignmentState::Queued, wave }, STEP)
                .await?;
            if waiting.is_empty()
                && let Some(deployment) = work.deployment_mut(id)
            {
                // They were announced, and the deployment ended before they were written.
                deployment.forget_announced(wave);
            }
            let (exposed, untouched): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|before| send_back::takes_back_retry(&deployment, before));
            for before in untouched {
                if let Some(after) = before.cancelled(self.context.now()) {
                    work.advance_quietly(&before, after);
                }
            }
            self.queue_way_back(&mut work, exposed).await?;
            match self.finish(work, id, "cancel").await? {
                Progress::Idle => break,
                Progress::Moved => moved = Progress::Moved,
            }
        }
        Ok(moved)
    }

    async fn settle(&self, id: DeploymentId) -> Result<Progress, AppError> {
        let now = self.context.now();
        let mut deployment = self.load_deployment(id).await?;
        let done = deployment.kind == DeploymentKind::Direct
            && deployment.state == DeploymentState::Running
            && deployment.counts().active() == 0;
        if done {
            deployment.advance(host_reason("device-done", "the device came to its end"), now);
        }
        if !deployment.settle(now) && !done {
            return Ok(Progress::Idle);
        }
        let mut work = Work::new(now, [deployment]);
        work.deployment_mut(id);
        self.finish(work, id, "settle").await
    }
}

impl Progress {
    pub(super) fn or(self, other: Self) -> Self {
        if self == Self::Moved { self } else { other }
    }
}

/// Why a step was not committed.
fn not_committed(error: CommitError) -> AppError {
    match error {
        CommitError::Failed(error) => AppError::Internal(error.to_string()),
        error => error.into(),
    }
}

/// The host's own reason.
pub(super) fn host_reason(code: &str, message: impl Into<String>) -> StateReason {
    StateReason { code: code.to_owned(), message: message.into(), by: "host".to_owned() }
}
