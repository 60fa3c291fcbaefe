//! How many devices may be told in a minute, and how long telling some of them takes.

use kernex_sdk::Diagnostic;

use crate::settings::{Criterion, Increase};

/// Devices in a minute, at most.
const MAX_PER_MINUTE: u32 = 1_000_000;
/// Microseconds of a minute.
pub(crate) const MINUTE_US: u64 = 60_000_000;
/// What the rate may be multiplied by. Below the least, reaching the maximum would take many steps.
const FACTORS: std::ops::RangeInclusive<f64> = 1.1..=5.0;

/// The steps of the rate.
#[derive(Debug)]
pub(crate) struct Rates {
    /// Devices in a minute, by step; the last one stays. There is at least one, and none is 0.
    per_minute: Vec<u32>,
    criterion: Criterion,
    /// How many devices make a step; never 0.
    every: u32,
}

impl Rates {
    /// What is wrong with the settings is added to the diagnostics.
    pub(crate) fn parse(base: u32, increase: Option<&Increase>, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let possible = 1..=MAX_PER_MINUTE;
        let mut wrong = |pointer: &str, message: String| diagnostics.push(Diagnostic::new(pointer, message));
        if !possible.contains(&base) {
            wrong("/base_per_minute", format!("a rate is 1 to {MAX_PER_MINUTE} devices a minute"));
        }
        let Some(increase) = increase else {
            return Self { per_minute: vec![base.max(1)], criterion: Criterion::Notified, every: 1 };
        };
        if !FACTORS.contains(&increase.factor) {
            wrong("/increase/factor", format!("a factor is {} to {}", FACTORS.start(), FACTORS.end()));
        }
        if increase.every == 0 {
            wrong("/increase/every", "a step is at least 1 device".to_owned());
        }
        let maximum = increase.maximum_per_minute;
        if maximum < base || !possible.contains(&maximum) {
            wrong("/increase/maximum_per_minute", format!("the maximum is `base_per_minute` to {MAX_PER_MINUTE}"));
        }
        let factor = increase.factor.max(*FACTORS.start());
        let per_minute = steps(base.max(1), factor, maximum.min(MAX_PER_MINUTE));
        Self { per_minute, criterion: increase.criterion, every: increase.every.max(1) }
    }

    /// Devices in a minute, after this many were told and verified.
    pub(crate) fn per_minute(&self, notified: u32, verified: u32) -> u32 {
        let counted = match self.criterion {
            Criterion::Notified => notified,
            Criterion::Succeeded => verified,
        };
        let last = self.per_minute.len() - 1;
        let step = usize::try_from(counted / self.every).unwrap_or(last);
        self.per_minute[step.min(last)]
    }

    /// How long it takes to tell further devices when `from` of them were told and there are now `to`, in
    /// microseconds. Each counts at the rate of its own step: telling many at once gains nothing.
    pub(crate) fn cost_us(&self, mut from: u32, to: u32, verified: u32) -> u64 {
        let mut cost_us = 0_u64;
        while from < to {
            let rate = u64::from(self.per_minute(from, verified));
            let end = self.step_end(from).min(to);
            cost_us = cost_us.saturating_add(u64::from(end - from) * MINUTE_US / rate);
            from = end;
        }
        cost_us
    }

    /// Up to how many told devices the rate is the one of `from`.
    fn step_end(&self, from: u32) -> u32 {
        let step = from / self.every;
        let stays = usize::try_from(step).map_or(true, |step| step + 1 >= self.per_minute.len());
        match self.criterion {
            Criterion::Notified if !stays => (step + 1).saturating_mul(self.every),
            Criterion::Notified | Criterion::Succeeded => u32::MAX,
        }
    }
}

