//! Owns a policy's configured use: which plugin with which settings serves which gate, and which revision decides.

use std::fmt;
use std::str::FromStr;

use poem_openapi::types::Any;
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::codec::InvalidText;
use crate::digest::Digest;
use crate::name::PolicyName;
use crate::principal::Principal;
use crate::record::DecisionGate;
use crate::redaction::SecretFact;
use crate::time::Timestamp;

/// Activations that a policy remembers, for going back.
pub const MAX_HISTORY: usize = 50;
/// Revisions in quarantine that a policy remembers: more than it can fall back to.
const MAX_QUARANTINED: usize = 2 * MAX_HISTORY;

/// All questions, as a share of them in percent.
pub const WHOLE_PERCENT: u8 = 100;

/// Which actions an authorization policy is asked about: `noun:verb`, `noun:*`, or `*` for every action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionPattern(String);

const ACTION_PATTERN: &str = "^(\\*|[a-z-]+:(\\*|[a-z-]+))$";
const MAX_ACTION_PATTERN_BYTES: usize = 48;

impl ActionPattern {
    /// Every action.
    #[must_use]
    pub fn any() -> Self {
        Self("*".to_owned())
    }

    /// Whether it covers the action.
    #[must_use]
    pub fn covers(&self, action: Action) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => action.as_str().starts_with(prefix),
            None => self.0 == action.as_str(),
        }
    }
}

impl fmt::Display for ActionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ActionPattern {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        let pair = text.split_once(':').is_some_and(|(noun, verb)| word(noun) && (verb == "*" || word(verb)));
        if (pair || text == "*") && text.len() <= MAX_ACTION_PATTERN_BYTES {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidText { what: "ActionPattern", pattern: ACTION_PATTERN, max_length: MAX_ACTION_PATTERN_BYTES })
    }
}

text_codec!(ActionPattern { pattern: ACTION_PATTERN, max_length: MAX_ACTION_PATTERN_BYTES, example: "deployment:*" });

/// How often one instance of a policy's plugin is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum Instances {
    /// Once: nothing of one decision can reach another.
    #[default]
    Fresh,
    /// Some hundred times: several times as fast, for plugins that keep nothing.
    Reused,
}

/// One revision of a policy. It never changes, and a new one never overwrites an old one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct PolicyRevision {
    /// The policy's name.
    pub name: PolicyName,
    /// Counted from 1.
    pub revision: u64,
    /// Which decisions it makes.
    pub gate: DecisionGate,
    /// The plugin's name.
    pub plugin: String,
    /// SHA-256 of the plugin's bytes.
    pub plugin_digest: Digest,
    /// Its settings.
    pub settings: Any<serde_json::Value>,
    /// SHA-256 of the settings' compact JSON form.
    pub settings_digest: Digest,
    /// How often one instance of the plugin is asked.
    #[serde(default)]
    pub instances: Instances,
    /// Actions that an authorization policy is asked about: `noun:verb`, `noun:*` or `*`. Empty for other gates.
    #[serde(default)]
    pub actions: Vec<ActionPattern>,
    /// Facts whose values are not written down with its decisions.
    #[serde(default)]
    pub secret_facts: Vec<SecretFact>,
    /// Who installed it.
    pub created_by: Principal,
    /// When it was installed.
    pub created_at: Timestamp,
}

/// A policy: which of its revisions decides, and which only looks on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct Policy {
    /// Its name.
    pub name: PolicyName,
    /// Which decisions it makes.
    pub gate: DecisionGate,
    /// The revision that decides, where one does.
    pub active: Option<u64>,
    /// The revision that is asked beside it, and only compared with it.
    pub shadow: Option<u64>,
    /// The share of questions that it is asked, in percent.
    pub shadow_percent: u8,
    /// Revisions that decided before, the latest first, at most 50.
    pub history: Vec<u64>,
    /// Revisions that failed too often, the latest last, at most 100: they do not decide again until somebody activates
    /// them.
    pub quarantined: Vec<u64>,
    /// Counted with every change of this record, from 1.
    pub revision: u64,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

impl Policy {
    /// A policy none of whose revisions decides.
    #[must_use]
    pub fn new(name: PolicyName, gate: DecisionGate, now: Timestamp) -> Self {
        Self {
            name,
            gate,
            active: None,
            shadow: None,
            shadow_percent: WHOLE_PERCENT,
            history: Vec::new(),
            quarantined: Vec::new(),
            revision: 1,
            updated_at: now,
        }
    }

    /// Lets a revision decide from here on. Whoever says so lifts its quarantine, too.
    pub fn activate(&mut self, revision: u64, now: Timestamp) {
        if self.active != Some(revision) {
            self.retire(now);
            self.active = Some(revision);
            // What decides is nothing to go back to.
            self.history.retain(|before| *before != revision);
        }
        self.updated_at = now;
        self.quarantined.retain(|failed| *failed != revision);
        if self.shadow == Some(revision) {
            self.shadow = None;
        }
    }

    /// Lets a revision look on from here on, at this share of the questions.
    pub fn look_on(&mut self, revision: u64, percent: u8, now: Timestamp) {
        self.shadow = Some(revision);
        self.shadow_percent = percent;
        self.updated_at = now;
    }

