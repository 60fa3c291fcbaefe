//! Owns what a case expects, and how an answer differs from it.

use kernex_model::policy::{Extent, Fault, PolicySelector, Requirement};
use kernex_model::selector::{InvalidSelector, Selector};
use serde::Deserialize;

use super::Question;
use crate::cli::plugin::ask::Answer;

/// The outcome of a plugin that has to fail, whatever it is asked.
const FAULT: &str = "fault";

/// What a plugin has to answer. What is left out does not matter.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// The kind of answer.
    pub(crate) outcome: String,
    /// The reason's code; with `fault` the fault's.
    #[serde(default)]
    pub(crate) code: Option<String>,
    /// Fuel of the call, at most.
    #[serde(default)]
    pub(crate) fuel_at_most: Option<u64>,
    /// With `matching`.
    #[serde(default)]
    selector: Option<String>,
    /// With `plan`: the waves' names, in order.
    #[serde(default)]
    waves: Option<Vec<String>>,
    /// With `plan`: the selector that narrows the deployment's.
    #[serde(default)]
    candidates: Option<String>,
    /// With `classes`: a wave's name or an exclusion's code for each device, in order.
    #[serde(default)]
    classes: Option<Vec<String>>,
    /// With `roll_back`: which devices.
    #[serde(default)]
    extent: Option<Extent>,
}

/// Outcomes of a question, as they are written.
fn outcomes(question: &Question) -> &'static [&'static str] {
    match question {
        Question::Check { .. } => &["allow", "deny"],
        Question::Scope { .. } => &["all", "matching", "nothing"],
        Question::Survey { .. } => &["plan", "error"],
        Question::Classify { .. } => &["classes", "error"],
        Question::Judge { .. } => &["proceed", "advance", "hold", "pause", "roll_back"],
        Question::Permit { .. } => &["permitted", "refused"],
    }
}

