//! Owns asking a policy once more for a plan: the question as it was recorded, on the devices as they were then.

use kernex_engine::Policy;
use kernex_model::comparison::{Comparison, Difference, Finding};
use kernex_model::id::{DeploymentId, RequestId};
use kernex_model::kept::{Kept, KeptDevice, KeptPlan, devices_in};
use kernex_model::policy::{Fact, Fault, Reason, TargetingDeployment, TargetingPlan};
use kernex_model::record::{Decision, DecisionOutcome};
use kernex_model::selector::Selector;
use kernex_model::time::Timestamp;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::ActivePolicy;
use super::again::{Told, Unrepeatable, facts_of};
use super::asking;
use super::facts::Before;
use crate::app::Context;
use crate::app::columns::batch;
use crate::app::planning::{BATCH, device_hash};
use crate::app::replay::MAX_SHOWN;
use crate::app::verdict::{fault_reason, json as to_json};

/// The contract's name of the question about one device of a plan.
const CLASSIFY: &str = "classify";
/// Bytes of JSON that the devices have together which the differences of one plan show: a device that reports much must
/// not fill the record of all.
const MAX_SHOWN_BYTES: usize = 1 << 20;

/// A plan as it was just made, with the devices that it was made of.
#[derive(Debug, Clone)]
pub struct MadePlan {
    /// The question, with whatever in it is secret.
    pub question: TargetingDeployment,
    /// The answer to the survey.
    pub plan: TargetingPlan,
    /// The facts that were looked up.
    pub facts: Vec<Fact>,
    /// The devices and their classes.
    pub kept: KeptPlan,
}

/// A plan as it was made, with the devices that are kept of it.
#[derive(Debug)]
pub struct RecordedPlan {
    question: TargetingDeployment,
    deployment: DeploymentId,
    plan: TargetingPlan,
    facts: Vec<Fact>,
    kept: Kept,
    devices: Vec<KeptDevice>,
    decided: Finding,
    at: Timestamp,
    request_id: Option<RequestId>,
}

/// What came of asking for it once more.
#[derive(Debug)]
pub struct Replanned {
    /// What is to be counted: each device is a question.
    pub comparison: Comparison,
    /// The devices that would have come to something else; or the whole plan, where there would have been none.
    pub differences: Vec<Difference>,
    /// What the whole comes to now.
    pub finding: Finding,
}

/// Where a device comes to in a plan.
struct Place {
    /// The wave, counted from 0, and whether only a few of it go there: those who may be a canary. None where the device
    /// is left out.
    wave: Option<(usize, bool)>,
    finding: Finding,
}

impl Place {
    fn of(plan: &TargetingPlan, class: Option<u16>) -> Self {
        let left_out = |code: &str, message: &str| {
            let (code, message) = (code.to_owned(), message.to_owned());
            Self { wave: None, finding: Finding { outcome: DecisionOutcome::Deny, code, message, fuel: 0 } }
        };
        let Some(class) = class.map(usize::from) else {
            return left_out("not-a-candidate", "the targeting policy does not consider such devices");
        };
        let waves = plan.waves.len();
        let Some(name) = plan.waves.get(class) else {
            let reason = plan.exclusions.get(class - waves);
            return reason.map_or_else(|| left_out("left-out", ""), |reason| left_out(&reason.code, &reason.message));
        };
        let canary = class == 0 && waves > 1 && name == TargetingPlan::CANARY;
        let message = format!("wave {} of {waves}", class + 1);
        let finding = Finding { outcome: DecisionOutcome::Planned, code: name.clone(), message, fuel: 0 };
        Self { wave: Some((class, canary)), finding }
    }
}

fn unreadable(error: impl std::fmt::Display) -> Unrepeatable {
    Unrepeatable::Unreadable(error.to_string())
}

