//! Making and reading the words that every gate uses.

use crate::{Diagnostic, Fact, Reason, Value};

impl Reason {
    /// A reason from a stable code and a sentence.
    ///
    /// ```
    /// use kernex_sdk::Reason;
    ///
    /// let reason = Reason::new("battery-low", format!("{} % are left", 12));
    /// assert_eq!((reason.code.as_str(), reason.message.as_str()), ("battery-low", "12 % are left"));
    /// ```
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

impl Diagnostic {
    /// A diagnostic from a JSON pointer and a sentence.
    ///
    /// ```
    /// use kernex_sdk::Diagnostic;
    ///
    /// let diagnostic = Diagnostic::new(format!("/sites/{}", 1), "each site has a name of its own");
    /// assert_eq!(diagnostic.pointer, "/sites/1");
    /// ```
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }
}

impl Fact {
    /// A fact whose value is a text.
    ///
    /// ```
    /// use kernex_sdk::{Fact, Value};
    ///
    /// assert_eq!(Fact::text("site", "lab").value, Value::Text("lab".to_owned()));
    /// ```
    pub fn text(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: Value::Text(value.into()) }
    }

    /// A fact whose value is a list of texts.
    ///
    /// ```
    /// use kernex_sdk::{Fact, Facts};
    ///
    /// assert_eq!([Fact::texts("teams", ["field", "lab"])].texts("teams").map(<[String]>::len), Some(2));
    /// ```
    pub fn texts<T: Into<String>>(name: impl Into<String>, values: impl IntoIterator<Item = T>) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        Self { name: name.into(), value: Value::Texts(values) }
    }

    /// A fact whose value is a whole number.
    ///
    /// ```
    /// use kernex_sdk::{Fact, Value};
    ///
    /// assert_eq!(Fact::integer("now_ms", 1_000).value, Value::Integer(1_000));
    /// ```
    pub fn integer(name: impl Into<String>, value: i64) -> Self {
        Self { name: name.into(), value: Value::Integer(value) }
    }

    /// A fact whose value is true or false.
    ///
    /// ```
    /// use kernex_sdk::{Fact, Value};
    ///
    /// assert_eq!(Fact::boolean("fact.docked", true).value, Value::Boolean(true));
    /// ```
    pub fn boolean(name: impl Into<String>, value: bool) -> Self {
        Self { name: name.into(), value: Value::Boolean(value) }
    }
}

/// Reading a list of facts by name and type. A fact of another type counts as absent.
///
/// ```
/// use kernex_sdk::{Fact, Facts};
///
/// let context = [Fact::text("address", "10.0.0.1"), Fact::integer("now_ms", 1_000)];
/// assert_eq!(context.text("address"), Some("10.0.0.1"));
/// assert_eq!(context.integer("now_ms"), Some(1_000));
/// assert_eq!(context.text("now_ms"), None, "it is no text");
/// ```
pub trait Facts {
    /// The value of a fact.
    fn value(&self, name: &str) -> Option<&Value>;

    /// The value of a fact that is a text.
    fn text(&self, name: &str) -> Option<&str> {
        match self.value(name)? {
            Value::Text(text) => Some(text),
            Value::Integer(_) | Value::Real(_) | Value::Boolean(_) | Value::Texts(_) => None,
        }
    }

    /// The value of a fact that is a list of texts.
    fn texts(&self, name: &str) -> Option<&[String]> {
        match self.value(name)? {
            Value::Texts(texts) => Some(texts),
            Value::Text(_) | Value::Integer(_) | Value::Real(_) | Value::Boolean(_) => None,
        }
    }

    /// The value of a fact that is a whole number.
    fn integer(&self, name: &str) -> Option<i64> {
        match self.value(name)? {
            Value::Integer(number) => Some(*number),
            Value::Text(_) | Value::Real(_) | Value::Boolean(_) | Value::Texts(_) => None,
        }
    }

    /// The value of a fact that is true or false.
    fn boolean(&self, name: &str) -> Option<bool> {
        match self.value(name)? {
            Value::Boolean(truth) => Some(*truth),
            Value::Text(_) | Value::Integer(_) | Value::Real(_) | Value::Texts(_) => None,
        }
    }
}

impl Facts for [Fact] {
    fn value(&self, name: &str) -> Option<&Value> {
        self.iter().find(|fact| fact.name == name).map(|fact| &fact.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_by_name_and_type() {
        let facts = [Fact::text("a", "x"), Fact::integer("b", 3), Fact::texts("c", ["y", "z"])];
        assert_eq!(facts.text("a"), Some("x"));
        assert_eq!(facts.text("b"), None);
        assert_eq!(facts.integer("b"), Some(3));
        assert_eq!(facts.texts("c").map(<[String]>::len), Some(2));
        assert_eq!(facts.boolean("d"), None);
    }
}
