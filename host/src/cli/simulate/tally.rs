//! Owns the counts of a simulated fleet: what its devices do at present, and what has happened.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// What a device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It enrols, or waits to be admitted.
    Waiting,
    /// It runs, and has nothing to do.
    Idle,
    /// It downloads.
    Downloading,
    /// It installs.
    Installing,
}

impl Phase {
    /// All of them, in the order of a device's life.
    pub(crate) const ALL: [Self; 4] = [Self::Waiting, Self::Idle, Self::Downloading, Self::Installing];

    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Idle => "idle",
            Self::Downloading => "downloading",
            Self::Installing => "installing",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Waiting => 0,
            Self::Idle => 1,
            Self::Downloading => 2,
            Self::Installing => 3,
        }
    }
}

/// What has happened since the start.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    phases: [AtomicI64; 4],
    running: Mutex<BTreeMap<String, i64>>,
    /// Heartbeats that were answered.
    pub(crate) heartbeats: AtomicU64,
    /// Bytes of bundles that were downloaded and checked.
    pub(crate) bytes: AtomicU64,
    /// Commands that ended well.
    pub(crate) installed: AtomicU64,
    /// Commands to go back that ended well.
    pub(crate) rolled_back: AtomicU64,
    /// Configs that were applied.
    pub(crate) configured: AtomicU64,
    /// Commands that failed on the device.
    pub(crate) failed: AtomicU64,
    /// Calls that failed for good.
    pub(crate) troubles: AtomicU64,
    last_trouble: Mutex<Option<String>>,
    last_work: Mutex<Option<Instant>>,
}

impl Tally {
    /// Of a fleet in which nothing has happened yet.
    pub(crate) fn new(devices: u32) -> Self {
        let tally = Self { last_work: Mutex::new(Some(Instant::now())), ..Self::default() };
        tally.phases[Phase::Waiting.index()].store(i64::from(devices), Ordering::Relaxed);
        tally
    }

    /// A device went from one phase to another.
    pub(crate) fn shift(&self, from: Phase, to: Phase) {
        self.phases[from.index()].fetch_sub(1, Ordering::Relaxed);
        self.phases[to.index()].fetch_add(1, Ordering::Relaxed);
        if from != to {
            *self.last_work.lock() = Some(Instant::now());
        }
    }

    /// How many devices are in a phase.
    pub(crate) fn at(&self, phase: Phase) -> i64 {
        self.phases[phase.index()].load(Ordering::Relaxed)
    }

    /// A device runs another version; `None` is none.
    pub(crate) fn runs(&self, before: Option<&str>, now: Option<&str>) {
        let mut running = self.running.lock();
        if let Some(count) = before.and_then(|before| running.get_mut(before)) {
            *count -= 1;
        }
        if let Some(now) = now {
            *running.entry(now.to_owned()).or_default() += 1;
        }
    }

    /// Devices by the version they run.
    pub(crate) fn versions(&self) -> Vec<(String, i64)> {
        self.running.lock().iter().filter(|(_, count)| **count > 0).map(|(v, count)| (v.clone(), *count)).collect()
    }

    /// Something did not work.
    pub(crate) fn trouble(&self, what: String) {
        self.troubles.fetch_add(1, Ordering::Relaxed);
        *self.last_trouble.lock() = Some(what);
    }

    /// What did not work last.
    pub(crate) fn last_trouble(&self) -> Option<String> {
        self.last_trouble.lock().clone()
    }

    /// For how long no device has changed its phase; zero while one is still busy or waiting.
    pub(crate) fn idle_for(&self) -> Duration {
        let busy = [Phase::Waiting, Phase::Downloading, Phase::Installing].into_iter().any(|phase| self.at(phase) > 0);
        if busy { Duration::ZERO } else { self.last_work.lock().map_or(Duration::ZERO, |since| since.elapsed()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_neither_lost_nor_doubled() {
        let tally = Tally::new(2);
        assert_eq!(tally.idle_for(), Duration::ZERO);
        tally.shift(Phase::Waiting, Phase::Idle);
        tally.shift(Phase::Waiting, Phase::Idle);
        tally.shift(Phase::Idle, Phase::Downloading);
        assert_eq!(Phase::ALL.map(|phase| tally.at(phase)), [0, 1, 1, 0]);
        assert_eq!(tally.idle_for(), Duration::ZERO);
        tally.shift(Phase::Downloading, Phase::Idle);
        std::thread::sleep(Duration::from_millis(5));
        assert!(tally.idle_for() >= Duration::from_millis(5));

        tally.runs(None, Some("1.0.0"));
        tally.runs(None, Some("1.0.0"));
        tally.runs(Some("1.0.0"), Some("2.0.0"));
        assert_eq!(tally.versions(), [("1.0.0".to_owned(), 1), ("2.0.0".to_owned(), 1)]);
    }
}
