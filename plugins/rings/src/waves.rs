//! Which wave takes a device.

use kernex_sdk::targeting::{CANARY, Row};
use kernex_sdk::{Diagnostic, Operator, Requirement};

use crate::settings::Wave;

/// Shares are compared in hundredths of a percent.
const WHOLE: u64 = 10_000;
/// How many waves there may be.
const MAX_WAVES: usize = 64;

/// The waves in order.
#[derive(Debug)]
pub(crate) struct Waves(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    name: String,
    selector: Vec<Requirement>,
    /// Hashes modulo [`WHOLE`] below this are in.
    threshold: u64,
}

impl Waves {
    pub(crate) fn parse(waves: Vec<Wave>, diagnostics: &mut Vec<Diagnostic>) -> Self {
        if waves.is_empty() || waves.len() > MAX_WAVES {
            diagnostics.push(Diagnostic::new("/waves", format!("there are 1 to {MAX_WAVES} waves")));
        }
        let mut rules: Vec<Rule> = Vec::new();
        let count = waves.len();
        for (index, wave) in waves.into_iter().enumerate() {
            if let Some((field, message)) = mistake(&wave, index, count, &rules) {
                diagnostics.push(Diagnostic::new(format!("/waves/{index}{field}"), message));
            }
            rules.push(Rule {
                threshold: wave.percent.map_or(WHOLE, hundredths),
                name: wave.name,
                selector: wave.selector.map(|selector| selector.0).unwrap_or_default(),
            });
        }
        Self(rules)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|rule| rule.name.clone()).collect()
    }

    /// The keys that the waves' selectors ask for.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|rule| &rule.selector).map(|requirement| requirement.key.as_str())
    }

    /// The first wave that takes the device.
    pub(crate) fn of(&self, row: &Row<'_>) -> Option<u16> {
        let share = row.device_hash() % WHOLE;
        let takes = |rule: &Rule| share < rule.threshold && hold(&rule.selector, row);
        let mut rules = self.0.as_slice();
        let mut first = 0;
        if let [canary, rest @ ..] = rules
            && canary.name == CANARY
        {
            let chosen = match canary.selector.as_slice() {
                [] => rest.first().is_some_and(takes),
                selector => hold(selector, row),
            };
            if chosen {
                return Some(0);
            }
            (rules, first) = (rest, 1);
        }
        let index = rules.iter().position(takes)?;
        u16::try_from(first + index).ok()
    }
}

/// The pointer within the wave, and what is wrong there.
fn mistake(wave: &Wave, index: usize, count: usize, earlier: &[Rule]) -> Option<(&'static str, String)> {
    let is_canary = wave.name == CANARY;
    if wave.name.is_empty() || earlier.iter().any(|rule| rule.name == wave.name) {
        return Some(("/name", "each wave has a name of its own".to_owned()));
    }
    if is_canary && index > 0 {
        return Some(("/name", format!("only the first wave may be called `{CANARY}`")));
    }
    if is_canary && count == 1 {
        return Some(("", "a canary wave is followed by another, for the other devices".to_owned()));
    }
    match wave.percent {
        Some(_) if is_canary => Some(("/percent", "how many canaries there are is the deployment's choice".to_owned())),
        Some(percent) if !(percent > 0.0 && percent <= 100.0) => {
            Some(("/percent", "a share is more than 0 and at most 100".to_owned()))
        }
        Some(_) | None => None,
    }
}

/// A share in percent as hundredths of a percent; at least 1, so that no wave is empty by rounding.
fn hundredths(percent: f64) -> u64 {
    ((percent * 100.0).round() as u64).max(1)
}

fn hold(selector: &[Requirement], row: &Row<'_>) -> bool {
    selector.iter().all(|requirement| {
        let text = row.text(&requirement.key);
        let listed = text.is_some_and(|text| requirement.values.iter().any(|value| value == text));
        match requirement.operator {
            Operator::Equals | Operator::OneOf => listed,
            Operator::Differs | Operator::NoneOf => !listed,
            Operator::Exists => text.is_some(),
            Operator::Absent => text.is_none(),
        }
    })
}
