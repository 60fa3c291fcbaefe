//! Owns the bounded buffer of the decision log: what is full is dropped and counted, nobody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kernex_model::record::Decision;
use parking_lot::Mutex;

/// Decisions that wait to be written, at most.
pub const DECISION_BUFFER: usize = 8_192;

/// Authorization decisions that belong to no change (denials), on their way to the store.
#[derive(Debug, Clone, Default)]
pub struct DecisionLog {
    waiting: Arc<Mutex<Vec<Decision>>>,
    dropped: Arc<AtomicU64>,
}

impl DecisionLog {
    /// Takes a decision in, or counts it as dropped where the buffer is full.
    pub fn offer(&self, decision: Decision) {
        let mut waiting = self.waiting.lock();
        if waiting.len() < DECISION_BUFFER {
            waiting.push(decision);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes all that waits, for writing.
    #[must_use]
    pub fn drain(&self) -> Vec<Decision> {
        std::mem::take(&mut *self.waiting.lock())
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.lock().len()
    }

    /// How many were dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