    /// Lets none of its revisions decide from here on.
    pub fn retire(&mut self, now: Timestamp) {
        if let Some(before) = self.active.take() {
            self.history.retain(|revision| *revision != before);
            self.history.insert(0, before);
            self.history.truncate(MAX_HISTORY);
        }
        self.updated_at = now;
    }

    /// The latest revision that decided before the present one and is not quarantined; never the present one.
    #[must_use]
    pub fn last_good(&self) -> Option<u64> {
        self.history.iter().copied().find(|revision| !self.quarantined.contains(revision))
    }

    /// Takes the active revision out because it failed too often; the last good one takes over. `None` where
    /// there is none: then the policy goes on failing, which keeps its gate shut.
    pub fn quarantine(&mut self, now: Timestamp) -> Option<u64> {
        let failed = self.active?;
        let good = self.last_good()?;
        self.take_out(failed);
        self.activate(good, now);
        Some(good)
    }

    /// Takes out a revision that failed too often without being the active one: deployments are pinned to it. Returns
    /// whether that is news.
    pub fn quarantine_inactive(&mut self, revision: u64, now: Timestamp) -> bool {
        if self.active == Some(revision) || self.quarantined.contains(&revision) {
            return false;
        }
        self.take_out(revision);
        self.updated_at = now;
        true
    }

    fn take_out(&mut self, failed: u64) {
        self.quarantined.push(failed);
        if self.quarantined.len() > MAX_QUARANTINED {
            // Whatever could decide again is remembered: the history is shorter.
            let oldest = self.quarantined.iter().position(|revision| !self.history.contains(revision));
            self.quarantined.remove(oldest.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy::new("rbac".parse().expect("a name"), DecisionGate::Authorization, Timestamp::from_millis(0))
    }

    fn activated(revisions: &[u64]) -> Policy {
        let mut policy = policy();
        for revision in revisions {
            policy.activate(*revision, Timestamp::from_millis(1));
        }
        policy
    }

    #[test]
    fn what_decided_before_is_remembered_once() {
        let policy = activated(&[1, 2, 1, 3]);
        assert_eq!((policy.active, policy.history.as_slice()), (Some(3), [1, 2].as_slice()));
        assert_eq!(activated(&[1, 2, 2]).history, [1], "it decided already");
        let many: Vec<u64> = (1..=200).collect();
        assert_eq!(activated(&many).history.len(), MAX_HISTORY);
    }

    #[test]
    fn a_quarantined_revision_gives_way_to_the_last_good_one() {
        let mut policy = activated(&[1, 2, 3]);
        assert_eq!(policy.quarantine(Timestamp::from_millis(2)), Some(2));
        assert_eq!((policy.active, policy.quarantined.as_slice()), (Some(2), [3].as_slice()));
        assert_eq!(policy.history, [3, 1], "what decides is no way back");
        assert_eq!(policy.quarantine(Timestamp::from_millis(3)), Some(1), "neither the quarantined one nor itself");
        assert_eq!(policy.quarantine(Timestamp::from_millis(4)), None, "there is nothing better");
        assert_eq!(policy.active, Some(1));
        policy.activate(3, Timestamp::from_millis(5));
        assert_eq!(policy.quarantined, [2], "a person may try again");
    }

    #[test]
    fn a_revision_that_is_not_active_is_taken_out_once() {
        let mut policy = activated(&[1, 2]);
        assert!(!policy.quarantine_inactive(2, Timestamp::from_millis(2)), "another one has to take its place");
        assert!(policy.quarantine_inactive(1, Timestamp::from_millis(3)));
        assert!(!policy.quarantine_inactive(1, Timestamp::from_millis(4)));
        assert_eq!((policy.active, policy.quarantined.as_slice()), (Some(2), [1].as_slice()));
        assert_eq!(policy.updated_at, Timestamp::from_millis(3));
        for pinned in 3..=200 {
            assert!(policy.quarantine_inactive(pinned, Timestamp::from_millis(5)));
        }
        assert_eq!(
            (policy.quarantined.len(), policy.quarantined.last()),
            (100, Some(&200)),
            "the latest are remembered"
        );
        assert_eq!((policy.quarantined[0], policy.quarantined[1]), (1, 102), "and what decided before");
        assert_eq!(policy.last_good(), None);
    }

    #[test]
    fn what_becomes_active_looks_on_no_more() {
        let mut policy = activated(&[1]);
        policy.shadow = Some(2);
        policy.activate(2, Timestamp::from_millis(2));
        assert_eq!(policy.shadow, None);
    }

    #[test]
    fn patterns_cover_actions() {
        let covers = |pattern: &str, action| pattern.parse::<ActionPattern>().expect("a pattern").covers(action);
        assert!(covers("*", Action::DeviceList) && covers("device:*", Action::DeviceList));
        assert!(covers("device:list", Action::DeviceList) && !covers("device:list", Action::DeviceRead));
        assert!(!covers("deployment:*", Action::DeviceList));
        for wrong in ["", "device", "device:", ":list", "dev*", "device:*x", "DEVICE:list", "a:b:c"] {
            assert!(wrong.parse::<ActionPattern>().is_err(), "{wrong}");
        }
    }
}
