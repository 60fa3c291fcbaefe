//! Facts that were not sent along with the question.

use crate::Value;

/// The fact of this name, when there is one. What is read is recorded by the host, so that the
/// decision can be replayed.
#[must_use]
pub fn get(name: &str) -> Option<Value> {
    #[cfg(target_arch = "wasm32")]
    let value = crate::bindings::lifecycle::kernex::policy::facts::get(name);
    #[cfg(not(target_arch = "wasm32"))]
    let value = testing::get(name);
    value
}

/// In native tests: what facts there are. Each test thread has its own.
#[cfg(not(target_arch = "wasm32"))]
pub mod testing {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use crate::{Fact, Value};

    thread_local! {
        static TABLE: RefCell<BTreeMap<String, Value>> = const { RefCell::new(BTreeMap::new()) };
    }

    /// From now on, in this thread, there are these facts and no others.
    pub fn set(facts: impl IntoIterator<Item = Fact>) {
        let table = facts.into_iter().map(|fact| (fact.name, fact.value)).collect();
        TABLE.with_borrow_mut(|current| *current = table);
    }

    pub(super) fn get(name: &str) -> Option<Value> {
        TABLE.with_borrow(|table| table.get(name).cloned())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Fact, Value};

    #[test]
    fn a_native_test_says_what_facts_there_are() {
        assert_eq!(super::get("season"), None);
        super::testing::set([Fact::text("season", "winter")]);
        assert_eq!(super::get("season"), Some(Value::Text("winter".into())));
    }
}
