//! Which wave takes a device: waves as settings, by selectors and shares of the fleet.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{CANARY, Row};
use crate::selector::SelectorText;
use crate::{Diagnostic, Operator, Requirement};

/// Shares are compared in hundredths of a percent.
const WHOLE: u64 = 10_000;
/// How many waves there may be.
const MAX_WAVES: usize = 64;
/// How long a wave's name may be, in bytes.
const NAME_BYTES: usize = 64;

/// One wave, in settings: `waves: Vec<Wave>`, with the waves in their order. A device goes to the first wave that
/// takes it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// Its name, once. The first wave may be called `canary`: the first devices of it, in the order
    /// of their hashes, go alone, and the others of it with the next wave.
    pub name: String,
    /// Only matching devices. A canary wave without a selector chooses among those of the next wave.
    #[serde(default)]
    pub selector: Option<SelectorText>,
    /// How far the deployment has spread when this wave has passed: the share of the fleet, more
    /// than 0 and at most 100, that is in this wave or an earlier one. All when it is left out.
    #[serde(default)]
    pub percent: Option<f64>,
}

/// The waves in order, made for asking which one takes a device.
#[derive(Debug)]
pub struct Waves(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    name: String,
    selector: Vec<Requirement>,
    /// Hashes modulo [`WHOLE`] below this are in.
    threshold: u64,
}

impl Waves {
    /// Parses the settings' `/waves`. What is wrong with them is added to the diagnostics.
    pub fn parse(waves: Vec<Wave>, diagnostics: &mut Vec<Diagnostic>) -> Self {
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

    /// For [`Layout::waves`](super::Layout::waves).
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|rule| rule.name.clone()).collect()
    }

    /// The keys that the waves' selectors ask for: the layout needs a column of texts for each.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|rule| &rule.selector).map(|requirement| requirement.key.as_str())
    }

    /// The first wave that takes the device.
    #[must_use]
    pub fn of(&self, row: &Row<'_>) -> Option<u16> {
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
    if wave.name.len() > NAME_BYTES {
        return Some(("/name", format!("a wave's name has at most {NAME_BYTES} bytes")));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fact;
    use crate::targeting::{Layout, Rows, testing, texts};

    fn waves(settings: &str) -> Result<Waves, String> {
        let mut diagnostics = Vec::new();
        let waves = Waves::parse(serde_json::from_str(settings).unwrap(), &mut diagnostics);
        diagnostics.pop().map_or(Ok(waves), |diagnostic| Err(diagnostic.pointer))
    }

    fn wave(waves: &Waves, hash: u64, facts: &[Fact]) -> Option<u16> {
        let columns = waves.keys().map(texts).collect();
        let layout = Layout { columns, waves: waves.names(), exclusions: Vec::new() };
        let batch = testing::batch(&layout, &[(hash, facts)]);
        Rows::new(&layout, &batch).next().and_then(|row| waves.of(&row))
    }

    #[test]
    fn a_device_goes_to_the_first_wave_that_takes_it() {
        let waves =
            waves(r#"[{"name": "canary"}, {"name": "lab", "selector": "site=lab"}, {"name": "half", "percent": 50}]"#)
                .unwrap();
        let lab = [Fact::text("site", "lab")];
        assert_eq!(wave(&waves, 9_999, &lab), Some(0), "a canary is one of the next wave's");
        assert_eq!(wave(&waves, 4_999, &[]), Some(2));
        assert_eq!(wave(&waves, 5_000, &[]), None);
    }

    #[test]
    fn mistakes_are_pointed_at() {
        let wrong = |settings: &str| waves(settings).unwrap_err();
        assert_eq!(wrong("[]"), "/waves");
        assert_eq!(wrong(r#"[{"name": "a", "percent": 0}]"#), "/waves/0/percent");
        assert_eq!(wrong(&format!(r#"[{{"name": "{}"}}]"#, "a".repeat(65))), "/waves/0/name");
    }
}
