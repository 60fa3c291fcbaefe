//! Rollback by failure share: stops a deployment whose devices fail, advances one whose devices
//! are verified.

mod settings;

use kernex_sdk::rollback::settings::{action, check_share, manual};
use kernex_sdk::rollback::{Action, Outcome, Passage, Permission, RollbackRequest, Tally, Window};
use kernex_sdk::{Diagnostic, Plugin, Reason, Rollback};

pub use settings::Settings;

/// The state's first byte: how the rest is to be read.
const STATE_FORMAT: u8 = 1;

/// The configured plugin.
#[derive(Debug)]
pub struct Guardian {
    max_failure_share: f64,
    min_executed: u32,
    on_breach: Action,
    passage: Passage,
    allow_manual: bool,
}

impl Plugin for Guardian {
    const NAME: &'static str = "guardian";
    const SUMMARY: &'static str = "Stops a deployment by its failure share, advances it by verified devices";
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, Vec<Diagnostic>> {
        let mut diagnostics = Vec::new();
        check_share("/max_failure_share", settings.max_failure_share, &mut diagnostics);
        check_share("/advance_share", settings.advance_share, &mut diagnostics);
        let on_breach = action(settings.on_breach, settings.extent, "/extent", &mut diagnostics);
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        Ok(Self {
            max_failure_share: settings.max_failure_share,
            min_executed: settings.min_executed,
            on_breach,
            passage: Passage {
                advance_share: settings.advance_share,
                min_wave_open_s: settings.min_wave_open_s,
                unreached_after_s: settings.unreached_after_s,
            },
            allow_manual: settings.allow_manual,
        })
    }
}

impl Rollback for Guardian {
    fn judge(&self, window: &Window, state: &[u8]) -> Outcome {
        let wave = Tally::of(&window.in_wave);
        let overall = Tally::of(&window.overall);
        let accepted = accepted_failures(state);
        for (tally, place) in [(wave, "of this wave"), (overall, "of the deployment")] {
            if self.is_breached(tally) && overall.failures > accepted {
                return self.breach(tally, place, overall.failures);
            }
        }
        let (action, reason) = self.passage.of(window, wave);
        Outcome { action, reason, state: state.to_vec() }
    }

    fn permit(&self, _: &RollbackRequest) -> Permission {
        manual(self.allow_manual)
    }
}

impl Guardian {
    /// Whether too many failed: of those that executed, once there are enough of them, or so many
    /// that the share is exceeded even if every other device succeeds.
    fn is_breached(&self, tally: Tally) -> bool {
        let limit = self.max_failure_share;
        let enough = self.min_executed.min(tally.assigned).max(1);
        let measured = tally.executed >= enough && tally.failure_share() > limit;
        measured || f64::from(tally.failures) > limit * f64::from(tally.assigned)
    }

    /// Where the plugin pauses, a person may look and resume: the failures up to now are then
    /// accepted, and only a further one stops the deployment again.
    fn breach(&self, tally: Tally, place: &str, failures: u32) -> Outcome {
        let message = format!(
            "{} of {} devices {place} that executed it failed: more than {} % may not",
            tally.failures,
            tally.executed,
            self.max_failure_share * 100.0
        );
        let mut state = vec![STATE_FORMAT];
        state.extend_from_slice(&failures.to_le_bytes());
        Outcome { action: self.on_breach, reason: Reason::new("failure-share-exceeded", message), state }
    }
}

/// How many failures a person has accepted by resuming after a pause.
fn accepted_failures(state: &[u8]) -> u32 {
    match state {
        [STATE_FORMAT, rest @ ..] => rest.try_into().map_or(0, u32::from_le_bytes),
        _ => 0,
    }
}

kernex_sdk::export_rollback!(Guardian);

#[cfg(test)]
mod tests;
