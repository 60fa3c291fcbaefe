//! Owns what decides at one moment: the policies by name, and who is asked about each action.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kernex_model::action::Action;
use kernex_model::document::Policy;
use kernex_model::name::PolicyName;
use kernex_model::pin::PolicyPin;
use kernex_model::record::DecisionGate;
use kernex_model::redaction::SecretFact;

use super::looking_on::LookingOn;
use super::{ActivePolicy, bundled};

/// Who is asked about an action, and who looks on.
#[derive(Debug, Default)]
pub struct Covering {
    /// Every one of them has to allow it. What covers most is asked first: its reason is the one that says what a
    /// caller may do at all.
    pub deciding: Vec<Arc<ActivePolicy>>,
    /// They are only compared.
    pub looking_on: Vec<Arc<LookingOn>>,
    /// What any of those who decide keeps secret, none of them writes down.
    pub secrets: Arc<[SecretFact]>,
}

/// What decides at one moment. It never changes: another one takes its place.
#[derive(Debug, Default)]
pub(super) struct Active {
    pub(super) policies: BTreeMap<PolicyName, Arc<ActivePolicy>>,
    pub(super) looking_on: BTreeMap<PolicyName, Arc<LookingOn>>,
    /// Revisions that failed too often, of every policy.
    pub(super) quarantined: BTreeSet<PolicyPin>,
    /// For each action, by its place in the enumeration.
    pub(super) covering: Vec<Arc<Covering>>,
}

impl Active {
    pub(super) fn new(
        policies: BTreeMap<PolicyName, Arc<ActivePolicy>>,
        looking_on: BTreeMap<PolicyName, Arc<LookingOn>>,
        quarantined: BTreeSet<PolicyPin>,
    ) -> Self {
        let mut asked: Vec<&Arc<ActivePolicy>> = policies.values().filter(|policy| is_authorization(policy)).collect();
        asked.sort_by_key(|policy| std::cmp::Reverse(breadth(policy)));
        let covering = |action: &Action| {
            let deciding = asked.iter().filter(|policy| policy.covers(*action));
            let others = looking_on.values().filter(|one| is_authorization(&one.policy) && one.policy.covers(*action));
            let secrets = deciding.clone().flat_map(|policy| policy.revision.secret_facts.iter().cloned());
            Arc::new(Covering {
                secrets: secrets.collect(),
                deciding: deciding.map(|policy| (*policy).clone()).collect(),
                looking_on: others.cloned().collect(),
            })
        };
        let covering = Action::ALL.iter().map(covering).collect();
        Self { policies, looking_on, quarantined, covering }
    }

    /// The policy of a gate where none is named: the bundled document's, or else the first by name.
    pub(super) fn default_of(&self, gate: DecisionGate) -> Option<&Arc<ActivePolicy>> {
        let mut serving = self.policies.values().filter(|policy| policy.revision.gate == gate);
        let bundled = serving.clone().find(|policy| bundled::is_default(&policy.revision.name));
        bundled.or_else(|| serving.next())
    }
}

/// The revisions of a policy that failed too often.
pub(super) fn quarantined(head: &Policy) -> impl Iterator<Item = PolicyPin> {
    head.quarantined.iter().map(move |revision| PolicyPin { name: head.name.clone(), revision: *revision })
}

pub(super) fn is_authorization(policy: &ActivePolicy) -> bool {
    policy.revision.gate == DecisionGate::Authorization
}

fn breadth(policy: &ActivePolicy) -> usize {
    Action::ALL.iter().filter(|action| policy.covers(**action)).count()
}
