//! Facts that were not sent along with the question.

use crate::Value;

/// The fact of this name, when there is one. What is read is recorded by the host, so that the
/// decision can be replayed.
///
/// ```
/// use kernex_sdk::{Fact, Value, facts, testing};
///
/// // What a server would know, a native test says.
/// testing::set_facts([Fact::text("season", "winter")]);
/// assert_eq!(facts::get("season"), Some(Value::Text("winter".to_owned())));
/// assert_eq!(facts::get("moon"), None);
/// ```
#[must_use]
pub fn get(name: &str) -> Option<Value> {
    #[cfg(target_arch = "wasm32")]
    let value = crate::bindings::lifecycle::kernex::policy::facts::get(name);
    #[cfg(not(target_arch = "wasm32"))]
    let value = crate::testing::fact(name);
    value
}

#[cfg(test)]
mod tests {
    use crate::{Fact, Value, testing};

    #[test]
    fn a_native_test_says_what_facts_there_are() {
        testing::set_facts([]);
        assert_eq!(super::get("season"), None);
        testing::set_facts([Fact::text("season", "winter")]);
        assert_eq!(super::get("season"), Some(Value::Text("winter".into())));
    }
}