impl Expect {
    /// Whether the question can be answered like that at all.
    ///
    /// # Errors
    /// A sentence that names what cannot be.
    pub(super) fn fits(&self, question: &Question) -> Result<(), String> {
        let known = outcomes(question);
        if self.outcome != FAULT && !known.contains(&self.outcome.as_str()) {
            return Err(format!(
                "`outcome: {}` is no answer to {}: {} and {FAULT} are",
                self.outcome,
                question.name(),
                known.join(", ")
            ));
        }
        for (name, given, outcome) in [
            ("selector", self.selector.is_some(), "matching"),
            ("waves", self.waves.is_some(), "plan"),
            ("candidates", self.candidates.is_some(), "plan"),
            ("classes", self.classes.is_some(), "classes"),
            ("extent", self.extent.is_some(), "roll_back"),
        ] {
            if given && self.outcome != outcome {
                return Err(format!("`{name}` is for `outcome: {outcome}` only"));
            }
        }
        if let (Some(classes), Question::Classify { devices, .. }) = (&self.classes, question)
            && classes.len() != devices.len()
        {
            return Err(format!("{} classes for {} devices", classes.len(), devices.len()));
        }
        for text in [&self.selector, &self.candidates].into_iter().flatten() {
            text.parse::<Selector>().map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// In what the answer differs, a sentence each; fuel is not part of the answer.
    pub(crate) fn differences(&self, answer: &Answer) -> Vec<String> {
        let mut differences = Vec::new();
        let code = answer.code().unwrap_or("no code");
        if self.outcome != answer.outcome() {
            differences.push(format!("expected {}, got {}", self.outcome, answer.described()));
            return differences;
        }
        if let Some(expected) = self.code.as_deref().filter(|expected| *expected != code) {
            differences.push(format!("expected the code {expected}, got {code}"));
        }
        match answer {
            Answer::Scope(kernex_model::policy::Visible::Matching(selector)) => {
                differences.extend(selectors("selector", self.selector.as_deref(), selector));
            }
            Answer::Survey(Ok(plan)) => {
                differences.extend(selectors("candidates", self.candidates.as_deref(), &plan.candidates));
                if let Some(waves) = self.waves.as_ref().filter(|waves| **waves != plan.waves) {
                    differences.push(format!("expected the waves {}, got {}", waves.join(", "), plan.waves.join(", ")));
                }
            }
            Answer::Classify(classes) => differences.extend(self.wrong_classes(&classes.named)),
            Answer::Judge(outcome) => {
                let found = match outcome.action {
                    kernex_model::policy::RollbackAction::RollBack(extent) => Some(extent),
                    _ => None,
                };
                if self.extent.is_some() && self.extent != found {
                    differences.push(format!("expected the extent {}, got {}", written(self.extent), written(found)));
                }
            }
            Answer::Check(_) | Answer::Scope(_) | Answer::Survey(Err(_)) | Answer::Permit(_) => {}
        }
        differences
    }

    /// In what a fault differs, a sentence each.
    pub(crate) fn differences_of_fault(&self, fault: &Fault) -> Vec<String> {
        if self.outcome != FAULT {
            return vec![format!("a fault ({}): {fault}", fault.code())];
        }
        let code = self.code.as_deref().filter(|expected| *expected != fault.code());
        code.map(|expected| format!("expected the fault {expected}, got {}: {fault}", fault.code()))
            .into_iter()
            .collect()
    }

    fn wrong_classes(&self, found: &[String]) -> Vec<String> {
        let expected = self.classes.iter().flatten();
        let pairs = expected.zip(found).enumerate();
        let wrong = pairs.filter(|(_, (expected, found))| expected != found);
        wrong.map(|(at, (expected, found))| format!("device {at}: expected {expected}, got {found}")).collect()
    }
}

/// As it is written in case files.
fn written(extent: Option<Extent>) -> &'static str {
    match extent {
        None => "none",
        Some(Extent::FailedDevices) => "failed_devices",
        Some(Extent::CurrentWave) => "current_wave",
        Some(Extent::Everyone) => "everyone",
    }
}

/// A selector has to be one that a server takes, expected or not.
fn selectors(what: &str, expected: Option<&str>, found: &PolicySelector) -> Option<String> {
    let found = match canonical(found) {
        Ok(found) => found,
        Err(error) => return Some(format!("a server would not take the {what}: {error}")),
    };
    // It was read when the file was.
    let wanted: Selector = expected?.parse().ok()?;
    let wanted = canonical(wanted.requirements()).ok()?;
    (wanted != found).then(|| format!("expected the {what} {wanted}, got {found}"))
}

/// A selector's text in which neither the order nor the way of saying the same matters.
///
/// # Errors
/// Where the selector cannot be written.
pub(crate) fn canonical(requirements: &[Requirement]) -> Result<String, InvalidSelector> {
    Ok(Selector::from_policy(requirements.to_vec())?.canonical())
}

#[cfg(test)]
mod tests {
    use kernex_model::policy::Operator;

    use super::*;

    fn of(text: &str) -> PolicySelector {
        text.parse::<Selector>().expect(text).requirements().to_vec()
    }

    #[test]
    fn a_selector_is_compared_by_what_it_says() {
        for same in ["site in (paris,berlin),!old", "!old,site in (berlin,paris)", "site in (berlin,paris,paris),!old"]
        {
            assert_eq!(selectors("selector", Some("site in (berlin,paris),!old"), &of(same)), None, "{same}");
        }
        assert_eq!(selectors("selector", Some("site=berlin"), &of("site in (berlin)")), None);
        let other = selectors("selector", Some("site=berlin"), &of("site=paris")).expect("another");
        assert!(other.contains("site=berlin") && other.contains("site=paris"), "{other}");
        assert_eq!(selectors("selector", None, &of("site=paris")), None);
        assert_eq!(selectors("selector", Some("*"), &Vec::new()), None);
    }

    #[test]
    fn a_selector_that_no_server_takes_is_a_difference() {
        let strange = vec![Requirement { key: "a b".to_owned(), operator: Operator::Exists, values: Vec::new() }];
        assert!(selectors("candidates", None, &strange).is_some_and(|said| said.contains("candidates")));
    }
}
