//! Owns planning: asks the targeting policy which devices a deployment gets and in which wave.

use std::sync::Arc;

use kernex_model::assignment::{Assignment, AssignmentState};
use kernex_model::deployment::Deployment;
use kernex_model::device::{Device, DeviceAttributes, DeviceStatus};
use kernex_model::digest::Digest;
use kernex_model::id::{AssignmentId, DeploymentId, DeviceId};
use kernex_model::kept::Sample;
use kernex_model::policy::{Fact, Fault, Reason, TargetingDeployment, TargetingPlan};
use kernex_model::record::{Decision, DecisionGate, DecisionOutcome};
use kernex_model::selector::Selector;
use kernex_model::time::Timestamp;
use kernex_model::wave::{ExclusionCount, Wave};
use kernex_store::{DeviceFilter, MAX_PAGE, Page};

use super::columns::columns;
use super::policies::ActivePolicy;
use super::policies::replanning::MadePlan;
use super::verdict::{Asked, Verdict, fault_reason, json};
use super::{App, AppError};

/// Devices that one call of `classify` is about.
pub(super) const BATCH: usize = 8_192;
/// Devices that a count of exclusions names.
pub const MAX_SAMPLE: usize = 5;

/// What the targeting policy made of the devices that match.
#[derive(Debug)]
pub struct Chosen {
    /// Waves without their assignments' counts.
    pub waves: Vec<Wave>,
    /// Chosen devices: wave and device, in the order of their hash.
    pub devices: Vec<(u16, DeviceId)>,
    /// Devices that are left out.
    pub exclusions: Vec<ExclusionCount>,
    /// How the policy decided.
    pub decision: Decision,
    /// Who decided.
    pub policy: Arc<ActivePolicy>,
    /// The plan with the devices as they were read, where they are kept.
    pub made: Option<MadePlan>,
}

/// Whether the devices are kept that a plan is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// They are, so that the plan can be made again.
    Devices,
    /// Where a revision of the policy looks on, for it alone.
    IfSomebodyLooksOn,
    /// They are not.
    Nothing,
}

/// Why nothing was planned: the deployment is halted with this reason.
#[derive(Debug)]
pub struct NotPlanned {
    /// The policy's refusal, or its fault.
    pub reason: Reason,
    /// How the policy decided.
    pub decision: Box<Decision>,
    /// Who decided.
    pub policy: Arc<ActivePolicy>,
    /// What it was asked.
    pub(super) asked: Box<Asked>,
}

/// What a survey found out, and what it cost so far.
struct Survey {
    policy: Arc<ActivePolicy>,
    question: TargetingDeployment,
    plan: TargetingPlan,
    candidates: Selector,
    asked: Asked,
    keep: Keep,
    sample: Option<Sample>,
}

/// A number for a device in a deployment: evenly spread, stable, and different in every deployment.
#[must_use]
pub fn device_hash(deployment: DeploymentId, device: DeviceId) -> u64 {
    Digest::of_parts(&[&deployment.0.to_bytes(), &device.0.to_bytes()]).prefix()
}

/// Where no device's class is the canary, the first few of the next class that has any are canaries:
/// in a small fleet the first share may be empty, and a canary must not depend on that.
fn widen_canary(classes: &mut [(u64, DeviceId, u16)], waves: u16, canaries: u32) {
    let Some(first) = classes.iter().map(|(_, _, class)| *class).min().filter(|first| (1..waves).contains(first))
    else {
        return;
    };
    let chosen = classes.iter_mut().filter(|(_, _, class)| *class == first);
    for (_, _, class) in chosen.take(usize::try_from(canaries).unwrap_or(usize::MAX)) {
        *class = 0;
    }
}

impl App {
    /// Asks the targeting policy about every active device that matches the deployment's selector, or
    /// only about `among`. At most `canaries` go into a wave named `canary`: devices that join later never do. With
    /// [`Keep::Devices`] the devices come back as they were, for whoever writes the decision down.
    ///
    /// # Errors
    /// The outer error is the store's or a missing policy's; the inner one the policy's own refusal or fault.
    pub async fn choose(
        &self,
        deployment: &Deployment,
        among: Option<&[DeviceId]>,
        canaries: u32,
        keep: Keep,
    ) -> Result<Result<Chosen, NotPlanned>, AppError> {
        let policy = self.policies.deciding(DecisionGate::Targeting, deployment).await?.ok_or_else(|| {
            AppError::field("unknown-policy", "/plan/targeting_policy", "there is no targeting policy of that name")
        })?;
        let question = TargetingDeployment {
            id: deployment.id.to_string(),
            facts: self.deployment_facts(deployment).await?,
            created_at_ms: u64::try_from(deployment.created_at.as_millis()).unwrap_or(0),
        };
        let mut asked = Asked::new(deployment.id, "plan", &question);
        match asked.spent(policy.survey(&question)) {
            Ok(Ok((plan, candidates))) => {
                let kept = match keep {
                    Keep::Devices => true,
                    Keep::IfSomebodyLooksOn => self.policies.looking_on_at(&policy.revision.name).is_some(),
                    Keep::Nothing => false,
                };
                let sample = kept.then(|| Sample::new(policy.revision.secret_facts.clone()));
                let survey = Survey { policy, question, plan, candidates, asked, keep, sample };
                self.classify(deployment, survey, among, canaries).await
            }
            Ok(Err(reason)) => Ok(Err(self.not_planned(policy, asked, DecisionOutcome::Deny, reason))),
            Err(fault) => {
                Ok(Err(self.not_planned(policy, asked, DecisionOutcome::Fault, fault_reason("targeting", fault))))
            }
        }
    }

