//! Owns taking facts away from a question, one at a time.

use std::collections::BTreeSet;

use kernex_model::policy::Fact;

use super::cases::{Inquiry, Question};

/// A fact that a question has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Removal {
    /// In a list of facts, or in each of several of the same kind.
    Listed { place: &'static str, name: String },
    /// Among those that the plugin can look up.
    LookedUp { name: String },
    /// Of every device.
    Column { name: String },
    /// Of one device.
    Cell { device: usize, name: String },
}

impl Removal {
    /// The fact's name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Listed { name, .. } | Self::LookedUp { name } | Self::Column { name } | Self::Cell { name, .. } => {
                name
            }
        }
    }

    /// Which fact, for people.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Listed { place, name } => format!("the {place}'s `{name}`"),
            Self::LookedUp { name } => format!("`{name}` to look up"),
            Self::Column { name } => format!("every device's `{name}`"),
            Self::Cell { device, name } => format!("`{name}` of device {device}"),
        }
    }

    /// The question without it.
    pub(super) fn from(&self, inquiry: &Inquiry) -> Inquiry {
        let mut less = inquiry.clone();
        match self {
            Self::Listed { place, name } => {
                for (_, facts) in lists(&mut less.question).into_iter().filter(|(found, _)| found == place) {
                    facts.retain(|fact| fact.name != *name);
                }
            }
            Self::LookedUp { name } => less.facts.retain(|fact| fact.name != *name),
            Self::Column { name } => {
                if let Question::Classify { devices, .. } = &mut less.question {
                    devices.iter_mut().for_each(|device| drop(device.facts.remove(name)));
                }
            }
            Self::Cell { device, name } => {
                if let Question::Classify { devices, .. } = &mut less.question
                    && let Some(device) = devices.get_mut(*device)
                {
                    device.facts.remove(name);
                }
            }
        }
        less
    }
}

/// All facts of a question: those that concern most of it first.
pub(super) fn removals(inquiry: &Inquiry) -> Vec<Removal> {
    let mut copy = inquiry.question.clone();
    let listed = lists(&mut copy)
        .into_iter()
        .flat_map(|(place, facts)| facts.iter().map(move |fact| Removal::Listed { place, name: fact.name.clone() }));
    let mut found: Vec<Removal> = listed.collect::<BTreeSet<_>>().into_iter().collect();
    found.extend(inquiry.facts.iter().map(|fact| Removal::LookedUp { name: fact.name.clone() }));
    if let Question::Classify { devices, .. } = &inquiry.question {
        let names: BTreeSet<&String> = devices.iter().flat_map(|device| device.facts.keys()).collect();
        found.extend(names.into_iter().map(|name| Removal::Column { name: name.clone() }));
        if devices.len() > 1 {
            found.extend(devices.iter().enumerate().flat_map(|(device, described)| {
                described.facts.keys().map(move |name| Removal::Cell { device, name: name.clone() })
            }));
        }
    }
    found
}

/// The lists of facts in a question, and whose they are.
fn lists(question: &mut Question) -> Vec<(&'static str, &mut Vec<Fact>)> {
    match question {
        Question::Check { request } => vec![
            ("principal", &mut request.principal.facts),
            ("resource", &mut request.resource.facts),
            ("context", &mut request.context),
        ],
        Question::Scope { principal, .. } => vec![("principal", &mut principal.facts)],
        Question::Survey { deployment } | Question::Classify { deployment, .. } => {
            vec![("deployment", &mut deployment.facts)]
        }
        Question::Judge { windows, .. } => windows.iter_mut().map(|window| ("deployment", &mut window.facts)).collect(),
        Question::Permit { request } => vec![("request", &mut request.facts)],
    }
}

#[cfg(test)]
mod tests {
    use super::super::cases::parse;
    use super::*;

    fn inquiries() -> Vec<Inquiry> {
        let cases = parse(include_str!("cases/examples.yaml")).expect("the examples are right");
        cases.into_iter().map(|case| case.inquiry).collect()
    }

    #[test]
    fn every_fact_is_taken_away_once() {
        let counts: Vec<usize> = inquiries().iter().map(|inquiry| removals(inquiry).len()).collect();
        // Check: teams, devices, address, now_ms, season. Classify: the deployment's one, four columns, four cells.
        assert_eq!(counts, [5, 0, 2, 9, 0, 0, 0]);
    }

    #[test]
    fn what_is_taken_away_is_gone_and_nothing_else() {
        for inquiry in inquiries() {
            let all = removals(&inquiry);
            for removal in &all {
                let less = removal.from(&inquiry);
                assert_ne!(less, inquiry, "{}", removal.described());
                let left = removals(&less);
                assert!(!left.contains(removal), "{}", removal.described());
                let gone = all.iter().filter(|other| !left.contains(other));
                assert!(gone.clone().all(|gone| gone.name() == removal.name()), "{}", removal.described());
            }
        }
    }
}