impl RecordedPlan {
    /// The plan behind a decision, with the devices that were kept.
    ///
    /// # Errors
    /// [`Unrepeatable`].
    pub fn of(decision: &Decision, kept: Kept, devices: Vec<KeptDevice>) -> Result<Self, Unrepeatable> {
        if decision.redacted {
            return Err(Unrepeatable::Redacted);
        }
        if u64::try_from(devices.len()) != Ok(kept.devices) {
            return Err(Unrepeatable::Plan);
        }
        let question = TargetingDeployment::deserialize(&decision.input.0).map_err(unreadable)?;
        let plan = decision.output.as_ref().map_or(&Value::Null, |output| &output.0["plan"]);
        let plan = TargetingPlan::deserialize(plan).map_err(unreadable)?;
        Self::new(decision, (question, plan, facts_of(decision)), kept, devices)
    }

    /// A plan that was just made.
    ///
    /// # Errors
    /// [`Unrepeatable`].
    pub fn made(decision: &Decision, made: MadePlan) -> Result<Self, Unrepeatable> {
        let MadePlan { question, plan, facts, kept } = made;
        let mut devices = Vec::new();
        for part in kept.parts() {
            devices.extend(devices_in(part).map_err(unreadable)?);
        }
        Self::new(decision, (question, plan, facts), kept.kept, devices)
    }

    fn new(
        decision: &Decision,
        (question, plan, facts): (TargetingDeployment, TargetingPlan, Vec<Fact>),
        kept: Kept,
        devices: Vec<KeptDevice>,
    ) -> Result<Self, Unrepeatable> {
        Ok(Self {
            deployment: question.id.parse::<DeploymentId>().map_err(unreadable)?,
            question,
            plan,
            facts,
            kept,
            devices,
            decided: Told::of(decision).finding,
            at: decision.at,
            request_id: decision.request_id,
        })
    }

    /// When it was asked, and by which request.
    fn asked(&self) -> (Timestamp, Option<RequestId>) {
        (self.at, self.request_id)
    }

    /// The devices as they were asked about: of a sample, and where others are asked about now, the cuts lie elsewhere.
    fn batches(&self) -> Vec<&[KeptDevice]> {
        let mut rest = self.devices.as_slice();
        let mut batches = Vec::new();
        for size in &self.kept.batches {
            let Some((batch, left)) = rest.split_at_checked(*size) else { break };
            batches.push(batch);
            rest = left;
        }
        batches.extend(rest.chunks(BATCH));
        batches
    }

    /// Whether a plan asks for something that was not written down.
    fn lacks(&self, plan: &TargetingPlan) -> bool {
        let columns = plan.columns.iter().map(|column| &column.fact);
        let candidates = plan.candidates.iter().map(|requirement| &requirement.key);
        columns.chain(candidates).any(|key| self.kept.left_out.contains(key))
    }

    /// What is asked about a device, for people; null where there is no room left for it.
    fn shown(&self, device: &KeptDevice, room: &mut usize) -> Value {
        let resource = json!({ "kind": "device", "id": device.id, "facts": device.to_facts() });
        let about = json!({ "deployment": self.question.id, "resource": resource });
        match room.checked_sub(about.to_string().len()) {
            Some(left) => {
                *room = left;
                about
            }
            None => Value::Null,
        }
    }

    /// The class that a policy gives each device; none where it does not consider it.
    fn classified_by(
        &self,
        policy: &Policy,
        plan: &TargetingPlan,
        candidates: &Selector,
        fuel: &mut u64,
    ) -> Result<Vec<Option<u16>>, Fault> {
        let mut classes = Vec::with_capacity(self.devices.len());
        for devices in self.batches() {
            let considered: Vec<bool> = devices.iter().map(|device| candidates.matches(device)).collect();
            let asked: Vec<&KeptDevice> = devices
                .iter()
                .zip(&considered)
                .filter(|(_, considered)| **considered)
                .map(|(device, _)| device)
                .collect();
            let mut found = Vec::new();
            if !asked.is_empty() {
                let hashes = asked.iter().map(|device| device_hash(self.deployment, device.id)).collect();
                let batch = batch(&asked, &plan.columns, hashes);
                let run = policy.classify(&self.question, plan, &batch, &self.facts);
                *fuel += run.fuel;
                found = run.outcome?;
            }
            let mut found = found.into_iter();
            classes.extend(considered.into_iter().map(|considered| if considered { found.next() } else { None }));
        }
        Ok(classes)
    }
}

