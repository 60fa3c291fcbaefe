//! Owns one committed step of deployments: assignments move, counts, histories and device records follow, all in one transaction.

use std::collections::BTreeMap;

use kernex_model::action::Action;
use kernex_model::assignment::{Assignment, AssignmentState};
use kernex_model::bundle::{Bundle, BundleEvent, BundleHistoryEntry, DeviceConfig};
use kernex_model::deployment::Deployment;
use kernex_model::id::{AssignmentId, AuditId, DecisionId, DeploymentId, DeviceId};
use kernex_model::kept::KeptPlan;
use kernex_model::principal::Principal;
use kernex_model::record::{AuditRecord, Decision};
use kernex_model::report::{Command, Report, TimelineEntry, TimelineKind};
use kernex_model::time::Timestamp;
use kernex_store::{Changes, CommitError, DevicePatch};
use poem_openapi::types::Any;

use super::App;
use super::gatekeeper::GrantRecord;

/// Where a step's sequence of timeline entries may begin: random bits, with room behind them to count on.
const SEQUENCE_START: u32 = 0x7fff_0000;

/// Why an assignment moved, for the device's timeline.
#[derive(Debug, Clone)]
pub(super) struct Note {
    /// What kind of thing.
    pub kind: TimelineKind,
    /// For machines.
    pub code: String,
    /// For people.
    pub message: String,
    /// The decision that led to it.
    pub decision: Option<DecisionId>,
}

impl Note {
    pub(super) fn new(kind: TimelineKind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, code: code.into(), message: message.into(), decision: None }
    }
}

/// One step, being put together. Nothing has happened until [`Work::commit`].
#[derive(Debug)]
pub(super) struct Work {
    now: Timestamp,
    deployments: BTreeMap<DeploymentId, (Deployment, bool)>,
    assignments: BTreeMap<AssignmentId, (Assignment, Written)>,
    timeline: Vec<TimelineEntry>,
    patches: BTreeMap<DeviceId, DevicePatch>,
    history: Vec<BundleHistoryEntry>,
    reports: Vec<Report>,
    bundles: Vec<Bundle>,
    configs: Vec<DeviceConfig>,
    decisions: Vec<Decision>,
    plans: Vec<(DecisionId, KeptPlan)>,
    audit: Vec<AuditRecord>,
    publish: Vec<Command>,
    withdraw: Vec<(AssignmentId, u32)>,
    condition: Option<Deployment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    No,
    Created,
    Updated,
}

impl Work {
    pub(super) fn new(now: Timestamp, deployments: impl IntoIterator<Item = Deployment>) -> Self {
        Self {
            now,
            deployments: deployments.into_iter().map(|deployment| (deployment.id, (deployment, false))).collect(),
            assignments: BTreeMap::new(),
            timeline: Vec::new(),
            patches: BTreeMap::new(),
            history: Vec::new(),
            reports: Vec::new(),
            bundles: Vec::new(),
            configs: Vec::new(),
            decisions: Vec::new(),
            plans: Vec::new(),
            audit: Vec::new(),
            publish: Vec::new(),
            withdraw: Vec::new(),
            condition: None,
        }
    }

    /// Lets the step see an assignment as it is stored.
    pub(super) fn load(&mut self, assignments: impl IntoIterator<Item = Assignment>) {
        self.assignments.extend(assignments.into_iter().map(|assignment| (assignment.id, (assignment, Written::No))));
    }

    /// An assignment as this step leaves it so far.
    pub(super) fn assignment(&self, id: AssignmentId) -> Option<&Assignment> {
        self.assignments.get(&id).map(|(assignment, _)| assignment)
    }

    /// A deployment as this step leaves it so far.
    pub(super) fn deployment(&self, id: DeploymentId) -> Option<&Deployment> {
        self.deployments.get(&id).map(|(deployment, _)| deployment)
    }

    /// A deployment, to be changed.
    pub(super) fn deployment_mut(&mut self, id: DeploymentId) -> Option<&mut Deployment> {
        self.deployments.get_mut(&id).map(|(deployment, dirty)| {
            *dirty = true;
            deployment
        })
    }

    /// Whether anything would be written.
    pub(super) fn is_empty(&self) -> bool {
        self.deployments.values().all(|(_, dirty)| !dirty)
            && self.assignments.values().all(|(_, written)| *written == Written::No)
    }

    /// When the step happens.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// Lets the step happen only where a deployment that it does not change is still as it was read.
    pub(super) fn on_condition_of(&mut self, deployment: &Deployment) {
        self.condition = Some(deployment.clone());
    }

    /// A new assignment.
    pub(super) fn assign(&mut self, assignment: Assignment, note: Note) {
        if let Some(deployment) = self.deployment_mut(assignment.deployment_id)
            && let Some(wave) = deployment.waves.get_mut(usize::from(assignment.wave))
        {
            wave.counts.enter(assignment.state);
        }
        self.assign_counted(assignment, note);
    }

    /// A new assignment that its deployment counts already.
    pub(super) fn assign_counted(&mut self, assignment: Assignment, note: Note) {
        self.note(&assignment, note);
        self.assignments.insert(assignment.id, (assignment, Written::Created));
    }

    /// An assignment goes on: counts, the device's record and its history follow from the two states.
    pub(super) fn advance(&mut self, before: &Assignment, after: Assignment, note: Note) {
        if before.state != after.state {
            if let Some(deployment) = self.deployment_mut(after.deployment_id) {
                deployment.shift(after.wave, before.state, after.state);
            }
            self.follow(&after);
        }
        if before.state.in_flight() && (!after.state.in_flight() || after.attempt != before.attempt) {
            self.withdraw.push((after.id, before.attempt));
        }
        self.note(&after, note);
        let written = match self.assignments.get(&after.id) {
            Some((_, Written::Created)) => Written::Created,
            _ => Written::Updated,
        };
        self.assignments.insert(after.id, (after, written));
    }

