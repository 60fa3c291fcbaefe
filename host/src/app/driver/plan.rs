//! Owns choosing a draft's devices, and letting devices join a deployment that runs or waits for approval.

use std::collections::BTreeSet;

use kernex_model::assignment::Assignment;
use kernex_model::count::StateCounts;
use kernex_model::deployment::{Deployment, DeploymentKind, DeploymentState, StateReason};
use kernex_model::id::{AssignmentId, DeploymentId, DeviceId};
use kernex_model::record::Decision;
use kernex_model::report::TimelineKind;
use kernex_model::time::Timestamp;
use kernex_store::{CommitError, MAX_PAGE, Page};
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument as _;

use super::{Progress, not_committed};
use crate::app::execution::{Note, Work};
use crate::app::fleet::ChangedDevices;
use crate::app::planning::{Chosen, Keep, NotPlanned, queued};
use crate::app::{App, AppError};

/// Assignments written in one transaction.
const CHUNK: usize = 1_000;

/// Transactions of assignments that are on their way at once. Each is work for one thread of the database.
const LANES: usize = 2;

impl App {
    /// Chooses a draft's devices and writes them down; then it starts, or waits for approval. How many they are is
    /// written first, with as many of them as fit, then all others. Killed in the middle it begins again: what is
    /// written already is recognized by its identifier.
    pub(super) async fn plan(&self, draft: Deployment) -> Result<Progress, AppError> {
        let id = draft.id;
        let first = draft.waves.is_empty();
        // Where a planner was killed in the middle, its decision is written down, and the devices with it.
        let keep = if first { Keep::Devices } else { Keep::Nothing };
        let mut chosen = match self.choose(&draft, None, draft.plan.canary, keep).await? {
            Ok(chosen) => chosen,
            Err(not_planned) => return self.halt_unplanned(draft, not_planned).await,
        };
        let by = format!("policy:{}", chosen.decision.policy);
        let mut deployment = draft;
        if first {
            deployment.waves.clone_from(&chosen.waves);
            deployment.exclusions.clone_from(&chosen.exclusions);
        }
        let written = if first { BTreeSet::new() } else { self.count_written(&mut deployment).await? };
        chosen.devices.retain(|(_, device)| !written.contains(device));
        for (wave, _) in &chosen.devices {
            deployment.announce(*wave);
        }
        let at_once = chosen.devices.len().min(CHUNK);
        let mut work = Work::new(self.context.now(), [deployment.clone()]);
        work.deployment_mut(id);
        if first || !chosen.devices.is_empty() {
            work.decided(chosen.decision.clone());
        }
        if let Some(made) = chosen.made.as_ref().filter(|_| first) {
            work.kept(chosen.decision.id, made.kept.clone());
        }
        assign_announced(&mut work, &deployment, &chosen.devices[..at_once], &chosen.decision);
        self.finish(work, id, "plan").await?;
        if first {
            self.show_plan(&mut chosen);
        }
        let deployment = self.load_deployment(id).await?;
        if deployment.state != DeploymentState::Draft {
            return Err(AppError::Stale);
        }
        self.assign_in_lanes(&deployment, &chosen.devices[at_once..], &chosen.decision).await?;
        let planned = StateReason { code: "planned".to_owned(), message: chosen.decision.message.clone(), by };
        // Devices that changed meanwhile are in the next pass's list: they join like any that come later.
        self.begin(deployment, planned).await?;
        Ok(Progress::Moved)
    }

    /// Counts the assignments of a draft that are written already, and nothing else. Gives their devices.
    async fn count_written(&self, draft: &mut Deployment) -> Result<BTreeSet<DeviceId>, AppError> {
        draft.waves.iter_mut().for_each(|wave| wave.counts = StateCounts::default());
        let mut written = BTreeSet::new();
        let mut page = Some(Page::first(MAX_PAGE));
        while let Some(wanted) = page.take() {
            let listed = self.store.list_assignments(draft.id, None, &wanted).await?;
            for assignment in listed.items {
                draft.announce(assignment.wave);
                written.insert(assignment.device_id);
            }
            page = listed.next.map(|after| Page { limit: MAX_PAGE, after: Some(after) });
        }
        Ok(written)
    }

    /// Writes announced assignments, several transactions at once. None of them is committed once the deployment has
    /// moved; and none is on its way any more when this is done, whether it went well or not.
    async fn assign_in_lanes(
        &self,
        deployment: &Deployment,
        devices: &[(u16, DeviceId)],
        decision: &Decision,
    ) -> Result<(), AppError> {
        let mut lanes = JoinSet::new();
        let mut done = Ok(());
        for chunk in devices.chunks(CHUNK) {
            let mut work = Work::new(self.context.now(), []);
            work.on_condition_of(deployment);
            assign_announced(&mut work, deployment, chunk, decision);
            work.audit_drive(self, deployment.id, "assign");
            let (store, changes) = (self.store.clone(), work.changes(self));
            lanes.spawn(async move { store.commit(changes).await }.in_current_span());
            if lanes.len() == LANES {
                done = joined(lanes.join_next().await);
            }
            if done.is_err() {
                break;
            }
        }
        while let Some(ended) = lanes.join_next().await {
            done = done.and(joined(Some(ended)));
        }
        done
    }