    async fn classify(
        &self,
        deployment: &Deployment,
        mut survey: Survey,
        among: Option<&[DeviceId]>,
        canaries: u32,
    ) -> Result<Result<Chosen, NotPlanned>, AppError> {
        let selector = deployment.selector.clone().and(&survey.candidates);
        let mut classes: Vec<(u64, DeviceId, u16)> = Vec::new();
        let mut pending: Vec<Device> = Vec::new();
        let mut walk = Walk::new(among);
        loop {
            let page = walk.next(self, &selector).await?;
            let last = page.is_none();
            pending.extend(page.unwrap_or_default());
            if pending.len() >= BATCH || (last && !pending.is_empty()) {
                if let Err(fault) = self.classify_batch(deployment, &mut survey, &pending, &mut classes) {
                    return Ok(Err(self.failed(survey, fault)));
                }
                pending.clear();
            }
            if last {
                break;
            }
        }
        Ok(Ok(self.arrange(survey, classes, canaries)))
    }

    fn classify_batch(
        &self,
        deployment: &Deployment,
        survey: &mut Survey,
        devices: &[Device],
        classes: &mut Vec<(u64, DeviceId, u16)>,
    ) -> Result<(), Fault> {
        let hashes: Vec<u64> = devices.iter().map(|device| device_hash(deployment.id, device.id)).collect();
        let batch = columns(devices, &survey.plan.columns, hashes.clone(), &|id| self.bundle_name(id));
        let run = survey.policy.classify(&survey.question, &survey.plan, &batch);
        let found = survey.asked.spent(run)?;
        if let Some(sample) = &mut survey.sample {
            sample.batch(devices.len());
            for (device, class) in devices.iter().zip(&found) {
                sample.take(device, *class, || device.bundle_id.and_then(|id| self.bundle_name(id)));
            }
        }
        classes
            .extend(hashes.into_iter().zip(devices).zip(found).map(|((hash, device), class)| (hash, device.id, class)));
        Ok(())
    }

    fn failed(&self, survey: Survey, fault: Fault) -> NotPlanned {
        let reason = fault_reason("targeting", fault);
        self.not_planned(survey.policy, survey.asked, DecisionOutcome::Fault, reason)
    }

    fn not_planned(
        &self,
        policy: Arc<ActivePolicy>,
        asked: Asked,
        outcome: DecisionOutcome,
        reason: Reason,
    ) -> NotPlanned {
        let verdict = Verdict { outcome, reason: reason.clone(), output: None };
        let decision = Box::new(self.decided(&policy, &asked, verdict));
        NotPlanned { reason, decision, policy, asked: Box::new(asked) }
    }

    /// Applies what the policy leaves to the host: the size of the canary, and the order by hash.
    fn arrange(&self, mut survey: Survey, mut classes: Vec<(u64, DeviceId, u16)>, mut canaries_left: u32) -> Chosen {
        classes.sort_unstable();
        let names = &survey.plan.waves;
        let waves = u16::try_from(names.len()).unwrap_or(u16::MAX);
        let capped = names.first().is_some_and(|name| name == TargetingPlan::CANARY) && waves > 1;
        if capped {
            widen_canary(&mut classes, waves, canaries_left);
        }
        let mut exclusions: Vec<ExclusionCount> = survey
            .plan
            .exclusions
            .iter()
            .map(|reason| ExclusionCount {
                code: reason.code.clone(),
                message: reason.message.clone(),
                count: 0,
                sample: Vec::new(),
            })
            .collect();
        let mut devices = Vec::with_capacity(classes.len());
        for (_, device, class) in classes {
            if class >= waves {
                if let Some(exclusion) = exclusions.get_mut(usize::from(class - waves)) {
                    exclusion.count += 1;
                    if exclusion.sample.len() < MAX_SAMPLE {
                        exclusion.sample.push(device);
                    }
                }
                continue;
            }
            let wave = if capped && class == 0 && canaries_left == 0 { 1 } else { class };
            if capped && wave == 0 {
                canaries_left -= 1;
            }
            devices.push((wave, device));
        }
        exclusions.retain(|exclusion| exclusion.count > 0);
        let reason = Reason::new("planned", format!("{} devices in {} waves", devices.len(), names.len()));
        let mut output = serde_json::json!({ "plan": survey.plan, "chosen": devices.len(), "exclusions": exclusions });
        let kept = survey.sample.take().map(Sample::finish);
        if let Some(plan) = kept.as_ref().filter(|_| survey.keep == Keep::Devices) {
            output["kept"] = json(&plan.kept);
        }
        let verdict = Verdict { outcome: DecisionOutcome::Planned, reason, output: Some(output) };
        let decision = self.decided(&survey.policy, &survey.asked, verdict);
        let waves = names.iter().map(Wave::waiting).collect();
        let Survey { policy, question, plan, asked, .. } = survey;
        let made = kept.map(|kept| MadePlan { question, plan, facts: asked.facts_read, kept });
        Chosen { waves, devices, exclusions, decision, policy, made }
    }

