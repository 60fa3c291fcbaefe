//! Owns `plugin bench`: what each case costs, in a fresh instance and in a reused one.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kernex_engine::Policy;
use serde_json::{Value, json};

use super::cases::{self, Case};
use super::component::Component;
use super::report::{grouped, shown, table};
use super::test::found;
use super::trial::Trial;
use crate::cli::CliError;
use crate::cli::listing::Format;
use crate::cli::output::say;

/// Calls before it is measured.
const WARM_UP: u32 = 20;
/// Longest measuring of one case in one way; a slow plugin gets fewer samples.
const MAX_MEASURING: Duration = Duration::from_secs(5);
/// The share of samples that are faster than the second number.
const HIGH_PERCENT: usize = 99;

const EXAMPLES: &str = "\
Asks each case again and again and shows the median and the 99th percentile, in microseconds, with a fresh instance for
each call (what a server does) and with a reused one (what it does where a policy says instances = \"reused\"). What is
measured is the last call: of a classification, classify without the survey.

Examples:
  kernex plugin bench                                  # the crate in this folder
  kernex plugin bench my-rings.wasm --cases cases.yaml --samples 5000";

/// Measure how long a plugin takes to answer its cases, and the fuel that they use.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bench {
    /// A component, or the folder of a crate, which is built first
    #[arg(value_name = "FILE|DIR", default_value = ".")]
    plugin: PathBuf,
    /// The cases [default: cases.yaml in the crate's folder, or beside the component]
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// How often each case is asked
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    samples: u32,
    /// How the result is shown
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// What one case costs in one way.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cost {
    median_us: f64,
    p99_us: f64,
    samples: usize,
}

/// What one case costs.
struct Measured<'a> {
    case: &'a Case,
    answer: String,
    fuel: u64,
    fresh: Cost,
    reused: Cost,
}

impl Bench {
    pub(super) fn run(self) -> Result<(), CliError> {
        let (file, cases) = found(&self.plugin, self.cases.as_deref())?;
        let component = Component::open(&file).map_err(CliError::failed)?;
        let loaded = cases::load(&cases).map_err(CliError::failed)?;
        let mut trial = Trial::new(&component);
        let mut all = Vec::new();
        for case in &loaded {
            let prepared = trial
                .prepared(case)
                .map_err(|unprepared| CliError::Failed(format!("{}: {}", case.name, unprepared.lines().join("; "))))?;
            let heard = case.inquiry.ask(&prepared.fresh);
            let answer = match &heard.outcome {
                Ok(answer) => answer.described(),
                Err(fault) => format!("fault {}", fault.code()),
            };
            let fresh = cost(case, &prepared.fresh, self.samples);
            let reused = cost(case, &prepared.reused, self.samples);
            all.push(Measured { case, answer, fuel: heard.fuel, fresh, reused });
        }
        match self.output {
            Format::Json => {
                let shown: Vec<Value> = all.iter().map(Measured::json).collect();
                say!("{}", serde_json::to_string_pretty(&shown).map_err(CliError::failed)?);
            }
            Format::Table => {
                let headings = ["CASE", "ANSWER", "FUEL", "FRESH µs", "p99", "REUSED µs", "p99"];
                say!("{}", table(&headings, all.iter().map(Measured::row)));
            }
        }
        Ok(())
    }
}

impl Measured<'_> {
    fn row(&self) -> Vec<String> {
        let time = |microseconds: f64| format!("{microseconds:.1}");
        vec![
            self.case.name.clone(),
            shown(&self.answer),
            grouped(self.fuel),
            time(self.fresh.median_us),
            time(self.fresh.p99_us),
            time(self.reused.median_us),
            time(self.reused.p99_us),
        ]
    }

    fn json(&self) -> Value {
        let cost = |cost: Cost| json!({ "median_us": cost.median_us, "p99_us": cost.p99_us, "samples": cost.samples });
        json!({
            "name": self.case.name,
            "asked": self.case.inquiry.question.name(),
            "answer": self.answer,
            "fuel": self.fuel,
            "fresh": cost(self.fresh),
            "reused": cost(self.reused),
        })
    }
}

fn cost(case: &Case, policy: &Policy, samples: u32) -> Cost {
    for _ in 0..WARM_UP {
        case.inquiry.ask(policy);
    }
    let begun = Instant::now();
    let mut durations = Vec::new();
    for _ in 0..samples {
        durations.push(case.inquiry.ask(policy).duration);
        if begun.elapsed() > MAX_MEASURING {
            break;
        }
    }
    of(durations)
}

/// Median and 99th percentile; of no samples, nothing.
fn of(mut durations: Vec<Duration>) -> Cost {
    durations.sort_unstable();
    let samples = durations.len();
    let at = |percent: usize| {
        let place = (samples * percent).div_ceil(100).saturating_sub(1);
        durations.get(place).map_or(0.0, |duration| duration.as_secs_f64() * 1e6)
    };
    Cost { median_us: at(50), p99_us: at(HIGH_PERCENT), samples }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let cost = of((1..=200).rev().map(Duration::from_micros).collect());
        assert!((cost.median_us - 100.0).abs() < 1e-6 && (cost.p99_us - 198.0).abs() < 1e-6, "{cost:?}");
        assert_eq!(of(Vec::new()), Cost { median_us: 0.0, p99_us: 0.0, samples: 0 });
        assert_eq!(of(vec![Duration::from_micros(7)]).samples, 1);
    }
}
