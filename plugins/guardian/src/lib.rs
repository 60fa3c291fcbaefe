//! Rollback by failure share: stops a deployment whose devices fail, advances one whose devices
//! are verified.

mod settings;
mod tally;

use kernex_sdk::rollback::{Action, Outcome, Permission, RollbackRequest, Window};
use kernex_sdk::{Diagnostic, Plugin, Reason, Rollback};

pub use settings::{Breach, Extent, Settings};
use tally::Tally;

/// The state's first byte: how the rest is to be read.
const STATE_FORMAT: u8 = 1;

/// The configured plugin.
#[derive(Debug)]
pub struct Guardian(Settings);

impl Plugin for Guardian {
    const NAME: &'static str = "guardian";
    const SUMMARY: &'static str = "Stops a deployment by its failure share, advances it by verified devices";
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, Vec<Diagnostic>> {
        let mut diagnostics = Vec::new();
        for (pointer, share) in
            [("/max_failure_share", settings.max_failure_share), ("/advance_share", settings.advance_share)]
        {
            if !(0.0..=1.0).contains(&share) {
                diagnostics.push(Diagnostic::new(pointer, "a share is 0 to 1"));
            }
        }
        if settings.on_breach == Breach::Pause && settings.extent.is_some() {
            let message = "an extent is for `\"on_breach\": \"roll_back\"` only";
            diagnostics.push(Diagnostic::new("/extent", message));
        }
        if diagnostics.is_empty() { Ok(Self(settings)) } else { Err(diagnostics) }
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
        let (action, code, message) = self.progress(window, wave);
        Outcome { action, reason: Reason::new(code, message), state: state.to_vec() }
    }

    fn permit(&self, _: &RollbackRequest) -> Permission {
        if self.0.allow_manual {
            return Permission::Permitted;
        }
        Permission::Refused(Reason::new(
            "manual-rollback-disabled",
            "the rollback policy does not let single devices go back",
        ))
    }
}

impl Guardian {
    /// Whether too many failed: of those that executed, once there are enough of them, or so many
    /// that the share is exceeded even if every other device succeeds.
    fn is_breached(&self, tally: Tally) -> bool {
        let limit = self.0.max_failure_share;
        let enough = self.0.min_executed.min(tally.assigned).max(1);
        let measured = tally.executed >= enough && tally.failure_share() > limit;
        measured || f64::from(tally.failures) > limit * f64::from(tally.assigned)
    }

    /// Where the plugin pauses, a person may look and resume: the failures up to now are then
    /// accepted, and only a further one stops the deployment again.
    fn breach(&self, tally: Tally, place: &str, failures: u32) -> Outcome {
        let action = match self.0.on_breach {
            Breach::Pause => Action::Pause,
            Breach::RollBack => Action::RollBack(self.0.extent.unwrap_or(Extent::Everyone).into()),
        };
        let message = format!(
            "{} of {} devices {place} that executed it failed: more than {} % may not",
            tally.failures,
            tally.executed,
            self.0.max_failure_share * 100.0
        );
        let mut state = vec![STATE_FORMAT];
        state.extend_from_slice(&failures.to_le_bytes());
        Outcome { action, reason: Reason::new("failure-share-exceeded", message), state }
    }

    fn progress(&self, window: &Window, wave: Tally) -> (Action, &'static str, String) {
        let open_s = window.now_ms.saturating_sub(window.wave_opened_at_ms) / 1_000;
        if wave.assigned == 0 {
            return (Action::Advance, "wave-empty", "the wave has no device".to_owned());
        }
        let unreached = match self.0.unreached_after_s {
            Some(after_s) if open_s >= after_s => wave.unreached,
            Some(_) | None => 0,
        };
        let expected = wave.assigned - wave.failures - wave.gone_back - unreached;
        let wanted = (self.0.advance_share * f64::from(expected)).ceil();
        let verified = wave.verified;
        if expected == 0 && verified == 0 && unreached < wave.assigned {
            let message = "no device of this wave was verified".to_owned();
            return (Action::Pause, "wave-failed", message);
        }
        if verified == 0 || f64::from(verified) < wanted {
            let message = format!("{verified} of {expected} devices are verified, {wanted} are needed");
            return (Action::Proceed, "wave-in-progress", message);
        }
        if open_s < self.0.min_wave_open_s {
            let left_s = self.0.min_wave_open_s - open_s;
            let message = format!("verified; the wave stays open for another {left_s} s");
            return (Action::Proceed, "wave-open-time", message);
        }
        (Action::Advance, "wave-verified", format!("{verified} of {expected} devices are verified"))
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
