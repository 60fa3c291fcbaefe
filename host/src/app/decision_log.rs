//! Owns the bounded buffer of the decision log: what finds no room is dropped and counted, nobody waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kernex_model::record::Decision;
use parking_lot::Mutex;
use serde_json::Value;

/// Decisions that wait to be written, at most.
pub const DECISION_BUFFER: usize = 8_192;
/// Bytes that they have together, at most: what a plugin writes to its log is kept with each.
pub const DECISION_BUFFER_BYTES: usize = 32 << 20;
/// Bytes that a value takes beside its texts, and a line of a log beside its message.
const NODE_BYTES: usize = 32;

/// Authorization decisions that belong to no change (denials), on their way to the store.
#[derive(Debug, Clone, Default)]
pub struct DecisionLog {
    buffer: Arc<Mutex<Buffer>>,
    dropped: Arc<AtomicU64>,
}

/// What is being written has its room until it is: it comes back where that fails.
#[derive(Debug, Default)]
struct Buffer {
    waiting: VecDeque<Decision>,
    count: usize,
    bytes: usize,
}

/// Decisions that are being written. They wait again where nobody says that it was done.
#[derive(Debug)]
pub struct Batch {
    log: DecisionLog,
    decisions: Vec<Decision>,
}

impl DecisionLog {
    /// Takes a decision in, or counts it as dropped where there is no room.
    pub fn offer(&self, decision: Decision) {
        let bytes = bytes(&decision);
        let mut buffer = self.buffer.lock();
        if buffer.count < DECISION_BUFFER && buffer.bytes + bytes <= DECISION_BUFFER_BYTES {
            buffer.count += 1;
            buffer.bytes += bytes;
            buffer.waiting.push_back(decision);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The oldest that wait, for writing; `None` where none does.
    #[must_use]
    pub fn take(&self, at_most: usize) -> Option<Batch> {
        let mut buffer = self.buffer.lock();
        let count = at_most.min(buffer.waiting.len());
        let decisions: Vec<Decision> = buffer.waiting.drain(..count).collect();
        (!decisions.is_empty()).then(|| Batch { log: self.clone(), decisions })
    }

    /// How many are not written yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.lock().count
    }

    /// How many were dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Batch {
    /// What is to be written, the oldest first.
    #[must_use]
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// They are written.
    pub fn written(self) {
        self.gone();
    }

    /// They never can be: they are counted as dropped.
    pub fn lost(self) {
        let count = u64::try_from(self.decisions.len()).unwrap_or(u64::MAX);
        self.log.dropped.fetch_add(count, Ordering::Relaxed);
        self.gone();
    }

    fn gone(mut self) {
        let decisions = std::mem::take(&mut self.decisions);
        let mut buffer = self.log.buffer.lock();
        buffer.count -= decisions.len();
        buffer.bytes -= decisions.iter().map(bytes).sum::<usize>();
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let mut buffer = self.log.buffer.lock();
        for decision in std::mem::take(&mut self.decisions).into_iter().rev() {
            buffer.waiting.push_front(decision);
        }
    }
}

/// How much memory a decision takes, roughly.
fn bytes(decision: &Decision) -> usize {
    let lines = decision.log.iter().map(|line| NODE_BYTES + line.message.len()).sum::<usize>();
    let output = decision.output.as_ref().map_or(0, |output| bytes_of(&output.0));
    let texts = decision.subject.len() + decision.question.len() + decision.code.len() + decision.message.len();
    size_of::<Decision>() + lines + texts + bytes_of(&decision.input.0) + bytes_of(&decision.facts_read.0) + output
}

fn bytes_of(value: &Value) -> usize {
    NODE_BYTES
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(bytes_of).sum(),
            Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + bytes_of(value)).sum(),
        }
}

#[cfg(test)]
mod tests {
    use kernex_model::policy::{LOG_BYTES, LogLevel, LogLine};
    use serde_json::json;

    use super::*;

    fn decision(question: usize, log_bytes: usize) -> Decision {
        let mut decision: Decision = serde_json::from_value(json!({
            "id": "dec_01M7ZBN26060KA1JJ8BSC32SBV", "at": "2026-11-21T15:30:00.000Z", "gate": "authorization",
            "policy": "rbac", "plugin_digest": "0".repeat(64), "settings_digest": "0".repeat(64), "subject": "usr_1",
            "question": question.to_string(), "outcome": "deny", "code": "c", "message": "m", "output": null,
            "input": {"principal": {"roles": ["viewer"]}}, "facts_read": [], "fuel": 1, "duration_us": 1,
            "request_id": null,
        }))
        .expect("a decision");
        decision.log = vec![LogLine { level: LogLevel::Info, message: "x".repeat(log_bytes) }];
        decision
    }

    fn questions(batch: &Batch) -> Vec<&str> {
        batch.decisions().iter().map(|decision| decision.question.as_str()).collect()
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let log = DecisionLog::default();
        for number in 0..DECISION_BUFFER + 3 {
            log.offer(decision(number, 0));
        }
        assert_eq!((log.waiting(), log.dropped()), (DECISION_BUFFER, 3));
        // The oldest are kept, and have their room until they are written.
        let batch = log.take(1).expect("some wait");
        assert_eq!(questions(&batch), ["0"]);
        log.offer(decision(0, 0));
        assert_eq!((log.waiting(), log.dropped()), (DECISION_BUFFER, 4));
        batch.written();
        log.offer(decision(0, 0));
        assert_eq!((log.waiting(), log.dropped()), (DECISION_BUFFER, 4));
    }

    #[test]
    fn long_logs_take_the_room_of_many() {
        let log = DecisionLog::default();
        let offered = DECISION_BUFFER_BYTES / LOG_BYTES + 10;
        for number in 0..offered {
            log.offer(decision(number, LOG_BYTES));
        }
        let kept = log.waiting();
        assert!(
            kept * LOG_BYTES <= DECISION_BUFFER_BYTES && (kept + 100) * LOG_BYTES > DECISION_BUFFER_BYTES,
            "{kept}"
        );
        assert_eq!(u64::try_from(offered - kept), Ok(log.dropped()));
        log.take(kept).expect("some wait").written();
        assert_eq!((log.waiting(), log.buffer.lock().bytes), (0, 0), "all of the room is free again");
    }

    #[test]
    fn what_could_not_be_written_waits_again_in_its_order() {
        let log = DecisionLog::default();
        (0..4).for_each(|number| log.offer(decision(number, 0)));
        let batch = log.take(2).expect("some wait");
        log.offer(decision(4, 0));
        drop(batch);
        let batch = log.take(3).expect("some wait");
        assert_eq!(questions(&batch), ["0", "1", "2"]);
        batch.lost();
        assert_eq!((log.waiting(), log.dropped()), (2, 3));
        let batch = log.take(9).expect("some wait");
        assert_eq!(questions(&batch), ["3", "4"]);
        batch.written();
        assert_eq!((log.waiting(), log.take(1).is_none()), (0, true));
    }
}
