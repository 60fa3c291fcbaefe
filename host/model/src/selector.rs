//! Owns selectors: parsing them as Kubernetes writes label selectors, writing them back, and matching.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::attribute::plain;
use crate::policy::{Operator, PolicySelector, Requirement};

/// Requirements in one selector.
pub const MAX_REQUIREMENTS: usize = 32;
/// Values in one requirement.
pub const MAX_VALUES: usize = 256;
/// Bytes of a selector's text.
pub const MAX_SELECTOR_BYTES: usize = 4_096;

/// A conjunction of requirements over labels, facts (`fact.os`) and what the host knows (`model`,
/// `bundle.name`, `bundle.version`): `channel=stable,site in (berlin,paris),!legacy`. `*` is every device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(PolicySelector);

/// What a selector is matched against.
pub trait Attributes {
    /// The texts under `key`; `None` where there is no such attribute.
    fn texts(&self, key: &str) -> Option<Vec<Cow<'_, str>>>;
}

/// Why a text is not a selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSelector {
    /// Nothing was selected on purpose: every device is `*`.
    #[error("a selector must not be empty; write * for every device")]
    Empty,
    /// A requirement could not be read.
    #[error(
        "cannot read the requirement `{0}`; write key=value, key!=value, key in (a,b), key notin (a,b), key or !key"
    )]
    Requirement(String),
    /// Longer than a selector may be.
    #[error(
        "a selector has at most {MAX_SELECTOR_BYTES} bytes, {MAX_REQUIREMENTS} requirements and {MAX_VALUES} values in each"
    )]
    TooLong,
}

impl Selector {
    /// Every device.
    #[must_use]
    pub fn everything() -> Self {
        Self(Vec::new())
    }

    /// The requirements, all of which hold for what is selected.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }

    /// Both this selector and `other`.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for requirement in &other.0 {
            if !self.0.contains(requirement) {
                self.0.push(requirement.clone());
            }
        }
        self
    }

    /// A policy's selector, held to the same limits as a written one.
    ///
    /// # Errors
    /// Where a key or value could not be written, or the number of values does not fit the operator.
    pub fn from_policy(requirements: PolicySelector) -> Result<Self, InvalidSelector> {
        if requirements.len() > MAX_REQUIREMENTS {
            return Err(InvalidSelector::TooLong);
        }
        for requirement in &requirements {
            let count = requirement.values.len();
            let fits = match requirement.operator {
                Operator::Equals | Operator::Differs => count == 1,
                Operator::OneOf | Operator::NoneOf => (1..=MAX_VALUES).contains(&count),
                Operator::Exists | Operator::Absent => count == 0,
            };
            if !fits || !is_key(&requirement.key) || !requirement.values.iter().all(|v| is_value(v)) {
                return Err(InvalidSelector::Requirement(requirement.key.chars().take(64).collect()));
            }
        }
        Ok(Self(requirements))
    }

    /// The same in one way of writing it: neither the order matters, nor how often or how something is said.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut parts: Vec<String> = self.0.iter().cloned().map(one_way).collect();
        parts.sort_unstable();
        parts.dedup();
        if parts.is_empty() { Self::everything().to_string() } else { parts.join(",") }
    }

    /// Whether all requirements hold. As in Kubernetes, `!=` and `notin` also hold where the key is absent.
    #[must_use]
    pub fn matches(&self, attributes: &impl Attributes) -> bool {
        self.0.iter().all(|requirement| {
            let found = attributes.texts(&requirement.key);
            let any =
                |texts: &[Cow<'_, str>]| texts.iter().any(|text| requirement.values.iter().any(|value| value == text));
            match requirement.operator {
                Operator::Equals | Operator::OneOf => found.is_some_and(|texts| any(&texts)),
                Operator::Differs | Operator::NoneOf => found.is_none_or(|texts| !any(&texts)),
                Operator::Exists => found.is_some(),
                Operator::Absent => found.is_none(),
            }
        })
    }
}

fn one_way(mut requirement: Requirement) -> String {
    requirement.values.sort_unstable();
    requirement.values.dedup();
    requirement.operator = match (requirement.operator, requirement.values.len()) {
        (Operator::OneOf, 1) => Operator::Equals,
        (Operator::NoneOf, 1) => Operator::Differs,
        (operator, _) => operator,
    };
    Selector(vec![requirement]).to_string()
}

fn is_key(text: &str) -> bool {
    let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/');
    text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) && text.len() <= 80 && text.bytes().all(ok)
}

fn is_value(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && plain(text)
}

impl FromStr for Selector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.len() > MAX_SELECTOR_BYTES {
            return Err(InvalidSelector::TooLong);
        }
        match text {
            "" => return Err(InvalidSelector::Empty),
            "*" => return Ok(Self::everything()),
            _ => {}
        }
        let parts = split_requirements(text);
        if parts.len() > MAX_REQUIREMENTS {
            return Err(InvalidSelector::TooLong);
        }
        parts
            .into_iter()
            .map(|part| {
                requirement(part.trim())
                    .ok_or_else(|| InvalidSelector::Requirement(part.trim().chars().take(128).collect()))
            })
            .collect::<Result<Vec<_>, _>>()
            .and_then(Self::from_policy)
    }
}

