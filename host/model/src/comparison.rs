//! Owns comparing two revisions of a policy: what each came to, where they differ, and what that adds up to.

use std::collections::BTreeMap;

use poem_openapi::Object;
use poem_openapi::types::Any;
use serde::{Deserialize, Serialize};

use crate::id::{DifferenceId, RequestId};
use crate::name::PolicyName;
use crate::record::{DecisionGate, DecisionOutcome};
use crate::time::Timestamp;

/// Names that a summary lists, at most: the most frequent.
pub const MAX_COUNTED: usize = 100;

/// What a policy came to, without what it was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct Finding {
    /// How it came out. A device of a plan is `planned`, or it was left out: `deny`.
    pub outcome: DecisionOutcome,
    /// The reason's code; of a device that is planned, its wave's name.
    pub code: String,
    /// The reason's sentence.
    pub message: String,
    /// Fuel used, a deterministic measure of work. 0 of a device of a plan: they are asked about together.
    pub fuel: u64,
}

/// A question that two revisions of a policy answered otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct Difference {
    /// Identifier.
    pub id: DifferenceId,
    /// When the question was asked.
    pub at: Timestamp,
    /// The policy.
    pub policy: PolicyName,
    /// The revision that was asked beside the one that decided.
    pub revision: u64,
    /// Which gate.
    pub gate: DecisionGate,
    /// Who or what it was about: a principal's, deployment's or device's identifier.
    pub subject: String,
    /// What was asked: an action (`noun:verb`), which devices of an action somebody sees (`scope noun:verb`), `judge`,
    /// `permit`, `plan`, or `classify` of one device of a plan.
    pub question: String,
    /// What was decided.
    pub decided: Finding,
    /// What the other revision would have decided.
    pub candidate: Finding,
    /// The question as the plugins saw it.
    pub input: Any<serde_json::Value>,
    /// The request that led to it.
    pub request_id: Option<RequestId>,
}

impl Difference {
    /// The device that it is about, where it is about one.
    #[must_use]
    pub fn device(&self) -> Option<&str> {
        match self.question.as_str() {
            "classify" | "permit" => Some(&self.subject),
            _ => {
                let resource = &self.input.0["resource"];
                resource["id"].as_str().filter(|_| resource["kind"] == "device")
            }
        }
    }
}

/// What came of comparing two revisions so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct Comparison {
    /// Questions that both were asked. Of a plan, each of its devices is one.
    pub asked: u64,
    /// Those that they answered otherwise.
    pub differing: u64,
    /// Those at which the candidate failed; each of them differs, unless the other one failed as well.
    pub faults: u64,
    /// Those that the candidate answered with another amount of fuel. Of a plan it is the whole that is compared.
    pub other_fuel: u64,
    /// Questions that could not be asked again, or at which the candidate looked up what nobody had looked up then.
    pub unrepeatable: u64,
    /// Questions that were not asked because too many waited already.
    pub missed: u64,
    /// Devices of plans that are not kept, and so were not asked about: of a large plan there is a sample.
    #[serde(default)]
    pub not_kept: u64,
    /// Fuel of what was decided, in all; without plans of which only a sample is kept.
    pub decided_fuel: u64,
    /// Fuel of the candidate, in all.
    pub candidate_fuel: u64,
}

impl Comparison {
    /// Adds what others counted.
    pub fn add(&mut self, more: &Self) {
        self.asked += more.asked;
        self.differing += more.differing;
        self.faults += more.faults;
        self.other_fuel += more.other_fuel;
        self.unrepeatable += more.unrepeatable;
        self.missed += more.missed;
        self.not_kept += more.not_kept;
        self.decided_fuel = self.decided_fuel.saturating_add(more.decided_fuel);
        self.candidate_fuel = self.candidate_fuel.saturating_add(more.candidate_fuel);
    }

    /// Counts one question.
    pub fn count(&mut self, decided: &Finding, candidate: &Finding, differs: bool) {
        self.add(&Self {
            asked: 1,
            differing: differs.into(),
            faults: (candidate.outcome == DecisionOutcome::Fault).into(),
            other_fuel: (decided.fuel != candidate.fuel).into(),
            decided_fuel: decided.fuel,
            candidate_fuel: candidate.fuel,
            ..Self::default()
        });
    }
}

/// How often something is among the differences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct Count {
    /// What.
    pub name: String,
    /// How often.
    pub count: u64,
}

/// How often one outcome would have been another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct Change {
    /// What was decided.
    pub decided: DecisionOutcome,
    /// What the candidate says.
    pub candidate: DecisionOutcome,
    /// How often.
    pub count: u64,
}

/// Whom and what differences are about, the most frequent first, at most 100 of each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct Breakdown {
    /// From which outcome to which.
    pub changes: Vec<Change>,
    /// By principal, deployment or device: who asked, or what was decided about.
    pub subjects: Vec<Count>,
    /// By the device that something was to be done to, or that was to get a deployment or to go back.
    #[serde(default)]
    pub devices: Vec<Count>,
    /// By action or question.
    pub questions: Vec<Count>,
}