/// The base, multiplied until it reaches the maximum.
fn steps(base: u32, factor: f64, maximum: u32) -> Vec<u32> {
    let mut per_minute = Vec::new();
    let mut rate = f64::from(base);
    while rate < f64::from(maximum) {
        per_minute.push(rate as u32);
        rate *= factor;
    }
    per_minute.push(maximum.max(1));
    per_minute
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(base: u32, factor: f64, criterion: Criterion, every: u32, maximum_per_minute: u32) -> Rates {
        let increase = Increase { factor, criterion, every, maximum_per_minute };
        let mut diagnostics = Vec::new();
        let rates = Rates::parse(base, Some(&increase), &mut diagnostics);
        assert_eq!(diagnostics, []);
        rates
    }

    #[test]
    fn the_rate_is_multiplied_at_each_step_up_to_the_maximum() {
        let rates = rates(10, 2.0, Criterion::Notified, 100, 50);
        assert_eq!(rates.per_minute, [10, 20, 40, 50]);
        let at = |notified| rates.per_minute(notified, 0);
        assert_eq!([at(0), at(99), at(100), at(250), at(300), at(u32::MAX)], [10, 10, 20, 40, 50, 50]);
    }

    #[test]
    fn the_slowest_growth_comes_to_an_end() {
        let rates = rates(1, 1.1, Criterion::Succeeded, 1, MAX_PER_MINUTE);
        assert_eq!(rates.per_minute.len(), 146, "the least n with 1.1^n >= 1,000,000 is 145");
        assert_eq!(rates.per_minute[7..9], [1, 2], "1.1^7 is 1.95, 1.1^8 is 2.14");
        assert_eq!(rates.per_minute(0, u32::MAX), MAX_PER_MINUTE);
    }

    #[test]
    fn a_constant_rate_has_one_step() {
        let rates = Rates::parse(30, None, &mut Vec::new());
        assert_eq!(rates.per_minute(1_000, 1_000), 30);
        assert_eq!(rates.cost_us(10, 40, 0), MINUTE_US);
    }

    #[test]
    fn each_device_costs_its_own_step() {
        let rates = rates(10, 2.0, Criterion::Notified, 100, 50);
        assert_eq!(rates.cost_us(0, 100, 0), 10 * MINUTE_US);
        assert_eq!(rates.cost_us(0, 200, 0), 15 * MINUTE_US, "100 at 10 a minute, 100 at 20");
        assert_eq!(rates.cost_us(90, 110, 0), MINUTE_US + MINUTE_US / 2);
        assert_eq!(rates.cost_us(300, 400, 0), 2 * MINUTE_US);
        assert_eq!(rates.cost_us(5, 5, 0), 0);
        assert_eq!(rates.cost_us(7, 5, 0), 0);
        let succeeded = super::tests::rates(10, 2.0, Criterion::Succeeded, 100, 50);
        assert_eq!(succeeded.cost_us(0, 200, 100), 10 * MINUTE_US, "all at 20 a minute");
    }

    #[test]
    fn costs_do_not_overflow() {
        let slow = Rates::parse(1, None, &mut Vec::new());
        assert_eq!(slow.cost_us(0, u32::MAX, 0), u64::from(u32::MAX) * MINUTE_US);
        let large = rates(1, 1.1, Criterion::Notified, u32::MAX, 2);
        assert!(large.cost_us(0, u32::MAX, 0) > 0);
        assert_eq!(large.per_minute(u32::MAX, 0), 1, "the second of 9 steps");
    }

    #[test]
    fn impossible_rates_are_pointed_at() {
        let wrong = |base, factor, every, maximum_per_minute| {
            let increase = Increase { factor, criterion: Criterion::Notified, every, maximum_per_minute };
            let mut diagnostics = Vec::new();
            Rates::parse(base, Some(&increase), &mut diagnostics);
            diagnostics.into_iter().map(|diagnostic| diagnostic.pointer).collect::<Vec<_>>()
        };
        assert_eq!(wrong(0, 2.0, 1, 10), ["/base_per_minute"]);
        assert_eq!(wrong(10, 1.0, 1, 10), ["/increase/factor"]);
        assert_eq!(wrong(10, f64::NAN, 1, 10), ["/increase/factor"]);
        assert_eq!(wrong(10, f64::INFINITY, 1, 10), ["/increase/factor"]);
        assert_eq!(wrong(10, 2.0, 0, 10), ["/increase/every"]);
        assert_eq!(wrong(10, 2.0, 1, 9), ["/increase/maximum_per_minute"]);
        assert_eq!(wrong(10, 2.0, 1, u32::MAX), ["/increase/maximum_per_minute"]);
        assert_eq!(wrong(0, 0.0, 0, 0).len(), 4);
    }
}
