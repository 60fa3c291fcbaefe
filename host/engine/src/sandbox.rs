//! What belongs to one instance: its memory limit, the facts it may read, and its log.

use kernex_model::policy::{Fact, Log};
use wasmtime::ResourceLimiter;

use crate::facts::FactSource;
use crate::limits::{CORE_INSTANCES, MEMORIES, TABLE_ELEMENTS, TABLES};

/// The data of a store.
#[derive(Debug)]
pub(crate) struct Sandbox {
    memory_bytes: usize,
    /// A guest that is refused memory traps like any other; this tells the two apart.
    pub(crate) memory_refused: bool,
    facts: Vec<Fact>,
    source: Option<FactSource>,
    pub(crate) facts_read: Vec<Fact>,
    pub(crate) log: Log,
}

impl Sandbox {
    pub(crate) fn new(memory_bytes: usize) -> Self {
        Self {
            memory_bytes,
            memory_refused: false,
            facts: Vec::new(),
            source: None,
            facts_read: Vec::new(),
            log: Log::default(),
        }
    }

    /// Makes ready for a call: nothing of the last one is left on this side, and there are these facts, and those of
    /// the source.
    pub(crate) fn begin(&mut self, facts: &[Fact], source: Option<&FactSource>) {
        *self = Self { facts: facts.to_vec(), source: source.cloned(), ..Self::new(self.memory_bytes) };
    }

    /// Looks a fact up and remembers that it was read. What was read once is what it was, whatever the source would say
    /// now.
    pub(crate) fn read_fact(&mut self, name: &str) -> Option<&Fact> {
        if let Some(place) = self.facts_read.iter().position(|read| read.name == name) {
            return self.facts_read.get(place);
        }
        let fact = match self.facts.iter().find(|fact| fact.name == name) {
            Some(fact) => fact.clone(),
            None => Fact { name: name.to_owned(), value: self.source.as_ref()?.find(name)? },
        };
        self.facts_read.push(fact);
        self.facts_read.last()
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
    use std::sync::atomic::{AtomicI64, Ordering};

    use kernex_model::policy::{LogLevel, Value};

    use super::*;

    #[test]
    fn a_fact_is_recorded_once() {
        let facts = [Fact::text("a", "x"), Fact::text("b", "y")];
        let mut sandbox = Sandbox::new(0);
        sandbox.begin(&facts, None);
        assert_eq!(sandbox.read_fact("b"), Some(&facts[1]));
        assert_eq!(sandbox.read_fact("b"), Some(&facts[1]));
        assert_eq!(sandbox.read_fact("c"), None);
        assert_eq!(sandbox.facts_read, [facts[1].clone()]);
    }

    #[test]
    fn what_the_source_has_is_the_same_within_one_call() {
        let asked = AtomicI64::new(0);
        let source = FactSource::new(move |name| match name {
            "count" => Some(Value::Integer(asked.fetch_add(1, Ordering::Relaxed))),
            "sent" => Some(Value::Boolean(true)),
            _ => None,
        });
        let sent = [Fact::text("sent", "along")];
        let mut sandbox = Sandbox::new(0);
        for call in 0..3 {
            sandbox.begin(&sent, Some(&source));
            let count = Fact::integer("count", call);
            assert_eq!(sandbox.read_fact("count"), Some(&count));
            assert_eq!(sandbox.read_fact("sent"), Some(&sent[0]), "what was sent along comes first");
            assert_eq!(sandbox.read_fact("other"), None);
            assert_eq!(sandbox.read_fact("count"), Some(&count), "though the source would count on");
            assert_eq!(sandbox.facts_read, [count, sent[0].clone()]);
        }
    }

    #[test]
    fn another_call_finds_nothing_of_the_last_one() {
        let facts = [Fact::text("a", "x")];
        let mut sandbox = Sandbox::new(0);
        sandbox.begin(&facts, Some(&FactSource::new(|name| (name == "b").then_some(Value::Boolean(true)))));
        sandbox.read_fact("a");
        sandbox.log.write(LogLevel::Info, "of the first call".to_owned());
        sandbox.begin(&[], None);
        assert_eq!((sandbox.read_fact("a").cloned(), sandbox.read_fact("b").cloned()), (None, None));
        assert_eq!((sandbox.facts_read, sandbox.log), (Vec::new(), Log::default()));
    }
}
