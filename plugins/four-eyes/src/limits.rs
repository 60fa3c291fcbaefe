//! How many devices a deployment may have before it needs approval.

use kernex_sdk::authorization::Resource;
use kernex_sdk::{Diagnostic, Fact, Facts, Operator, Requirement, selector};

use crate::settings;

/// The resource's fact for the devices that it is about, as a text.
const SELECTOR: &str = "selector";
/// The resource's fact for its bundle: its name or its identifier.
const BUNDLE: &str = "bundle";
/// The resource's fact for its bundle's name.
const BUNDLE_NAME: &str = "bundle.name";
/// How a bundle's identifier begins; it does not tell the name.
const BUNDLE_ID_PREFIX: &str = "bun_";
/// The resource's fact for what else than a bundle it brings.
const TARGET: &str = "target";
/// What only devices report may have several values at once; a label has one.
const REPORTED_PREFIX: &str = "fact.";
/// How many lower limits there may be.
const MAX_LIMITS: usize = 64;

/// The general limit and the lower ones.
#[derive(Debug)]
pub(crate) struct Limits {
    general: u64,
    lower: Vec<settings::Limit>,
}

impl Limits {
    pub(crate) fn parse(general: u64, lower: Vec<settings::Limit>, diagnostics: &mut Vec<Diagnostic>) -> Self {
        if lower.len() > MAX_LIMITS {
            diagnostics.push(Diagnostic::new("/limits", format!("there are at most {MAX_LIMITS} lower limits")));
        }
        for (index, limit) in lower.iter().enumerate() {
            if let Some((field, message)) = mistake(limit, general) {
                diagnostics.push(Diagnostic::new(format!("/limits/{index}{field}"), message));
            }
        }
        Self { general, lower }
    }

    /// The lowest limit that applies to the deployment.
    pub(crate) fn of(&self, deployment: &Resource) -> u64 {
        if self.lower.is_empty() {
            return self.general;
        }
        let facts = deployment.facts.as_slice();
        let selected = facts.text(SELECTOR).and_then(|text| selector::parse(text).ok()).unwrap_or_default();
        let applying = self.lower.iter().filter(|limit| {
            let selector = limit.selector.as_ref();
            selector.is_none_or(|selector| !exclude_each_other(&selector.0, &selected))
                && limit.bundle.as_ref().is_none_or(|name| may_be_bundle(name, facts))
        });
        applying.map(|limit| limit.above_devices).fold(self.general, u64::min)
    }
}

/// The pointer within the limit, and what is wrong there.
fn mistake(limit: &settings::Limit, general: u64) -> Option<(&'static str, &'static str)> {
    let selector = limit.selector.as_ref();
    if selector.is_none() && limit.bundle.is_none() {
        return Some(("", "a lower limit says for what it is: a selector, a bundle, or both"));
    }
    if selector.is_some_and(|selector| selector.0.is_empty()) {
        return Some(("/selector", "a lower limit for every device is the general limit"));
    }
    if limit.bundle.as_ref().is_some_and(String::is_empty) {
        return Some(("/bundle", "a bundle has a name"));
    }
    (limit.above_devices >= general).then_some(("/above_devices", "a lower limit is lower than the general limit"))
}

/// Whether the deployment brings a bundle of this name, as far as one can tell.
fn may_be_bundle(name: &str, facts: &[Fact]) -> bool {
    let bundle = facts.text(BUNDLE);
    let known = facts.text(BUNDLE_NAME).or(bundle.filter(|text| !text.starts_with(BUNDLE_ID_PREFIX)));
    match known {
        Some(known) => known == name,
        None => bundle.is_some() || facts.text(TARGET).is_none(),
    }
}

/// Whether no device can match both selectors.
fn exclude_each_other(first: &[Requirement], second: &[Requirement]) -> bool {
    first.iter().any(|one| second.iter().any(|other| one.key == other.key && contradict(one, other)))
}

/// Whether no device fulfils both requirements, which have the same key. Where one cannot tell, they
/// do not contradict: the lower limit then applies.
fn contradict(one: &Requirement, other: &Requirement) -> bool {
    let all_of_first_in_second = |listed: &Requirement, excluded: &Requirement| {
        listed.values.iter().all(|value| excluded.values.contains(value))
    };
    match (Claim::of(one), Claim::of(other)) {
        (Claim::Listed, Claim::Listed) => {
            !one.key.starts_with(REPORTED_PREFIX) && !one.values.iter().any(|value| other.values.contains(value))
        }
        (Claim::Listed, Claim::Excluded) => all_of_first_in_second(one, other),
        (Claim::Excluded, Claim::Listed) => all_of_first_in_second(other, one),
        (Claim::Absent, Claim::Listed | Claim::There) | (Claim::Listed | Claim::There, Claim::Absent) => true,
        (Claim::Excluded | Claim::There, Claim::Excluded | Claim::There)
        | (Claim::Listed, Claim::There)
        | (Claim::There, Claim::Listed)
        | (Claim::Absent, Claim::Absent | Claim::Excluded)
        | (Claim::Excluded, Claim::Absent) => false,
    }
}

/// What a requirement says of its key.
#[derive(Clone, Copy)]
enum Claim {
    /// It has one of the values.
    Listed,
    /// It has none of the values.
    Excluded,
    There,
    Absent,
}

impl Claim {
    fn of(requirement: &Requirement) -> Self {
        match requirement.operator {
            Operator::Equals | Operator::OneOf => Self::Listed,
            Operator::Differs | Operator::NoneOf => Self::Excluded,
            Operator::Exists => Self::There,
            Operator::Absent => Self::Absent,
        }
    }
}
