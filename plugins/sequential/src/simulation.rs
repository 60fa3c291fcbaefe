//! How often the test is wrong, in many deployments whose failure rate is known.

use std::collections::VecDeque;

use kernex_sdk::rollback::Counts;

use super::tests::{NONE, window};
use super::*;

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same on every machine.
struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn chance(&mut self, probability: f64) -> bool {
        (self.next() >> 11) as f64 / ((1_u64 << 53) as f64) < probability
    }

    fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(self.next() % u64::from(limit)).unwrap()
    }
}

/// How a deployment is carried out.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// How many devices are at it at the same time.
    slots: u32,
    /// How many looks a device that fails takes at most; at least one.
    failure: u32,
    /// How many looks a device that succeeds takes at most; at least one.
    success: u32,
}

/// One device after the other, as in a textbook.
const ONE_BY_ONE: Pace = Pace { slots: 1, failure: 1, success: 1 };
/// Failures are known at once, successes soak for long.
const FAST_FAILURES: Pace = Pace { slots: 40, failure: 1, success: 20 };
/// Failures time out long after the others are verified.
const SLOW_FAILURES: Pace = Pace { slots: 40, failure: 20, success: 1 };
const PACES: [Pace; 3] = [ONE_BY_ONE, FAST_FAILURES, SLOW_FAILURES];

/// The devices of each wave: all at once, or more and more.
const WAVES: [&[u32]; 2] = [&[400], &[10, 40, 100, 250]];

/// How a deployment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Stopped before the test had accepted the baseline.
    Stopped,
    /// Stopped, after it had accepted.
    StoppedLate,
    /// Never stopped.
    Completed,
}

/// One device that is at it.
struct Device {
    wave: usize,
    fails: bool,
    looks_left: u32,
}

fn deploy(plugin: &Sequential, rate: f64, pace: Pace, waves: &[u32], seed: u64) -> End {
    let mut random = Generator(seed);
    let mut at_it: Vec<Device> = Vec::new();
    let mut counts: Vec<Counts> = waves.iter().map(|assigned| Counts { assigned: *assigned, ..NONE }).collect();
    let mut queue: VecDeque<usize> = std::iter::repeat_n(0, waves[0] as usize).collect();
    let (mut open, mut accepted) = (0, false);
    loop {
        while at_it.len() < pace.slots as usize
            && let Some(wave) = queue.pop_front()
        {
            let fails = random.chance(rate);
            let longest = if fails { pace.failure } else { pace.success };
            at_it.push(Device { wave, fails, looks_left: 1 + random.below(longest) });
            counts[wave].running += 1;
        }
        let overall = counts.iter().fold(NONE, |sum, wave| Counts {
            assigned: sum.assigned + wave.assigned,
            running: sum.running + wave.running,
            verified: sum.verified + wave.verified,
            failed: sum.failed + wave.failed,
            ..NONE
        });
        let (wave, total) = (u32::try_from(open).unwrap(), u32::try_from(waves.len()).unwrap());
        let outcome = plugin.judge(&Window { wave, waves: total, overall, ..window(counts[open]) }, &[]);
        accepted |= plugin.weights.ratio(Evidence::of(&overall)).most <= plugin.accepts;
        match outcome.action {
            Action::Pause if accepted => return End::StoppedLate,
            Action::Pause => return End::Stopped,
            Action::Advance if open + 1 < waves.len() => {
                open += 1;
                queue.extend(std::iter::repeat_n(open, waves[open] as usize));
            }
            Action::Advance | Action::Proceed if overall.verified + overall.failed == overall.assigned => {
                return End::Completed;
            }
            _ => {}
        }
        at_it.retain_mut(|device| {
            device.looks_left -= 1;
            if device.looks_left == 0 {
                let counts = &mut counts[device.wave];
                counts.running -= 1;
                *(if device.fails { &mut counts.failed } else { &mut counts.verified }) += 1;
            }
            device.looks_left > 0
        });
    }
}

/// The shares of deployments that were stopped at all, and before the test had accepted.
fn shares(plugin: &Sequential, rate: f64, pace: Pace, waves: &[u32]) -> (f64, f64) {
    const RUNS: u64 = 1_000;
    let ends: Vec<End> = (0..RUNS).map(|seed| deploy(plugin, rate, pace, waves, seed << 32)).collect();
    let share = |of: &dyn Fn(End) -> bool| ends.iter().filter(|end| of(**end)).count() as f64 / RUNS as f64;
    (share(&|end| end != End::Completed), share(&|end| end == End::Stopped))
}

/// Three standard deviations of a share of 0.1 in 1,000 runs.
const TOLERANCE: f64 = 0.0285;

fn plugin() -> Sequential {
    let settings = r#"{"baseline_rate": 0.02, "unacceptable_rate": 0.1, "alpha": 0.1, "beta": 0.1}"#;
    Sequential::from_json(settings).unwrap()
}

#[test]
fn a_good_bundle_is_stopped_no_more_often_than_alpha() {
    for (pace, waves) in PACES.into_iter().flat_map(|pace| WAVES.map(|waves| (pace, waves))) {
        let (stopped, _) = shares(&plugin(), 0.02, pace, waves);
        assert!(stopped <= 0.1 + TOLERANCE, "{stopped} were stopped: {pace:?}, {waves:?}");
        let (stopped, _) = shares(&plugin(), 0.01, pace, waves);
        assert!(stopped <= 0.01, "{stopped} were stopped at half the rate: {pace:?}, {waves:?}");
    }
    let (stopped, _) = shares(&plugin(), 0.02, ONE_BY_ONE, WAVES[0]);
    assert!(stopped >= 0.04, "{stopped}: it is not so cautious that the others would show nothing");
}

#[test]
fn a_bad_bundle_is_found_at_least_as_often_as_promised() {
    for (pace, waves) in PACES.into_iter().flat_map(|pace| WAVES.map(|waves| (pace, waves))) {
        let (_, found) = shares(&plugin(), 0.1, pace, waves);
        assert!(found >= 0.9 - TOLERANCE, "{found} were stopped before the test accepted: {pace:?}, {waves:?}");
        let (_, found) = shares(&plugin(), 0.2, pace, waves);
        assert!(found >= 0.99, "{found} were stopped at twice the rate: {pace:?}, {waves:?}");
    }
}

#[test]
fn counting_only_what_has_ended_would_be_wrong() {
    let (plugin, slots) = (plugin(), FAST_FAILURES.slots);
    let stops = plugin.stops(1.0);
    let mut stopped = 0;
    for seed in 0..200_u64 {
        let mut random = Generator(seed << 32);
        let failures = (0..slots).filter(|_| random.chance(0.02)).count() as u64;
        let ended = plugin.weights.ratio(Evidence { failures, verified: 0, open: 0 });
        let begun = Evidence { failures, verified: 0, open: u64::from(slots) - failures };
        assert!(plugin.weights.ratio(begun).least <= ended.least);
        stopped += u32::from(ended.least >= stops);
    }
    assert!(stopped > 20, "{stopped} of 200 good deployments would be stopped by their first failures");
}
