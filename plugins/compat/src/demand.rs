//! What a device must be or report: a value out of a list, or a number within a range.

use kernex_sdk::Diagnostic;
use kernex_sdk::targeting::Row;

use crate::layout::{Columns, Exclusion, Reasons};
use crate::settings::Demand;

/// What facts of devices are named with; labels are not.
const FACT: &str = "fact.";
/// How long the name of a fact may be, in bytes.
const FACT_BYTES: usize = 128;
/// How many values a demand may list.
const MAX_VALUES: usize = 64;

/// A demand, made for asking whether a device meets it.
#[derive(Debug)]
pub(crate) struct Need {
    fact: String,
    bounds: Bounds,
    unmet: Exclusion,
    missing: Exclusion,
}

#[derive(Debug)]
enum Bounds {
    OneOf(Vec<String>),
    Within { least: f64, most: f64 },
}

/// Where demands are collected.
pub(crate) struct Collector<'a> {
    pub(crate) columns: &'a mut Columns,
    pub(crate) reasons: &'a mut Reasons,
    pub(crate) diagnostics: &'a mut Vec<Diagnostic>,
}

impl Collector<'_> {
    /// Parses demands. What is wrong with them is added to the diagnostics, with `pointer` as the place of the list;
    /// `code` is the one of devices that do not meet them.
    pub(crate) fn needs(&mut self, demands: Vec<Demand>, code: &str, pointer: &str) -> Vec<Need> {
        let mut needs = Vec::new();
        for (index, demand) in demands.into_iter().enumerate() {
            match self.need(demand, code) {
                Ok(need) => needs.push(need),
                Err((field, message)) => {
                    self.diagnostics.push(Diagnostic::new(format!("{pointer}/{index}{field}"), message));
                }
            }
        }
        needs
    }

    fn need(&mut self, demand: Demand, code: &str) -> Result<Need, (&'static str, String)> {
        let fact = demand.fact.clone();
        if fact.is_empty() || fact.len() > FACT_BYTES {
            return Err(("/fact", format!("a fact's name has 1 to {FACT_BYTES} bytes")));
        }
        let bounds = bounds(demand)?;
        let (asked, told) = match &bounds {
            Bounds::OneOf(_) => (self.columns.add_text(&fact), "the device does not say"),
            Bounds::Within { .. } => (self.columns.add_number(&fact), "the device does not say, as a number,"),
        };
        if !asked {
            let message = format!("`{fact}` is compared as a text and as a number; that is not possible at once");
            return Err(("/fact", message));
        }
        let unmet = self.reasons.add(code, bounds.message(&fact));
        let missing = self.reasons.add("fact-missing", format!("{told} what its `{fact}` is"));
        Ok(Need { fact, bounds, unmet, missing })
    }
}

impl Need {
    /// Why the device is left out, if it is. What a device does not say, it does not meet.
    pub(crate) fn exclusion(&self, row: &Row<'_>) -> Option<Exclusion> {
        let met = match &self.bounds {
            Bounds::OneOf(values) => row.text(&self.fact).map(|text| values.iter().any(|value| value == text)),
            Bounds::Within { least, most } => row.real(&self.fact).map(|number| (*least..=*most).contains(&number)),
        };
        match met {
            Some(true) => None,
            Some(false) => Some(self.unmet),
            None => Some(self.missing),
        }
    }
}

fn bounds(demand: Demand) -> Result<Bounds, (&'static str, String)> {
    let Demand { fact, one_of, at_least, at_most } = demand;
    if let Some(values) = one_of {
        if at_least.is_some() || at_most.is_some() {
            return Err(("", "a demand is a list of values or a range, not both".to_owned()));
        }
        if values.is_empty() || values.len() > MAX_VALUES {
            return Err(("/one_of", format!("there are 1 to {MAX_VALUES} values")));
        }
        return Ok(Bounds::OneOf(values));
    }
    if at_least.is_none() && at_most.is_none() {
        return Err(("", "a demand has values (`one_of`) or a range (`at_least`, `at_most`)".to_owned()));
    }
    if fact.strip_prefix(FACT).is_none_or(str::is_empty) {
        return Err((
            "/fact",
            format!("only facts are numbers, and their names begin with `{FACT}`; labels are texts"),
        ));
    }
    let (least, most) = (at_least.unwrap_or(f64::NEG_INFINITY), at_most.unwrap_or(f64::INFINITY));
    if least > most {
        return Err(("/at_most", "the largest number is not less than the least".to_owned()));
    }
    Ok(Bounds::Within { least, most })
}

impl Bounds {
    fn message(&self, fact: &str) -> String {
        match self {
            Bounds::OneOf(values) => format!("the device's `{fact}` is none of {}", values.join(", ")),
            Bounds::Within { least, most } if *most == f64::INFINITY => {
                format!("the device's `{fact}` is less than {least}")
            }
            Bounds::Within { least, most } if *least == f64::NEG_INFINITY => {
                format!("the device's `{fact}` is more than {most}")
            }
            Bounds::Within { least, most } => format!("the device's `{fact}` is not within {least} to {most}"),
        }
    }
}
