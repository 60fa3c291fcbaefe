//! In native tests: what facts there are to look up. Each test thread has its own.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::{Fact, Value};

thread_local! {
    static TABLE: RefCell<BTreeMap<String, Value>> = const { RefCell::new(BTreeMap::new()) };
}

/// From now on, in this thread, [`facts::get`](crate::facts::get) finds these facts and no others.
///
/// ```
/// use kernex_sdk::{Fact, Value, facts, testing};
///
/// testing::set_facts([Fact::boolean("holiday", true)]);
/// assert_eq!(facts::get("holiday"), Some(Value::Boolean(true)));
/// testing::set_facts([]);
/// assert_eq!(facts::get("holiday"), None);
/// ```
pub fn set_facts(facts: impl IntoIterator<Item = Fact>) {
    let table = facts.into_iter().map(|fact| (fact.name, fact.value)).collect();
    TABLE.with_borrow_mut(|current| *current = table);
}

pub(crate) fn fact(name: &str) -> Option<Value> {
    TABLE.with_borrow(|table| table.get(name).cloned())
}