/// Splits at the commas that stand outside parentheses.
fn split_requirements(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth <= 0
    })
    .collect()
}

fn requirement(text: &str) -> Option<Requirement> {
    let make =
        |key: &str, operator, values: Vec<String>| Some(Requirement { key: key.trim().to_owned(), operator, values });
    if let Some(list) = text.strip_suffix(')') {
        let (head, values) = list.split_once('(')?;
        let (key, word) = head.trim().rsplit_once(char::is_whitespace)?;
        let operator = match word {
            "in" => Operator::OneOf,
            "notin" => Operator::NoneOf,
            _ => return None,
        };
        return make(key, operator, values.split(',').map(|v| v.trim().to_owned()).collect());
    }
    if let Some(key) = text.strip_prefix('!') {
        return make(key, Operator::Absent, Vec::new());
    }
    if let Some((key, value)) = text.split_once("!=") {
        return make(key, Operator::Differs, vec![value.trim().to_owned()]);
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return make(key, Operator::Equals, vec![value.trim().to_owned()]);
    }
    make(text, Operator::Exists, Vec::new())
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("*");
        }
        for (index, Requirement { key, operator, values }) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match operator {
                Operator::Equals => write!(f, "{key}={}", values.join(","))?,
                Operator::Differs => write!(f, "{key}!={}", values.join(","))?,
                Operator::OneOf => write!(f, "{key} in ({})", values.join(","))?,
                Operator::NoneOf => write!(f, "{key} notin ({})", values.join(","))?,
                Operator::Exists => f.write_str(key)?,
                Operator::Absent => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

text_codec!(Selector {
    pattern: r"^.*\S.*$",
    max_length: MAX_SELECTOR_BYTES,
    example: "channel=stable,site in (berlin,paris),!legacy"
});

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    struct Map(BTreeMap<&'static str, Vec<&'static str>>);

    impl Attributes for Map {
        fn texts(&self, key: &str) -> Option<Vec<Cow<'_, str>>> {
            self.0.get(key).map(|texts| texts.iter().map(|text| Cow::Borrowed(*text)).collect())
        }
    }

    fn device() -> Map {
        Map(BTreeMap::from([("channel", vec!["stable"]), ("site", vec!["paris"]), ("fact.nets", vec!["lte", "wifi"])]))
    }

    #[test]
    fn matches_as_kubernetes_does() {
        for (text, expected) in [
            ("*", true),
            ("channel=stable", true),
            ("channel==stable", true),
            ("channel=beta", false),
            ("channel!=beta", true),
            ("tier!=lab", true),
            ("site in (berlin, paris)", true),
            ("site in (berlin)", false),
            ("site notin (berlin)", true),
            ("tier notin (lab)", true),
            ("channel", true),
            ("gpu", false),
            ("!gpu", true),
            ("!channel", false),
            ("fact.nets=wifi", true),
            ("fact.nets notin (wifi)", false),
            ("channel=stable,site in (berlin,paris),!legacy", true),
            ("channel=stable,gpu", false),
        ] {
            let selector: Selector = text.parse().expect(text);
            assert_eq!(selector.matches(&device()), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for text in ["", "  ", ",", "a=", "=b", "a in b", "a in ()", "a between (1,2)", "a=b=c", "a b", "a in (b", "!"]
        {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
        assert_eq!("".parse::<Selector>(), Err(InvalidSelector::Empty));
        assert_eq!("a=b,".repeat(2_000).parse::<Selector>(), Err(InvalidSelector::TooLong));
    }

    #[test]
    fn what_says_the_same_is_written_in_one_way() {
        let canonical = |text: &str| text.parse::<Selector>().expect(text).canonical();
        for same in ["!old,site in (berlin,paris)", "site in (paris,berlin,paris),!old,!old"] {
            assert_eq!(canonical(same), canonical("site in (berlin,paris),!old"), "{same}");
        }
        assert_eq!((canonical("site in (a)").as_str(), canonical("site notin (a)").as_str()), ("site=a", "site!=a"));
        assert_eq!(canonical("*"), "*");
        assert_ne!(canonical("site=a"), canonical("site=b"));
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(text in "[a-c]{1,3}(=[x-z]{1,3}| in \\([x-z]{1,2},[x-z]{1,2}\\)|!=[x-z])?(,![d-f]{1,3})?") {
            let selector: Selector = text.parse().expect("generated to fit");
            proptest::prop_assert_eq!(selector.to_string().parse::<Selector>(), Ok(selector));
        }

        #[test]
        fn no_text_panics(text in ".{0,64}") {
            let _ = text.parse::<Selector>();
        }
    }
}