impl ActivePolicy {
    /// Asks for a plan once more, and compares it device by device. It is no decision: nothing is recorded, and no
    /// failure counts.
    ///
    /// # Errors
    /// [`Unrepeatable::Redacted`] where it asks for what was kept secret; [`Unrepeatable::NotLookedUp`].
    pub fn plan_again(&self, then: &RecordedPlan, context: &Context) -> Result<Replanned, Unrepeatable> {
        let before = Before::of(self.revision.gate, &self.engine);
        let replanned = self.planned_by(&before.engine, then, context);
        if before.lacked_a_fact() { Err(Unrepeatable::NotLookedUp) } else { replanned }
    }

    fn planned_by(&self, policy: &Policy, then: &RecordedPlan, context: &Context) -> Result<Replanned, Unrepeatable> {
        let survey = asking::survey(policy, &then.question, &then.facts);
        let mut fuel = survey.fuel;
        let failed = |fault: &Fault| (DecisionOutcome::Fault, fault_reason("targeting", fault));
        let (plan, candidates) = match survey.outcome {
            Ok(Ok(surveyed)) => surveyed,
            Ok(Err(reason)) => return Ok(self.unplanned(then, (DecisionOutcome::Deny, reason), fuel, context)),
            Err(fault) => return Ok(self.unplanned(then, failed(&fault), fuel, context)),
        };
        if then.lacks(&plan) {
            return Err(Unrepeatable::Redacted);
        }
        match then.classified_by(policy, &plan, &candidates, &mut fuel) {
            Ok(classes) => Ok(self.replanned(then, &plan, &classes, fuel, context)),
            Err(fault) => Ok(self.unplanned(then, failed(&fault), fuel, context)),
        }
    }

    fn replanned(
        &self,
        then: &RecordedPlan,
        plan: &TargetingPlan,
        classes: &[Option<u16>],
        fuel: u64,
        context: &Context,
    ) -> Replanned {
        let kept = &then.kept;
        let mut comparison = Comparison { not_kept: kept.read.saturating_sub(kept.devices), ..Comparison::default() };
        let (mut differences, mut chosen, mut room) = (Vec::new(), 0_usize, MAX_SHOWN_BYTES);
        for (device, class) in then.devices.iter().zip(classes) {
            let (decided, candidate) = (Place::of(&then.plan, Some(device.class)), Place::of(plan, *class));
            comparison.asked += 1;
            chosen += usize::from(candidate.wave.is_some());
            if decided.wave != candidate.wave {
                comparison.differing += 1;
                let input = if differences.len() < MAX_SHOWN { then.shown(device, &mut room) } else { Value::Null };
                let about = (device.id.to_string(), CLASSIFY);
                let findings = (decided.finding, candidate.finding);
                differences.push(self.difference(about, findings, input, then.asked(), context));
            }
        }
        let devices = if kept.is_whole() { String::new() } else { format!("of {} kept ", kept.devices) };
        let message = format!("{chosen} {devices}devices in {} waves", plan.waves.len());
        let finding = Finding { outcome: DecisionOutcome::Planned, code: "planned".to_owned(), message, fuel };
        // Of a sample it is known what the whole took, and not what the sample would have taken.
        if kept.is_whole() {
            comparison.other_fuel = (then.decided.fuel != fuel).into();
            comparison.decided_fuel = then.decided.fuel;
            comparison.candidate_fuel = fuel;
        }
        Replanned { comparison, differences, finding }
    }

    /// There would have been no plan at all.
    fn unplanned(
        &self,
        then: &RecordedPlan,
        (outcome, reason): (DecisionOutcome, Reason),
        fuel: u64,
        context: &Context,
    ) -> Replanned {
        let finding = Finding { outcome, code: reason.code, message: reason.message, fuel };
        let mut comparison = Comparison::default();
        comparison.count(&then.decided, &finding, true);
        let findings = (then.decided.clone(), finding.clone());
        let about = (then.question.id.clone(), "plan");
        let difference = self.difference(about, findings, to_json(&then.question), then.asked(), context);
        Replanned { comparison, differences: vec![difference], finding }
    }
}