    async fn halt_unplanned(&self, mut draft: Deployment, not_planned: NotPlanned) -> Result<Progress, AppError> {
        let id = draft.id;
        let NotPlanned { reason, decision, policy, asked } = not_planned;
        let by = format!("policy:{}", decision.policy);
        draft
            .halt(StateReason { code: reason.code, message: reason.message, by }, self.context.now())
            .map_err(|_| AppError::Stale)?;
        let mut work = Work::new(self.context.now(), [draft]);
        work.deployment_mut(id);
        work.decided((*decision).clone());
        let halted = self.finish(work, id, "halt").await?;
        self.show(&policy, &asked, &decision);
        Ok(halted)
    }

    /// Writes down the chosen devices of a deployment that has begun which are not assigned yet, and the decision with
    /// the first of them.
    async fn assign(&self, id: DeploymentId, chosen: &Chosen) -> Result<Progress, AppError> {
        let mut moved = Progress::Idle;
        let mut decision = Some(&chosen.decision);
        for chunk in chosen.devices.chunks(CHUNK) {
            let ids: Vec<_> =
                chunk.iter().map(|(_, device)| AssignmentId { deployment: id, device: *device }).collect();
            let known: BTreeSet<DeviceId> =
                self.store.assignments_by_id(&ids).await?.into_iter().map(|a| a.device_id).collect();
            let deployment = self.load_deployment(id).await?;
            let now = self.context.now();
            // A device that joins late goes with the open wave: those before it have passed.
            let first = if deployment.state == DeploymentState::Running { deployment.wave } else { 0 };
            let mut work = Work::new(now, [deployment.clone()]);
            for (wave, device) in chunk.iter().filter(|(_, device)| !known.contains(device)) {
                let wave = deployment.wave_for(*wave).max(first);
                let (assignment, note) = assigned(&deployment, wave, *device, &chosen.decision, now);
                work.assign(assignment, note);
            }
            if !work.is_empty()
                && let Some(decision) = decision.take()
            {
                work.decided(decision.clone());
            }
            moved = moved.or(self.finish(work, id, "assign").await?);
        }
        Ok(moved)
    }

    /// Lets devices that begin to match join, unless the deployment is frozen.
    pub(super) async fn join(&self, deployment: &Deployment, changed: &ChangedDevices) -> Result<Progress, AppError> {
        let nobody = !changed.all && changed.devices.is_empty();
        if nobody || deployment.plan.frozen || deployment.kind == DeploymentKind::Direct {
            return Ok(Progress::Idle);
        }
        let among: Option<Vec<DeviceId>> = (!changed.all).then(|| changed.devices.iter().copied().collect());
        match self.choose(deployment, among.as_deref(), 0, Keep::IfSomebodyLooksOn).await? {
            Ok(mut chosen) => {
                let joined = self.assign(deployment.id, &chosen).await?;
                self.show_plan(&mut chosen);
                Ok(joined)
            }
            Err(not_planned) => self.halt_unplanned(deployment.clone(), not_planned).await,
        }
    }
}

/// A new assignment to a device, and why.
fn assigned(
    deployment: &Deployment,
    wave: u16,
    device: DeviceId,
    decision: &Decision,
    now: Timestamp,
) -> (Assignment, Note) {
    let name = deployment.waves.get(usize::from(wave)).map_or("", |wave| wave.name.as_str());
    let message = format!("chosen for wave {} ({name})", wave + 1);
    let note = Note { decision: Some(decision.id), ..Note::new(TimelineKind::Assigned, "assigned", message) };
    (queued(deployment, wave, device, now), note)
}

/// Assignments that the deployment counts already.
fn assign_announced(work: &mut Work, deployment: &Deployment, chunk: &[(u16, DeviceId)], decision: &Decision) {
    for (wave, device) in chunk {
        let wave = deployment.wave_for(*wave);
        let (assignment, note) = assigned(deployment, wave, *device, decision, work.now());
        work.assign_counted(assignment, note);
    }
}

/// How a lane's transaction ended.
fn joined(ended: Option<Result<Result<(), CommitError>, JoinError>>) -> Result<(), AppError> {
    match ended {
        None | Some(Ok(Ok(()))) => Ok(()),
        Some(Ok(Err(error))) => Err(not_committed(error)),
        Some(Err(error)) => Err(AppError::Internal(error.to_string())),
    }
}
