//! Rollback by a ramp: so many devices a minute, more the better it goes, and a stop when too many fail.

mod abort;
mod memory;
mod meter;
mod rate;
mod settings;

use kernex_sdk::rollback::settings::{check_share, manual};
use kernex_sdk::rollback::{Action, Outcome, Passage, Permission, RollbackRequest, Tally, Window};
use kernex_sdk::{Diagnostic, Plugin, Reason, Rollback};

use abort::Failures;
use memory::Memory;
use meter::Meter;
use rate::Rates;
pub use settings::{Abort, Criterion, FailureType, Increase, Settings};

/// The configured plugin.
#[derive(Debug)]
pub struct Ramp {
    rates: Rates,
    abort: Vec<abort::Criterion>,
    passage: Passage,
    allow_manual: bool,
}

impl Plugin for Ramp {
    const NAME: &'static str = "ramp";
    const SUMMARY: &'static str = "So many devices a minute, more the better it goes; stops when too many fail";
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, Vec<Diagnostic>> {
        let mut diagnostics = Vec::new();
        check_share("/advance_share", settings.advance_share, &mut diagnostics);
        let rates = Rates::parse(settings.base_per_minute, settings.increase.as_ref(), &mut diagnostics);
        let abort = abort::parse(settings.abort, &mut diagnostics);
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        let passage = Passage {
            advance_share: settings.advance_share,
            min_wave_open_s: settings.min_wave_open_s,
            unreached_after_s: settings.unreached_after_s,
        };
        Ok(Self { rates, abort, passage, allow_manual: settings.allow_manual })
    }
}

impl Rollback for Ramp {
    fn judge(&self, window: &Window, state: &[u8]) -> Outcome {
        let now_us = window.now_ms.saturating_mul(1_000);
        let overall = Tally::of(&window.overall);
        let notified = overall.assigned - overall.unreached;
        let read = Memory::read(state);
        let starting = Memory { meter: Meter::starting(now_us, notified), accepted: Failures::default() };
        let mut memory = read.unwrap_or(starting);
        let cost_us = self.rates.cost_us(memory.meter.notified, notified, overall.verified);
        memory.meter = memory.meter.looked(now_us, notified, cost_us);
        let (action, mut reason) = self.verdict(window, overall, now_us, &mut memory);
        if read.is_none() && !state.is_empty() {
            reason.message.push_str("; the state is of another policy or version and counts as empty");
        }
        Outcome { action, reason, state: memory.write() }
    }

    fn permit(&self, _: &RollbackRequest) -> Permission {
        manual(self.allow_manual)
    }
}

impl Ramp {
    /// A wave advances within the rate only: whatever is not `hold` lets the host make offers.
    fn verdict(&self, window: &Window, overall: Tally, now_us: u64, memory: &mut Memory) -> (Action, Reason) {
        let failures = Failures::of(window);
        if let Some(met) = self.abort.iter().find(|abort| abort.is_met(&failures, &memory.accepted, overall)) {
            // A person may look and resume: the failures up to now are then accepted, and only a further one
            // of a type that has too many stops the deployment again.
            memory.accepted = failures;
            return (met.action, Reason::new("abort-threshold-reached", met.message(&failures, overall)));
        }
        let (action, mut reason) = self.passage.of(window, Tally::of(&window.in_wave));
        if action == Action::Pause {
            return (action, reason);
        }
        let rate = self.rates.per_minute(memory.meter.notified, overall.verified);
        match memory.meter.wait_us(now_us) {
            // Where nobody is left to be told, there is nothing to wait for.
            Some(wait_us) if overall.unreached > 0 => {
                let wait_s = wait_us.div_ceil(1_000_000);
                let message = format!("{rate} devices a minute may be told; the next one in {wait_s} s");
                (Action::Hold, Reason::new("rate-reached", message))
            }
            Some(_) | None => {
                reason.message.push_str(&format!("; {rate} devices a minute may be told"));
                (action, reason)
            }
        }
    }
}

kernex_sdk::export_rollback!(Ramp);

#[cfg(test)]
mod tests;
