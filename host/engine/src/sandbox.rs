//! What belongs to one instance: its memory limit, the facts it may read, and its log.

use kernex_model::policy::Fact;
use wasmtime::ResourceLimiter;

use crate::limits::{CORE_INSTANCES, LOG_BYTES, MEMORIES, TABLE_ELEMENTS, TABLES};
use crate::run::{LogLevel, LogLine};

/// The data of a store.
#[derive(Debug)]
pub(crate) struct Sandbox {
    memory_bytes: usize,
    /// A guest that is refused memory traps like any other; this tells the two apart.
    pub(crate) memory_refused: bool,
    facts: Vec<Fact>,
    pub(crate) facts_read: Vec<Fact>,
    pub(crate) logs: Vec<LogLine>,
    log_bytes: usize,
}

impl Sandbox {
    pub(crate) fn new(memory_bytes: usize, facts: &[Fact]) -> Self {
        Self {
            memory_bytes,
            memory_refused: false,
            facts: facts.to_vec(),
            facts_read: Vec::new(),
            logs: Vec::new(),
            log_bytes: 0,
        }
    }

    /// Makes ready for another call: nothing of the last one is left on this side.
    pub(crate) fn begin(&mut self, facts: &[Fact]) {
        *self = Self::new(self.memory_bytes, facts);
    }

    /// Looks a fact up and remembers that it was read.
    pub(crate) fn read_fact(&mut self, name: &str) -> Option<&Fact> {
        let fact = self.facts.iter().find(|fact| fact.name == name)?;
        if !self.facts_read.iter().any(|read| read.name == name) {
            self.facts_read.push(fact.clone());
        }
        Some(fact)
    }

    /// Keeps as much of a line as the log has room for.
    pub(crate) fn log(&mut self, level: LogLevel, mut message: String) {
        let room = LOG_BYTES - self.log_bytes;
        if room == 0 {
            return;
        }
        // An empty line takes room too: otherwise a loop of them would grow without a limit.
        if message.len() >= room {
            message.truncate(message.floor_char_boundary(room));
            self.log_bytes = LOG_BYTES;
        } else {
            self.log_bytes += message.len() + 1;
        }
        self.logs.push(LogLine { level, message });
    }
}

impl ResourceLimiter for Sandbox {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= self.memory_bytes;
        self.memory_refused |= !allowed;
        Ok(allowed)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_recorded_once() {
        let facts = [Fact::text("a", "x"), Fact::text("b", "y")];
        let mut sandbox = Sandbox::new(0, &facts);
        assert_eq!(sandbox.read_fact("b"), Some(&facts[1]));
        assert_eq!(sandbox.read_fact("b"), Some(&facts[1]));
        assert_eq!(sandbox.read_fact("c"), None);
        assert_eq!(sandbox.facts_read, [facts[1].clone()]);
    }

    #[test]
    fn the_log_is_bounded() {
        let mut sandbox = Sandbox::new(0, &[]);
        for _ in 0..LOG_BYTES * 2 {
            sandbox.log(LogLevel::Info, String::new());
        }
        assert_eq!(sandbox.logs.len(), LOG_BYTES);
        let mut sandbox = Sandbox::new(0, &[]);
        sandbox.log(LogLevel::Info, "x".to_owned());
        sandbox.log(LogLevel::Info, "\u{e4}".repeat(LOG_BYTES));
        sandbox.log(LogLevel::Info, "x".to_owned());
        assert_eq!(sandbox.logs.len(), 2);
        assert!(sandbox.logs[1].message.len() <= LOG_BYTES);
    }
}