    /// Moves without a timeline entry: progress, and an offer put off.
    pub(super) fn advance_quietly(&mut self, before: &Assignment, after: Assignment) {
        let entries = self.timeline.len();
        self.advance(before, after, Note::new(TimelineKind::Driver, "", ""));
        self.timeline.truncate(entries);
    }

    fn note(&mut self, assignment: &Assignment, note: Note) {
        let sequence = u32::try_from(self.timeline.len()).unwrap_or(u32::MAX);
        self.timeline.push(TimelineEntry {
            device_id: assignment.device_id,
            at: self.now,
            sequence,
            kind: note.kind,
            code: note.code,
            message: note.message,
            deployment_id: Some(assignment.deployment_id),
            decision_id: note.decision,
        });
    }

    fn follow(&mut self, after: &Assignment) {
        let (bundle, verified, event) = match after.state {
            AssignmentState::Installed => (after.bundle_id, None, BundleEvent::Installed),
            AssignmentState::Verified => (None, after.bundle_id, BundleEvent::Verified),
            AssignmentState::RolledBack => {
                (after.previous_bundle_id, after.previous_bundle_id, BundleEvent::RolledBackTo)
            }
            _ => return,
        };
        let patch = self.patches.entry(after.device_id).or_insert_with(|| DevicePatch::new(after.device_id, self.now));
        if bundle.is_some() {
            patch.bundle_id = Some(bundle);
        }
        if verified.is_some() {
            patch.verified_bundle_id = Some(verified);
        }
        if after.bundle_id.is_none() && after.state != AssignmentState::Verified && after.config_version.is_some() {
            patch.config_version = Some(after.config_version);
        }
        if let Some(bundle_id) = bundle.or(verified) {
            self.history.push(BundleHistoryEntry {
                device_id: after.device_id,
                at: self.now,
                bundle_id,
                event,
                assignment_id: Some(after.id),
            });
        }
    }

    pub(super) fn reported(&mut self, report: &Report) {
        self.reports.push(report.clone());
    }

    pub(super) fn configure(&mut self, config: DeviceConfig) {
        self.configs.push(config);
    }

    pub(super) fn change_bundle(&mut self, bundle: Bundle) {
        self.bundles.push(bundle);
    }

    pub(super) fn decided(&mut self, decision: Decision) {
        self.decisions.push(decision);
    }

    /// The devices that a plan was made of, beside its decision.
    pub(super) fn kept(&mut self, decision: DecisionId, plan: KeptPlan) {
        self.plans.push((decision, plan));
    }

    /// A command that the device may have once the step is committed.
    pub(super) fn publish(&mut self, command: Command) {
        self.publish.push(command);
    }

    /// The record of who asked for a part of the step.
    pub(super) fn audit(&mut self, record: GrantRecord) {
        self.audit.push(record.0);
        self.decisions.extend(record.1);
    }

    /// The host's own record of the step.
    pub(super) fn audit_drive(&mut self, app: &App, deployment: DeploymentId, what: &str) {
        let written = self.assignments.values().filter(|(_, written)| *written != Written::No).count();
        let audit = AuditRecord {
            id: AuditId(app.context.ulid()),
            at: self.now,
            principal: Principal::System,
            action: Action::DeploymentDrive,
            resource_kind: "deployment".to_owned(),
            resource_id: Some(deployment.to_string()),
            decision_id: None,
            decision_ids: Vec::new(),
            request_id: None,
            address: None,
            detail: Some(Any(serde_json::json!({ "step": what, "assignments": written }))),
        };
        self.audit.push(audit.by(&self.decisions));
    }

    /// Writes everything in one transaction, then lets memory follow.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] where something moved since it was read: nothing was written, load again.
    pub(super) async fn commit(self, app: &App) -> Result<(), CommitError> {
        app.store.commit(self.changes(app)).await?;
        self.withdraw.into_iter().for_each(|(assignment, attempt)| app.fleet.withdraw(assignment, attempt));
        self.publish.into_iter().for_each(|command| app.fleet.publish(command));
        for patch in self.patches.values() {
            app.fleet.note_versions(patch.id, patch.bundle_id.flatten(), patch.config_version.flatten());
        }
        Ok(())
    }

    /// What is written. A step that nothing in memory follows may be committed as these alone.
    pub(super) fn changes(&self, app: &App) -> Changes {
        let mut changes = Changes::grouped(&self.audit);
        if let Some(deployment) = &self.condition {
            changes.expect(deployment);
        }
        for decision in &self.decisions {
            changes = changes.deciding(decision);
        }
        for (decision, plan) in &self.plans {
            changes.keep_plan(*decision, plan);
        }
        for (deployment, _) in self.deployments.values().filter(|(_, dirty)| *dirty) {
            changes.update(deployment);
        }
        for (assignment, written) in self.assignments.values() {
            match written {
                Written::No => {}
                Written::Created => {
                    changes.create(assignment);
                }
                Written::Updated => {
                    changes.update(assignment);
                }
            }
        }
        // Entries of another step in the same millisecond must not have the same key.
        let first = (app.context.ulid().0 as u32) & SEQUENCE_START;
        for entry in &self.timeline {
            changes.put(&TimelineEntry { sequence: first + entry.sequence, ..entry.clone() });
        }
        for entry in &self.history {
            changes.put(entry);
        }
        for report in &self.reports {
            changes.put(report);
        }
        for config in &self.configs {
            changes.create(config);
        }
        for bundle in &self.bundles {
            changes.update(bundle);
        }
        for patch in self.patches.values() {
            changes.patch_device(patch);
        }
        changes
    }
}
