//! When a wave has passed: enough of its devices are verified, and it was open for long enough.

use super::{Action, Tally, Window};
use crate::Reason;

/// When a wave has passed. Settings have a field for each, of the same name.
///
/// ```
/// use kernex_sdk::rollback::{Action, Counts, Passage, Tally};
/// use kernex_sdk::testing;
///
/// let passage = Passage { advance_share: 0.9, min_wave_open_s: 0, unreached_after_s: Some(7_200) };
/// let verdict = |verified| {
///     let window = testing::window(Counts { verified, ..testing::counts(10) });
///     passage.of(&window, Tally::of(&window.in_wave)).0
/// };
/// assert_eq!((verdict(8), verdict(9)), (Action::Proceed, Action::Advance));
/// assert!(!passage.gives_up(&testing::window(testing::counts(10))), "it is open for an hour only");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Passage {
    /// The share, 0 to 1, of a wave's devices (without failed ones) that must be verified before
    /// the next wave opens.
    pub advance_share: f64,
    /// How long a wave stays open at least, in seconds.
    pub min_wave_open_s: u64,
    /// After how long a wave no longer waits for devices that could not be offered anything, in
    /// seconds; it always waits when there is none.
    pub unreached_after_s: Option<u64>,
}

impl Passage {
    /// Whether the open wave, which `wave` is the tally of, has passed: `advance` when it has, `proceed` when it has
    /// not yet, `pause` when it never will, because no device of it was verified.
    #[must_use]
    pub fn of(&self, window: &Window, wave: Tally) -> (Action, Reason) {
        let (action, code, message) = self.verdict(window, wave);
        (action, Reason::new(code, message))
    }

    /// Whether the open wave no longer waits for devices that could not be reached.
    #[must_use]
    pub fn gives_up(&self, window: &Window) -> bool {
        self.unreached_after_s.is_some_and(|after_s| open_s(window) >= after_s)
    }

    fn verdict(&self, window: &Window, wave: Tally) -> (Action, &'static str, String) {
        if wave.assigned == 0 {
            return (Action::Advance, "wave-empty", "the wave has no device".to_owned());
        }
        let unreached = if self.gives_up(window) { wave.unreached } else { 0 };
        let expected = wave.assigned - wave.failures - wave.gone_back - unreached;
        let wanted = (self.advance_share * f64::from(expected)).ceil();
        let verified = wave.verified;
        if expected == 0 && verified == 0 && unreached < wave.assigned {
            let message = "no device of this wave was verified".to_owned();
            return (Action::Pause, "wave-failed", message);
        }
        if verified == 0 || f64::from(verified) < wanted {
            let message = format!("{verified} of {expected} devices are verified, {wanted} are needed");
            return (Action::Proceed, "wave-in-progress", message);
        }
        let open_s = open_s(window);
        if open_s < self.min_wave_open_s {
            let left_s = self.min_wave_open_s - open_s;
            let message = format!("verified; the wave stays open for another {left_s} s");
            return (Action::Proceed, "wave-open-time", message);
        }
        (Action::Advance, "wave-verified", format!("{verified} of {expected} devices are verified"))
    }
}

fn open_s(window: &Window) -> u64 {
    window.now_ms.saturating_sub(window.wave_opened_at_ms) / 1_000
}