    /// What the policies may know of a deployment: its bundle, its kind and its settings.
    pub(super) async fn deployment_facts(&self, deployment: &Deployment) -> Result<Vec<Fact>, AppError> {
        let mut facts = Vec::new();
        if let Some(id) = deployment.bundle_id {
            let bundle = self.store.bundle(id).await?.ok_or(AppError::NotFound("bundle"))?;
            facts.push(Fact::text("bundle.name", bundle.name.as_str()));
            facts.push(Fact::text("bundle.version", bundle.version.as_str()));
            if let Some((_, models)) = bundle.labels.iter().find(|(key, _)| key.as_str() == "models") {
                facts.push(Fact::texts("bundle.models", models.as_str().split('+').map(str::to_owned).collect()));
            }
        }
        for (key, value) in deployment.plan.settings.iter().flatten() {
            facts.push(Fact { name: format!("settings.{key}"), value: value.to_policy() });
        }
        Ok(facts)
    }
}

/// Walks the devices in question, a page at a time.
struct Walk<'a> {
    among: Option<std::slice::Chunks<'a, DeviceId>>,
    page: Option<Page>,
}

impl<'a> Walk<'a> {
    fn new(among: Option<&'a [DeviceId]>) -> Self {
        Self { among: among.map(|ids| ids.chunks(usize::from(MAX_PAGE))), page: Some(Page::first(MAX_PAGE)) }
    }

    /// The next page; `None` after the last.
    async fn next(&mut self, app: &App, selector: &Selector) -> Result<Option<Vec<Device>>, AppError> {
        let names = |id| app.bundle_name(id);
        if let Some(chunks) = &mut self.among {
            let Some(ids) = chunks.next() else { return Ok(None) };
            let mut devices = app.store.devices_by_id(ids).await?;
            devices.retain(|device| {
                let bundle = device.bundle_id.and_then(names);
                let attributes =
                    DeviceAttributes { device, bundle: bundle.as_ref().map(|(name, version)| (name, version)) };
                device.status == DeviceStatus::Active && selector.matches(&attributes)
            });
            return Ok(Some(devices));
        }
        let Some(page) = self.page.take() else { return Ok(None) };
        let filter = DeviceFilter { selector: Some(selector), scope: None, status: Some(DeviceStatus::Active) };
        let listed = app.store.list_devices(filter, &names, &page).await?;
        self.page = listed.next.map(|after| Page { limit: MAX_PAGE, after: Some(after) });
        Ok(Some(listed.items))
    }
}

/// A device's part in a deployment, before anything happened.
pub(super) fn queued(deployment: &Deployment, wave: u16, device: DeviceId, now: Timestamp) -> Assignment {
    Assignment {
        id: AssignmentId { deployment: deployment.id, device },
        deployment_id: deployment.id,
        device_id: device,
        wave,
        state: AssignmentState::Queued,
        attempt: 0,
        failed_attempts: 0,
        bundle_id: deployment.bundle_id,
        config_version: None,
        previous_bundle_id: None,
        previous_config_version: None,
        due_at: now,
        progress: None,
        phase: None,
        error: None,
        offered_at: None,
        installed_at: None,
        updated_at: now,
        revision: 1,
    }
}

#[cfg(test)]
mod tests {
    use kernex_model::id::Ulid;

    use super::*;

    fn classes(classes: &[u16]) -> Vec<(u64, DeviceId, u16)> {
        (0_u64..).zip(classes).map(|(hash, class)| (hash, DeviceId(Ulid(u128::from(hash))), *class)).collect()
    }

    fn widened(before: &[u16], waves: u16, canaries: u32) -> Vec<u16> {
        let mut all = classes(before);
        widen_canary(&mut all, waves, canaries);
        all.into_iter().map(|(_, _, class)| class).collect()
    }

    #[test]
    fn an_empty_canary_is_filled_from_the_first_wave_that_has_devices() {
        assert_eq!(widened(&[2, 1, 1, 1], 3, 2), [2, 0, 0, 1]);
        assert_eq!(widened(&[2, 2], 3, 5), [0, 0]);
        assert_eq!(widened(&[1, 1], 3, 0), [1, 1], "a plan without canaries");
    }

    #[test]
    fn a_canary_that_has_devices_and_what_is_left_out_stay() {
        assert_eq!(widened(&[0, 1, 1], 3, 2), [0, 1, 1]);
        assert_eq!(widened(&[3, 4], 3, 2), [3, 4], "classes past the waves are exclusions");
        assert_eq!(widened(&[], 3, 2), [0_u16; 0]);
    }
}
