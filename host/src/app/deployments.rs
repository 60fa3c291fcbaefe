//! Owns what people do with deployments: preview, create, look, pause, resume, cancel, roll back.

use kernex_model::action::Action;
use kernex_model::assignment::{Assignment, AssignmentState};
use kernex_model::bundle::BundleStatus;
use kernex_model::deployment::{Deployment, DeploymentKind, DeploymentState, Plan, RollbackExtent, StateReason};
use kernex_model::id::{BundleId, DeploymentId, DeviceId};
use kernex_model::name::{DeploymentName, Remark};
use kernex_model::pin::Pinned;
use kernex_model::policy::Fact;
use kernex_model::record::Decision;
use kernex_model::selector::{MAX_REQUIREMENTS, Selector};
use kernex_model::wave::{ExclusionCount, Wave};
use kernex_store::{CommitError, DeploymentFilter, Listed, Page};
use poem_openapi::types::Any;

use super::execution::Work;
use super::gatekeeper::Grant;
use super::planning::{Keep, queued};
use super::{App, AppError, Caller, Scope};

/// How often a step that a person asked for is tried again when the driver moved the deployment meanwhile.
pub(super) const MAX_TRIES: usize = 10;

/// What a deployment brings to its devices.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A bundle.
    Bundle(BundleId),
    /// A config document.
    Config(serde_json::Value),
}

/// A deployment that somebody wants.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDeployment {
    /// Name for people.
    pub name: DeploymentName,
    /// What it brings.
    pub target: Target,
    /// Which devices it is for.
    pub selector: Selector,
    /// How it is carried out.
    pub plan: Plan,
}

/// What a deployment would do.
#[derive(Debug)]
pub struct Preview {
    /// Its waves; every device counted as queued.
    pub waves: Vec<Wave>,
    /// Devices that would be left out.
    pub exclusions: Vec<ExclusionCount>,
    /// How the targeting policy decided.
    pub decision: Decision,
}

/// What a person asks of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Stop new offers.
    Pause,
    /// Go on.
    Resume,
    /// End it; what is in flight comes to its end.
    Cancel,
    /// Send exposed devices back.
    RollBack(RollbackExtent),
}

impl Control {
    fn action(self) -> Action {
        match self {
            Self::Pause | Self::Resume | Self::Cancel => Action::DeploymentControl,
            Self::RollBack(_) => Action::DeploymentRollback,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::RollBack(_) => "rollback",
        }
    }
}

