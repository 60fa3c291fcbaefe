//! Rollback by a sequential test: stops a deployment whose failure rate is credibly too high, at any look.

mod ratio;
mod settings;

use kernex_sdk::rollback::settings::{action, check_share, manual};
use kernex_sdk::rollback::{Action, Outcome, Passage, Permission, RollbackRequest, Tally, Window};
use kernex_sdk::{Diagnostic, Plugin, Reason, Rollback};

use ratio::{Evidence, Ratio, Weights, check_risk};
pub use settings::Settings;

/// What the state begins with: whose it is, and how the rest is to be read.
const STATE_TAG: [u8; 5] = *b"sprt\x01";

/// The configured plugin.
#[derive(Debug)]
pub struct Sequential {
    weights: Weights,
    alpha: f64,
    /// A ratio of at most this accepts the baseline.
    accepts: f64,
    on_breach: Action,
    passage: Passage,
    allow_manual: bool,
}

impl Plugin for Sequential {
    const NAME: &'static str = "sequential";
    const SUMMARY: &'static str = "Stops a deployment whose failure rate is credibly too high, by a sequential test";
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, Vec<Diagnostic>> {
        let mut diagnostics = Vec::new();
        let weights = Weights::parse(settings.baseline_rate, settings.unacceptable_rate, &mut diagnostics);
        check_risk("/alpha", settings.alpha, &mut diagnostics);
        check_risk("/beta", settings.beta, &mut diagnostics);
        check_share("/advance_share", settings.advance_share, &mut diagnostics);
        let on_breach = action(settings.on_breach, settings.extent, "/extent", &mut diagnostics);
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        Ok(Self {
            weights,
            alpha: settings.alpha,
            accepts: settings.beta.ln(),
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

impl Rollback for Sequential {
    fn judge(&self, window: &Window, state: &[u8]) -> Outcome {
        let accepted = accepted_failures(state);
        let mut outcome = self.verdict(window, accepted.unwrap_or(0));
        if accepted.is_none() {
            outcome.reason.message.push_str("; the state is of another policy or version and counts as empty");
        } else if outcome.state.is_empty() {
            outcome.state = state.to_vec();
        }
        outcome
    }

    fn permit(&self, _: &RollbackRequest) -> Permission {
        manual(self.allow_manual)
    }
}

impl Sequential {
    /// From where on a test stops the deployment that has this part of alpha.
    fn stops(&self, parts: f64) -> f64 {
        (parts / self.alpha).ln()
    }

    /// Half of alpha is for the deployment as a whole. The other half is shared out among the waves, each of which is
    /// tested by itself as well: many successes in earlier waves must not hide what fails in this one. A single wave
    /// is the deployment.
    fn tests(&self, window: &Window) -> [Test; 2] {
        let (half, waves) = if window.waves > 1 { (2.0, f64::from(window.waves)) } else { (1.0, 1.0) };
        [
            Test::of(self, Evidence::of(&window.overall), self.stops(half), "of the deployment"),
            Test::of(self, Evidence::of(&window.in_wave), self.stops(half * waves), "of this wave"),
        ]
    }

    fn verdict(&self, window: &Window, accepted: u32) -> Outcome {
        let tests = self.tests(window);
        let overall = &tests[0];
        let failures = Tally::of(&window.overall).failures;
        if failures > accepted
            && let Some(test) = tests.iter().find(|test| test.ratio.least >= test.stops)
        {
            // A person may look and resume: the failures up to now are then accepted, and only a further one
            // stops the deployment again.
            let state = [STATE_TAG.as_slice(), &failures.to_le_bytes()].concat();
            return Outcome {
                action: self.on_breach,
                reason: Reason::new("failure-rate-too-high", test.told()),
                state,
            };
        }
        let (action, reason) = self.progress(window, overall);
        let message = format!("{}; {}", reason.message, overall.told());
        Outcome { action, reason: Reason::new(reason.code, message), state: Vec::new() }
    }

    /// A wave passes when enough of it is verified, and the test has accepted the baseline or has nothing more to
    /// learn from this wave.
    fn progress(&self, window: &Window, overall: &Test) -> (Action, Reason) {
        let (action, reason) = self.passage.of(window, Tally::of(&window.in_wave));
        if action != Action::Advance || window.in_wave.assigned == 0 || overall.ratio.most <= overall.accepts {
            return (action, reason);
        }
        if self.is_executed(window) {
            let message = format!("{}, and nobody is left in this wave", reason.message);
            return (action, Reason::new("wave-executed", message));
        }
        let message = format!("{}, and others may still tell more", reason.message);
        (Action::Proceed, Reason::new("rate-undecided", message))
    }

    fn is_executed(&self, window: &Window) -> bool {
        let wave = &window.in_wave;
        let away = wave.offered > 0 || Tally::of(wave).unreached > 0;
        wave.running == 0 && wave.installed == 0 && (!away || self.passage.gives_up(window))
    }
}

/// The test of some devices, and where it stands.
struct Test {
    evidence: Evidence,
    ratio: Ratio,
    accepts: f64,
    stops: f64,
    place: &'static str,
}

impl Test {
    fn of(plugin: &Sequential, evidence: Evidence, stops: f64, place: &'static str) -> Self {
        Self { evidence, ratio: plugin.weights.ratio(evidence), accepts: plugin.accepts, stops, place }
    }

    fn told(&self) -> String {
        let Evidence { failures, verified, open } = self.evidence;
        let ended = failures + verified;
        let percent = if ended == 0 { 0.0 } else { failures as f64 * 100.0 / ended as f64 };
        format!(
            "{failures} of {ended} devices {} that came to an end failed ({percent:.1} %), {open} still open; \
                log-likelihood ratio {:.2} to {:.2}, it accepts up to {:.2} and stops from {:.2}",
            self.place, self.ratio.least, self.ratio.most, self.accepts, self.stops
        )
    }
}

/// How many failures a person has accepted by resuming after a pause; none where the state is not ours.
fn accepted_failures(state: &[u8]) -> Option<u32> {
    if state.is_empty() {
        return Some(0);
    }
    state.strip_prefix(&STATE_TAG)?.try_into().ok().map(u32::from_le_bytes)
}

kernex_sdk::export_rollback!(Sequential);

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
