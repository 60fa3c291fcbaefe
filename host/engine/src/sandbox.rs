//! What belongs to one instance: its memory limit, the facts it may read, and its log.

use kernex_model::policy::{Fact, Log};
use wasmtime::ResourceLimiter;

use crate::limits::{CORE_INSTANCES, MEMORIES, TABLE_ELEMENTS, TABLES};

/// The data of a store.
#[derive(Debug)]
pub(crate) struct Sandbox {
    memory_bytes: usize,
    /// A guest that is refused memory traps like any other; this tells the two apart.
    pub(crate) memory_refused: bool,
    facts: Vec<Fact>,
    pub(crate) facts_read: Vec<Fact>,
    pub(crate) log: Log,
}

impl Sandbox {
    pub(crate) fn new(memory_bytes: usize, facts: &[Fact]) -> Self {
        Self { memory_bytes, memory_refused: false, facts: facts.to_vec(), facts_read: Vec::new(), log: Log::default() }
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
    use kernex_model::policy::LogLevel;

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
    fn another_call_finds_nothing_of_the_last_one() {
        let facts = [Fact::text("a", "x")];
        let mut sandbox = Sandbox::new(0, &facts);
        sandbox.read_fact("a");
        sandbox.log.write(LogLevel::Info, "of the first call".to_owned());
        sandbox.begin(&[]);
        assert_eq!(sandbox.read_fact("a"), None);
        assert_eq!((sandbox.facts_read, sandbox.log), (Vec::new(), Log::default()));
    }
}