impl App {
    /// Says what a deployment would do, without doing it.
    ///
    /// # Errors
    /// As [`App::create_deployment`], and a conflict with the policy's own code where it refuses to plan.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn preview_deployment(&self, caller: &Caller, new: NewDeployment) -> Result<Preview, AppError> {
        let mut grant =
            self.gatekeeper.authorize(caller, Action::DeploymentPreview, "deployment", None, facts(&new))?;
        let new = self.within_scope(&mut grant, new)?;
        let pinned = self.check_target(&new).await?;
        let draft = Deployment { pinned: Some(pinned), ..self.draft(caller, new) };
        let chosen = match self.choose(&draft, None, draft.plan.canary, Keep::Nothing).await? {
            Ok(chosen) => chosen,
            Err(refused) => {
                return Err(AppError::conflict(
                    "not-planned",
                    format!("{} ({})", refused.reason.message, refused.reason.code),
                ));
            }
        };
        let mut waves = chosen.waves;
        for (wave, _) in &chosen.devices {
            if let Some(wave) = waves.get_mut(usize::from(*wave)) {
                wave.counts.enter(AssignmentState::Queued);
            }
        }
        Ok(Preview { waves, exclusions: chosen.exclusions, decision: chosen.decision })
    }

    /// Creates a deployment; its devices are chosen at once, by the driver, which then asks whether its creator may
    /// start it.
    ///
    /// # Errors
    /// Denied; not found where the bundle is; a conflict where it must not be deployed; invalid where a
    /// policy that it names does not exist.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn create_deployment(&self, caller: &Caller, new: NewDeployment) -> Result<Deployment, AppError> {
        let mut grant = self.gatekeeper.authorize(caller, Action::DeploymentCreate, "deployment", None, facts(&new))?;
        let new = self.within_scope(&mut grant, new)?;
        let pinned = self.check_target(&new).await?;
        let draft = Deployment { pinned: Some(pinned), ..self.draft(caller, new) };
        let grant = grant.on(draft.id);
        let mut changes = grant.changes(Some(
            serde_json::json!({ "name": draft.name, "bundle_id": draft.bundle_id, "selector": draft.selector }),
        ));
        changes.create(&draft);
        self.store.commit(changes).await?;
        self.wake_driver();
        Ok(draft)
    }

    /// A deployment reaches no device that its maker may not touch: what narrows the caller's roles narrows
    /// the selector. What the policies say belongs to the grant from here on.
    fn within_scope(&self, grant: &mut Grant, new: NewDeployment) -> Result<NewDeployment, AppError> {
        let selector = match self.gatekeeper.narrow(grant, "device")? {
            Scope::All => return Ok(new),
            Scope::Matching(scope) => new.selector.clone().and(&scope),
            Scope::Nothing => {
                return Err(AppError::Forbidden {
                    code: "no-device-in-scope",
                    detail: "the caller may touch no device".to_owned(),
                });
            }
        };
        if selector.requirements().len() > MAX_REQUIREMENTS {
            let detail =
                format!("together with what narrows the caller it has more than {MAX_REQUIREMENTS} requirements");
            return Err(AppError::field("selector-too-long", "/selector", detail));
        }
        Ok(NewDeployment { selector, ..new })
    }

    /// Makes sure that it can be deployed; gives the revisions that decide about it from its creation on.
    async fn check_target(&self, new: &NewDeployment) -> Result<Pinned, AppError> {
        let pinned = self.active_pins(&new.plan)?;
        let Target::Bundle(id) = new.target else { return Ok(pinned) };
        let bundle = self.store.bundle(id).await?.ok_or(AppError::NotFound("bundle"))?;
        match bundle.status {
            BundleStatus::Available => Ok(pinned),
            BundleStatus::Bad => Err(AppError::conflict(
                "bundle-bad",
                "a fleet was rolled back from this bundle; it is not deployed again",
            )),
            BundleStatus::Retired => Err(AppError::conflict("bundle-retired", "this bundle was taken out of use")),
        }
    }

    fn draft(&self, caller: &Caller, new: NewDeployment) -> Deployment {
        let now = self.context.now();
        let (bundle_id, config) = match new.target {
            Target::Bundle(id) => (Some(id), None),
            Target::Config(document) => (None, Some(Any(document))),
        };
        Deployment {
            id: DeploymentId(self.context.ulid()),
            name: new.name,
            kind: DeploymentKind::Fleet,
            bundle_id,
            config,
            selector: new.selector,
            plan: new.plan,
            pinned: None,
            state: DeploymentState::Draft,
            reason: None,
            waves: Vec::new(),
            exclusions: Vec::new(),
            wave: 0,
            rollback: None,
            accepted: None,
            settled: false,
            judge_state: String::new(),
            approved_by: Vec::new(),
            created_by: caller.principal,
            created_at: now,
            updated_at: now,
            revision: 1,
        }
    }

    /// Deployments, newest first.
    ///
    /// # Errors
    /// Denied.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn list_deployments(
        &self,
        caller: &Caller,
        filter: DeploymentFilter,
        page: &Page,
    ) -> Result<Listed<Deployment>, AppError> {
        self.gatekeeper.authorize(caller, Action::DeploymentList, "deployment", None, Vec::new())?;
        Ok(self.store.list_deployments(filter, page).await?)
    }

    /// One deployment.
    ///
    /// # Errors
    /// Denied, or not found.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn get_deployment(&self, caller: &Caller, id: DeploymentId) -> Result<Deployment, AppError> {
        self.gatekeeper.authorize(caller, Action::DeploymentRead, "deployment", Some(id.to_string()), Vec::new())?;
        self.load_deployment(id).await
    }

    /// A deployment's assignments.
    ///
    /// # Errors
    /// Denied, or not found.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn list_assignments(
        &self,
        caller: &Caller,
        id: DeploymentId,
        state: Option<AssignmentState>,
        page: &Page,
    ) -> Result<Listed<Assignment>, AppError> {
        self.gatekeeper.authorize(caller, Action::DeploymentRead, "deployment", Some(id.to_string()), Vec::new())?;
        self.load_deployment(id).await?;
        Ok(self.store.list_assignments(id, state, page).await?)
    }

    /// Does what a person asks of a deployment, on whatever state the driver has brought it to.
    ///
    /// # Errors
    /// Denied, not found, or a conflict (`wrong-state`) where the step is not possible.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn control_deployment(
        &self,
        caller: &Caller,
        id: DeploymentId,
        control: Control,
        remark: Option<Remark>,
    ) -> Result<Deployment, AppError> {
        // Read before the policies are asked, because their answer may depend on it.
        let mut facts = match self.store.deployment(id).await? {
            Some(deployment) => self.authorization_facts(&deployment).await?,
            None => Vec::new(),
        };
        facts.push(Fact::text("step", control.word()));
        let grant = self.gatekeeper.authorize(caller, control.action(), "deployment", Some(id.to_string()), facts)?;
        for _ in 0..MAX_TRIES {
            match self.try_control(&grant, id, control, remark.as_ref()).await {
                Err(AppError::Stale) => {}
                answer => {
                    if let Control::Resume = control {
                        // Whoever began to match while it stood still has been looked at without it.
                        self.fleet.mark_all_changed();
                    }
                    self.wake_driver();
                    return answer;
                }
            }
        }
        Err(AppError::Busy)
    }

    async fn try_control(
        &self,
        grant: &Grant,
        id: DeploymentId,
        control: Control,
        remark: Option<&Remark>,
    ) -> Result<Deployment, AppError> {
        let before = self.load_deployment(id).await?;
        let now = self.context.now();
        let reason = StateReason {
            code: control.word().to_owned(),
            message: remark.map_or("no reason was given", Remark::as_str).to_owned(),
            by: grant.caller().principal.to_string(),
        };
        let mut after = before.clone();
        match control {
            Control::Pause => after.pause(reason, now),
            Control::Resume => after.resume(reason, now),
            Control::Cancel => after.cancel(reason, now),
            Control::RollBack(extent) => after.roll_back(extent, reason, now),
        }
        .map_err(|refused| AppError::conflict("wrong-state", refused.to_string()))?;
        let mut work = Work::new(now, [after.clone()]);
        work.deployment_mut(id);
        work.audit(grant.record(Some(serde_json::json!({ "step": control.word(), "reason": remark }))));
        if let Control::RollBack(_) = control {
            self.mark_bad(&mut work, &before).await?;
        }
        match work.commit(self).await {
            Ok(()) => Ok(Deployment { revision: after.revision + 1, ..after }),
            Err(CommitError::Conflict { .. }) => Err(AppError::Stale),
            Err(error) => Err(error.into()),
        }
    }

    /// A deployment for one device, asked for by a person: it runs at once, without waves or policies.
    pub(super) fn direct(
        &self,
        caller: &Caller,
        name: DeploymentName,
        target: Target,
        selector: Selector,
        device: DeviceId,
    ) -> (Deployment, Assignment) {
        let plan = Plan { max_in_flight: 1, frozen: true, ..Plan::default() };
        let mut deployment = self.draft(caller, NewDeployment { name, target, selector, plan });
        deployment.kind = DeploymentKind::Direct;
        deployment.waves = vec![Wave::waiting("device")];
        let started = deployment.start(self.context.now());
        debug_assert!(started.is_ok(), "a draft can be started");
        let assignment = queued(&deployment, 0, device, self.context.now());
        (deployment, assignment)
    }
}

/// What the authorization policy may know of a deployment that somebody wants.
fn facts(new: &NewDeployment) -> Vec<Fact> {
    let target = match &new.target {
        Target::Bundle(id) => Fact::text("bundle", id.to_string()),
        Target::Config(_) => Fact::text("target", "config"),
    };
    vec![target, Fact::text("selector", new.selector.to_string())]
}
