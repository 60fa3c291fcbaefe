//! When the next device may be told: a virtual schedule that every told device moves on.
//!
//! It is the generic cell rate algorithm (ITU-T I.371, annex A) with the difference that whoever asks cannot be told
//! a number: what was told too early is noticed at the next look, and waited for.

use crate::rate::MINUTE_US;

/// How far the schedule may lie in the past, in microseconds: a minute's devices may be caught up with, no more.
const CREDIT_US: u64 = MINUTE_US;

/// The schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meter {
    /// When the next device may be told, in microseconds since the Unix epoch.
    pub(crate) due_us: u64,
    /// How many devices were told, when it was last looked at.
    pub(crate) notified: u32,
}

impl Meter {
    /// Of a deployment that is seen for the first time: what was told before is not counted.
    pub(crate) fn starting(now_us: u64, notified: u32) -> Self {
        Self { due_us: now_us, notified }
    }

    /// Moves on by what was told since the last look. Nothing changes where nothing was told.
    pub(crate) fn looked(self, now_us: u64, notified: u32, cost_us: u64) -> Self {
        if cost_us == 0 {
            return Self { notified, ..self };
        }
        let from_us = self.due_us.max(now_us.saturating_sub(CREDIT_US));
        Self { due_us: from_us.saturating_add(cost_us), notified }
    }

    /// How long to wait before the next device, in microseconds; none where it may be told now.
    pub(crate) fn wait_us(self, now_us: u64) -> Option<u64> {
        self.due_us.checked_sub(now_us).filter(|wait_us| *wait_us > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: u64 = 1_000_000;

    #[test]
    fn what_was_told_is_waited_for() {
        let meter = Meter::starting(5 * MINUTE_US, 3);
        assert_eq!(meter.wait_us(5 * MINUTE_US), None);
        let told = meter.looked(5 * MINUTE_US + SECOND_US, 13, 10 * SECOND_US);
        assert_eq!(told, Meter { due_us: 5 * MINUTE_US + 10 * SECOND_US, notified: 13 });
        assert_eq!(told.wait_us(5 * MINUTE_US + SECOND_US), Some(9 * SECOND_US));
        assert_eq!(told.wait_us(5 * MINUTE_US + 10 * SECOND_US), None);
        assert_eq!(told.looked(6 * MINUTE_US, 13, 0), told, "nothing was told since");
    }

    #[test]
    fn at_most_a_minute_is_caught_up_with() {
        let idle = Meter::starting(0, 0);
        let later = idle.looked(60 * MINUTE_US, 1, SECOND_US);
        assert_eq!(later.due_us, 59 * MINUTE_US + SECOND_US);
    }

    #[test]
    fn the_ends_of_time_overflow_nothing() {
        let last = Meter::starting(u64::MAX, u32::MAX).looked(u64::MAX, u32::MAX, u64::MAX);
        assert_eq!(last.due_us, u64::MAX);
        assert_eq!(last.wait_us(u64::MAX), None);
        assert_eq!(Meter::starting(0, 0).looked(0, 1, u64::MAX).wait_us(0), Some(u64::MAX));
    }
}