/// Differences on their way to a [`Breakdown`].
#[derive(Debug, Default)]
pub struct Tally {
    changes: Vec<Change>,
    subjects: BTreeMap<String, u64>,
    devices: BTreeMap<String, u64>,
    questions: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts one difference.
    pub fn add(&mut self, difference: &Difference) {
        let (decided, candidate) = (difference.decided.outcome, difference.candidate.outcome);
        match self.changes.iter_mut().find(|known| known.decided == decided && known.candidate == candidate) {
            Some(known) => known.count += 1,
            None => self.changes.push(Change { decided, candidate, count: 1 }),
        }
        *self.subjects.entry(difference.subject.clone()).or_default() += 1;
        if let Some(device) = difference.device() {
            *self.devices.entry(device.to_owned()).or_default() += 1;
        }
        *self.questions.entry(difference.question.clone()).or_default() += 1;
    }

    /// The most frequent first; names of the same frequency in their own order.
    #[must_use]
    pub fn finish(mut self) -> Breakdown {
        self.changes.sort_by_key(|change| std::cmp::Reverse(change.count));
        let Self { changes, subjects, devices, questions } = self;
        Breakdown { changes, subjects: most(subjects), devices: most(devices), questions: most(questions) }
    }
}

fn most(counts: BTreeMap<String, u64>) -> Vec<Count> {
    let mut counts: Vec<Count> = counts.into_iter().map(|(name, count)| Count { name, count }).collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.count));
    counts.truncate(MAX_COUNTED);
    counts
}

/// What a revision that looks on has been seen to do since it began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowRecord {
    /// The policy.
    pub policy: PolicyName,
    /// The revision that looks on.
    pub candidate: u64,
    /// Since when.
    pub since: Timestamp,
    /// What came of it.
    pub comparison: Comparison,
    /// Counted with every change of this record, from 1.
    pub revision: u64,
    /// When something was counted last.
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(subject: &str, outcome: DecisionOutcome) -> Difference {
        let finding = |outcome| Finding { outcome, code: "a".to_owned(), message: String::new(), fuel: 1 };
        Difference {
            id: DifferenceId(crate::id::Ulid(1)),
            at: Timestamp::from_millis(0),
            policy: "rbac".parse().expect("a name"),
            revision: 2,
            gate: DecisionGate::Authorization,
            subject: subject.to_owned(),
            question: "device:list".to_owned(),
            decided: finding(DecisionOutcome::Allow),
            candidate: finding(outcome),
            input: Any(serde_json::Value::Null),
            request_id: None,
        }
    }

    #[test]
    fn the_most_frequent_comes_first() {
        let mut tally = Tally::default();
        for (subject, outcome) in
            [("a", DecisionOutcome::Fault), ("b", DecisionOutcome::Deny), ("b", DecisionOutcome::Deny)]
        {
            tally.add(&difference(subject, outcome));
        }
        let found = tally.finish();
        let names: Vec<_> = found.subjects.iter().map(|count| (count.name.as_str(), count.count)).collect();
        assert_eq!(names, [("b", 2), ("a", 1)]);
        let changes: Vec<_> = found.changes.iter().map(|change| (change.candidate, change.count)).collect();
        assert_eq!(changes, [(DecisionOutcome::Deny, 2), (DecisionOutcome::Fault, 1)]);
        assert_eq!(found.questions, [Count { name: "device:list".to_owned(), count: 3 }]);
        assert!(found.devices.is_empty(), "a list is about none");
    }

    #[test]
    fn a_difference_is_about_a_device_whoever_asks() {
        let about = |question: &str, input: serde_json::Value| {
            let one = difference("s", DecisionOutcome::Deny);
            Difference { question: question.to_owned(), input: Any(input), ..one }
        };
        let resource = |kind: &str, id: Option<&str>| serde_json::json!({ "resource": { "kind": kind, "id": id } });
        let mut tally = Tally::default();
        for (one, device) in [
            (about("device:block", resource("device", Some("dev_1"))), Some("dev_1")),
            (about("device:preauthorize", resource("device", None)), None),
            (about("bundle:retire", resource("bundle", Some("bun_1"))), None),
            (about("scope device:list", serde_json::json!({ "resource_kind": "device" })), None),
            // Of many the question is not kept.
            (about("classify", serde_json::Value::Null), Some("s")),
            (about("permit", serde_json::json!({ "device": "s" })), Some("s")),
            (about("judge", serde_json::json!({ "window": {} })), None),
        ] {
            assert_eq!(one.device(), device, "{}", one.question);
            tally.add(&one);
        }
        let devices: Vec<_> = tally.finish().devices.into_iter().map(|count| (count.name, count.count)).collect();
        assert_eq!(devices, [("s".to_owned(), 2), ("dev_1".to_owned(), 1)]);
        let before = serde_json::json!({ "changes": [], "subjects": [], "questions": [] });
        assert_eq!(serde_json::from_value::<Breakdown>(before).expect("from before"), Breakdown::default());
    }

    #[test]
    fn what_is_counted_adds_up() {
        let one = difference("a", DecisionOutcome::Fault);
        let mut comparison = Comparison::default();
        comparison.count(&one.decided, &one.candidate, true);
        comparison.count(&one.decided, &Finding { fuel: 3, ..one.decided.clone() }, false);
        let wanted = Comparison {
            asked: 2,
            differing: 1,
            faults: 1,
            other_fuel: 1,
            decided_fuel: 2,
            candidate_fuel: 4,
            ..Comparison::default()
        };
        assert_eq!(comparison, wanted);
    }
}
