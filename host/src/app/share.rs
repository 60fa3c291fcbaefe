//! Owns taking a share of what passes: evenly, and the same number of every hundred.

use std::sync::atomic::{AtomicU32, Ordering};

const WHOLE_PERCENT: u32 = 100;

/// A share, in percent, and how far the turns have come.
#[derive(Debug)]
pub(super) struct Share {
    percent: u8,
    turn: AtomicU32,
}

impl Share {
    pub(super) fn of(percent: u8) -> Self {
        Self { percent, turn: AtomicU32::new(0) }
    }

    pub(super) fn percent(&self) -> u8 {
        self.percent
    }

    /// Whether this one is of the share.
    pub(super) fn takes(&self) -> bool {
        // Read often and by all threads: where it is none there is nothing to count.
        if self.percent == 0 {
            return false;
        }
        let percent = u32::from(self.percent);
        // As a line is drawn in pixels: a step wherever the share of the turns so far passes a whole number.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % WHOLE_PERCENT;
        (turn + 1) * percent / WHOLE_PERCENT > turn * percent / WHOLE_PERCENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_every_hundred_as_many_are_taken_as_the_share_says() {
        for percent in [0, 1, 10, 33, 50, 99, 100] {
            let share = Share::of(percent);
            for _ in 0..3 {
                let taken = (0..WHOLE_PERCENT).filter(|_| share.takes()).count();
                assert_eq!(taken, usize::from(percent));
            }
        }
        let half = Share::of(50);
        let turns: Vec<bool> = (0..6).map(|_| half.takes()).collect();
        assert_eq!(turns, [false, true, false, true, false, true], "evenly");
    }
}
