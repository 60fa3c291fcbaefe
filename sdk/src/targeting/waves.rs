//! Which wave takes a device: waves as settings, by selectors and shares of the fleet.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ByText, CANARY, Row};
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
///
/// ```
/// use kernex_sdk::targeting::waves::Wave;
///
/// let settings = r#"{"name": "early", "selector": "site=lab", "percent": 10}"#;
/// let wave: Wave = serde_json::from_str(settings).expect("a wave");
/// assert_eq!((wave.name.as_str(), wave.percent), ("early", Some(10.0)));
/// ```
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
///
/// ```
/// use kernex_sdk::targeting::waves::{Wave, Waves};
/// use kernex_sdk::targeting::{Layout, Rows, texts};
/// use kernex_sdk::{Fact, testing};
///
/// let settings = r#"[{"name": "lab", "selector": "site=lab"}, {"name": "tenth", "percent": 10}, {"name": "all"}]"#;
/// let settings: Vec<Wave> = serde_json::from_str(settings).expect("three waves");
/// let (mut columns, mut diagnostics) = (Vec::new(), Vec::new());
/// let waves = Waves::parse(settings, &mut columns, &mut diagnostics);
/// assert!(diagnostics.is_empty());
///
/// let layout = Layout { columns: columns.iter().map(texts).collect(), waves: waves.names(), exclusions: Vec::new() };
/// let devices: [(u64, &[Fact]); 3] = [(5_000, &[Fact::text("site", "lab")]), (999, &[]), (1_000, &[])];
/// let batch = testing::batch(&layout, &devices);
/// let mut holding = waves.holding();
/// let found: Vec<Option<u16>> = Rows::new(&layout, &batch).map(|row| waves.of(&row, &mut holding)).collect();
/// assert_eq!(found, [Some(0), Some(1), Some(2)]);
/// ```
#[derive(Debug)]
pub struct Waves(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    name: String,
    selector: Vec<Condition>,
    /// Hashes modulo [`WHOLE`] below this are in.
    threshold: u64,
}

#[derive(Debug)]
struct Condition {
    requirement: Requirement,
    /// Whether it holds where there is no text.
    without: bool,
    /// The place of its key among the columns.
    column: usize,
    /// Its place in [`Holding`].
    number: usize,
}

/// For each condition of all waves: whether it holds for a text of the batch.
///
/// ```
/// use kernex_sdk::targeting::waves::{Holding, Waves};
///
/// // A job of a plugin that has waves.
/// struct Job {
///     holding: Holding,
/// }
///
/// impl Job {
///     fn new(waves: &Waves) -> Self {
///         Self { holding: waves.holding() }
///     }
/// }
/// # let waves = serde_json::from_str(r#"[{"name": "all"}]"#).expect("one wave");
/// # let waves = Waves::parse(waves, &mut Vec::new(), &mut Vec::new());
/// # let job = Job::new(&waves);
/// ```
#[derive(Debug)]
pub struct Holding(Vec<ByText<bool>>);

impl Waves {
    /// Parses the settings' `/waves`. What is wrong with them is added to the diagnostics.
    ///
    /// `columns` are the keys of the layout's columns, from the first on; the keys that the waves' selectors ask for are
    /// added where they are not there yet. Each needs a column of texts at its place.
    pub fn parse(waves: Vec<Wave>, columns: &mut Vec<String>, diagnostics: &mut Vec<Diagnostic>) -> Self {
        if waves.is_empty() || waves.len() > MAX_WAVES {
            diagnostics.push(Diagnostic::new("/waves", format!("there are 1 to {MAX_WAVES} waves")));
        }
        let mut rules: Vec<Rule> = Vec::new();
        let mut conditions = 0;
        let count = waves.len();
        for (index, wave) in waves.into_iter().enumerate() {
            if let Some((field, message)) = mistake(&wave, index, count, &rules) {
                diagnostics.push(Diagnostic::new(format!("/waves/{index}{field}"), message));
            }
            let selector = wave.selector.map(|selector| selector.0).unwrap_or_default();
            let selector = selector.into_iter().zip(conditions..);
            let selector: Vec<Condition> =
                selector.map(|(requirement, number)| Condition::new(requirement, number, columns)).collect();
            conditions += selector.len();
            rules.push(Rule { threshold: wave.percent.map_or(WHOLE, hundredths), name: wave.name, selector });
        }
        // Without a selector of its own, a canary is one of those that the next wave takes: none is left for that
        // one, until the host sends it those of them that are too many.
        if let [canary, next, ..] = rules.as_mut_slice()
            && canary.name == CANARY
            && canary.selector.is_empty()
        {
            canary.selector = std::mem::take(&mut next.selector);
            canary.threshold = std::mem::take(&mut next.threshold);
        }
        Self(rules)
    }

    /// For [`Layout::waves`](super::Layout::waves).
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|rule| rule.name.clone()).collect()
    }

    /// What the conditions make of a batch's texts, to begin with: for a job, which lives as long as the batch.
    #[must_use]
    pub fn holding(&self) -> Holding {
        let conditions = self.0.iter().flat_map(|rule| &rule.selector);
        Holding(conditions.map(|_| ByText::default()).collect())
    }

    /// The first wave that takes the device.
    #[must_use]
    pub fn of(&self, row: &Row<'_>, holding: &mut Holding) -> Option<u16> {
        let share = row.device_hash() % WHOLE;
        let takes = |rule: &Rule| share < rule.threshold && holding.all(&rule.selector, row);
        let index = self.0.iter().position(takes)?;
        u16::try_from(index).ok()
    }
}

impl Condition {
    fn new(requirement: Requirement, number: usize, columns: &mut Vec<String>) -> Self {
        let column = columns.iter().position(|known| *known == requirement.key).unwrap_or_else(|| {
            columns.push(requirement.key.clone());
            columns.len() - 1
        });
        Self { without: holds(&requirement, None), requirement, column, number }
    }
}

impl Holding {
    fn all(&mut self, selector: &[Condition], row: &Row<'_>) -> bool {
        selector.iter().all(|Condition { requirement, without, column, number }| {
            self.0[*number].of(row, *column, |text| holds(requirement, Some(text))).unwrap_or(*without)
        })
    }
}

fn holds(requirement: &Requirement, text: Option<&str>) -> bool {
    let listed = text.is_some_and(|text| requirement.values.iter().any(|value| value == text));
    match requirement.operator {
        Operator::Equals | Operator::OneOf => listed,
        Operator::Differs | Operator::NoneOf => !listed,
        Operator::Exists => text.is_some(),
        Operator::Absent => text.is_none(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targeting::{Layout, Rows, texts};
    use crate::{Fact, testing};

    /// The waves, and the keys of the columns.
    fn waves(settings: &str) -> Result<(Waves, Vec<String>), String> {
        let (mut columns, mut diagnostics) = (vec!["model".to_owned()], Vec::new());
        let waves = Waves::parse(serde_json::from_str(settings).unwrap(), &mut columns, &mut diagnostics);
        diagnostics.pop().map_or(Ok((waves, columns)), |diagnostic| Err(diagnostic.pointer))
    }

    fn wave((waves, columns): &(Waves, Vec<String>), hash: u64, facts: &[Fact]) -> Option<u16> {
        let columns = columns.iter().map(texts).collect();
        let layout = Layout { columns, waves: waves.names(), exclusions: Vec::new() };
        let batch = testing::batch(&layout, &[(hash, facts)]);
        Rows::new(&layout, &batch).next().and_then(|row| waves.of(&row, &mut waves.holding()))
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
