//! Owns watching a deployment from outside, continuously, and what every sample must show.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kernex_tests::harness::Answer;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::commander::Commander;

/// Pause between two samples.
const PAUSE: Duration = Duration::from_millis(15);
/// States that hold a slot.
pub(super) const IN_FLIGHT: [&str; 4] = ["offered", "running", "rollback_offered", "rollback_running"];

/// A deployment under watch.
#[derive(Debug)]
pub(super) struct Watch {
    samples: Arc<Mutex<Vec<Answer>>>,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// Looks at the deployment all the time.
    pub(super) fn on(commander: &Commander, id: &str) -> Self {
        let samples = Arc::<Mutex<Vec<Answer>>>::default();
        let (commander, id, kept) = (commander.clone(), id.to_owned(), samples.clone());
        let task = tokio::spawn(async move {
            loop {
                let sample = commander.deployment(&id).await;
                kept.lock().expect("nobody panicked while watching").push(sample);
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { samples, task }
    }

    /// What was seen, in order.
    pub(super) fn samples(&self) -> Vec<Answer> {
        self.samples.lock().expect("nobody panicked while watching").clone()
    }

    /// Fails the test where more devices than `limit` were ever in flight; gives the most that were seen.
    pub(super) fn never_more_in_flight_than(&self, limit: u64) -> u64 {
        let samples = self.samples();
        let most = samples.iter().map(in_flight).max().unwrap_or(0);
        for sample in &samples {
            assert!(in_flight(sample) <= limit, "more than {limit} in flight\n{sample}");
        }
        most
    }

    /// Fails the test where a wave had begun before all earlier ones had passed.
    pub(super) fn waves_one_after_the_other(&self) {
        for sample in self.samples() {
            let waves = waves(&sample);
            for (number, wave) in waves.iter().enumerate() {
                let begun = touched(wave) > 0;
                let passed = waves[..number].iter().all(|earlier| earlier["state"] == "passed");
                assert!(!begun || passed, "wave {number} began too early\n{sample}");
            }
        }
    }
}

/// A sample's waves.
pub(super) fn waves(sample: &Answer) -> Vec<Value> {
    sample["waves"].as_array().cloned().unwrap_or_default()
}

/// Devices that hold a slot.
pub(super) fn in_flight(sample: &Answer) -> u64 {
    let of = |wave: &Value| -> u64 { IN_FLIGHT.iter().filter_map(|state| wave["counts"][*state].as_u64()).sum() };
    waves(sample).iter().map(of).sum()
}

/// Devices of a wave that were offered anything.
pub(super) fn touched(wave: &Value) -> u64 {
    let counts = wave["counts"].as_object().expect("a wave has counts");
    let all: u64 = counts.values().filter_map(Value::as_u64).sum();
    let untouched = |state: &str| counts.get(state).and_then(Value::as_u64).unwrap_or(0);
    all - untouched("queued") - untouched("cancelled")
}

/// All devices of a wave.
pub(super) fn size(wave: &Value) -> u64 {
    wave["counts"].as_object().expect("a wave has counts").values().filter_map(Value::as_u64).sum()
}
