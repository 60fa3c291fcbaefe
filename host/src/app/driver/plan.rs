//! Owns choosing a draft's devices, and letting devices join a deployment that runs or waits for approval.

use std::collections::BTreeSet;

use kernex_model::deployment::{Deployment, DeploymentKind, DeploymentState, StateReason};
use kernex_model::id::{AssignmentId, DeploymentId, DeviceId};
use kernex_model::record::Decision;
use kernex_model::report::TimelineKind;

use super::Progress;
use crate::app::execution::{Note, Work};
use crate::app::fleet::ChangedDevices;
use crate::app::planning::{Chosen, Keep, NotPlanned, queued};
use crate::app::{App, AppError};

/// Assignments written in one transaction.
const CHUNK: usize = 1_000;

/// What is there already when devices are assigned.
#[derive(Clone, Copy)]
enum Written<'a> {
    /// The decision, and not one assignment.
    Nothing,
    /// Any of the assignments, and not yet this decision.
    Some { decision: &'a Decision },
}

impl App {
    /// Chooses a draft's devices and writes them down, chunk by chunk; then it starts, or waits for approval. Killed
    /// in the middle it begins again: what is written already is recognized by its identifier.
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
            let mut work = Work::new(self.context.now(), [deployment.clone()]);
            work.deployment_mut(id);
            work.decided(chosen.decision.clone());
            if let Some(made) = &chosen.made {
                work.kept(chosen.decision.id, made.kept.clone());
            }
            self.finish(work, id, "plan").await?;
            self.show_plan(&mut chosen);
        }
        let written = if first { Written::Nothing } else { Written::Some { decision: &chosen.decision } };
        self.assign(id, &chosen, written).await?;
        let deployment = self.load_deployment(id).await?;
        let planned = StateReason { code: "planned".to_owned(), message: chosen.decision.message.clone(), by };
        // Devices that changed meanwhile are in the next pass's list: they join like any that come later.
        self.begin(deployment, planned).await?;
        Ok(Progress::Moved)
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

    /// Writes down the chosen devices that are not assigned yet, and the decision with the first of them, where
    /// it is not recorded yet.
    async fn assign(&self, id: DeploymentId, chosen: &Chosen, written: Written<'_>) -> Result<Progress, AppError> {
        let mut moved = Progress::Idle;
        let mut decision = match written {
            Written::Nothing => None,
            Written::Some { decision } => Some(decision),
        };
        for chunk in chosen.devices.chunks(CHUNK) {
            let ids: Vec<_> =
                chunk.iter().map(|(_, device)| AssignmentId { deployment: id, device: *device }).collect();
            let known: BTreeSet<DeviceId> = match written {
                Written::Nothing => BTreeSet::new(),
                Written::Some { .. } => {
                    self.store.assignments_by_id(&ids).await?.into_iter().map(|a| a.device_id).collect()
                }
            };
            let deployment = self.load_deployment(id).await?;
            let now = self.context.now();
            // A device that joins late goes with the open wave: those before it have passed.
            let first = if deployment.state == DeploymentState::Running { deployment.wave } else { 0 };
            // A revision that it was pinned to since may have more waves.
            let last = u16::try_from(deployment.waves.len().saturating_sub(1)).unwrap_or(u16::MAX);
            let mut work = Work::new(now, [deployment.clone()]);
            for (wave, device) in chunk.iter().filter(|(_, device)| !known.contains(device)) {
                let wave = (*wave).min(last).max(first);
                let name = deployment.waves.get(usize::from(wave)).map_or("", |wave| wave.name.as_str());
                let note = Note {
                    decision: Some(chosen.decision.id),
                    ..Note::new(TimelineKind::Assigned, "assigned", format!("chosen for wave {} ({name})", wave + 1))
                };
                work.assign(queued(&deployment, wave, *device, now), note);
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
                let joined = self.assign(deployment.id, &chosen, Written::Some { decision: &chosen.decision }).await?;
                self.show_plan(&mut chosen);
                Ok(joined)
            }
            Err(not_planned) => self.halt_unplanned(deployment.clone(), not_planned).await,
        }
    }
}
