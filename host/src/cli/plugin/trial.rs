//! Owns a run of all cases of a file against one component.

use std::collections::HashMap;

use kernex_model::policy::{Gate, LogLine};

use super::ask::Heard;
use super::cases::Case;
use super::component::{Component, Unprepared};
use super::probes::{Prepared, probe};

/// Configured plugins, by gate and settings: most cases of a file have the same.
pub(super) struct Trial<'a> {
    component: &'a Component,
    prepared: HashMap<(Gate, String), Prepared>,
}

/// What became of a case.
#[derive(Debug)]
pub(super) struct Verdict<'a> {
    /// Which.
    pub(super) case: &'a Case,
    /// What the plugin said first; nothing where it could not be configured.
    pub(super) heard: Option<Heard>,
    /// What is wrong, apart from fuel.
    pub(super) failures: Vec<String>,
    /// The case's budget.
    pub(super) fuel_at_most: Option<u64>,
    /// What the author may want to know.
    pub(super) notes: Vec<String>,
    /// How often the plugin was asked.
    pub(super) runs: usize,
}

impl Verdict<'_> {
    /// Whether nothing is wrong.
    pub(super) fn passed(&self) -> bool {
        self.failures.is_empty() && !self.is_over_budget()
    }

    /// Whether more fuel was used than the case allows.
    pub(super) fn is_over_budget(&self) -> bool {
        self.fuel().zip(self.fuel_at_most).is_some_and(|(fuel, at_most)| fuel > at_most)
    }

    /// Fuel of the first asking.
    pub(super) fn fuel(&self) -> Option<u64> {
        self.heard.as_ref().map(|heard| heard.fuel)
    }

    /// What the plugin wrote when it was asked first.
    pub(super) fn log(&self) -> &[LogLine] {
        self.heard.as_ref().map_or(&[], |heard| heard.log.lines())
    }

    /// Whether it wrote more.
    pub(super) fn is_log_truncated(&self) -> bool {
        self.heard.as_ref().is_some_and(|heard| heard.log.is_truncated())
    }
}

impl<'a> Trial<'a> {
    pub(super) fn new(component: &'a Component) -> Self {
        Self { component, prepared: HashMap::new() }
    }

    /// The plugin configured as the case wants it.
    ///
    /// # Errors
    /// [`Unprepared`].
    pub(super) fn prepared(&mut self, case: &Case) -> Result<Prepared, Unprepared> {
        let gate = case.inquiry.question.gate();
        let key = (gate, case.settings.to_string());
        if let Some(known) = self.prepared.get(&key) {
            return Ok(known.clone());
        }
        let prepared = Prepared::new(self.component.prepare(gate, &case.settings)?);
        self.prepared.insert(key, prepared.clone());
        Ok(prepared)
    }

    /// Runs every case, in the file's order.
    pub(super) fn run<'c>(&mut self, cases: &'c [Case]) -> Vec<Verdict<'c>> {
        cases.iter().map(|case| self.run_case(case)).collect()
    }

    fn run_case<'c>(&mut self, case: &'c Case) -> Verdict<'c> {
        let fuel_at_most = case.expect.fuel_at_most;
        let prepared = match self.prepared(case) {
            Ok(prepared) => prepared,
            Err(unprepared) => {
                let failures = unprepared.lines();
                return Verdict { case, heard: None, failures, fuel_at_most, notes: Vec::new(), runs: 0 };
            }
        };
        let heard = case.inquiry.ask(&prepared.fresh);
        let mut failures = match &heard.outcome {
            Ok(answer) => case.expect.differences(answer),
            Err(fault) => case.expect.differences_of_fault(fault),
        };
        let found = probe(case, &prepared, &heard);
        failures.extend(found.failures);
        Verdict { case, failures, fuel_at_most, notes: found.notes, runs: found.runs + 1, heard: Some(heard) }
    }
}
