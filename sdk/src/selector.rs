//! Selectors as people write them: `site=lab,model in (a1,a2),!retired`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::{Operator, Requirement};

/// How many requirements a selector may have.
pub const MAX_REQUIREMENTS: usize = 32;
/// How many values a requirement may have.
pub const MAX_VALUES: usize = 64;

/// A selector in settings: a text with requirements joined by commas, all of which must hold.
///
/// `key=value` (or `==`), `key!=value`, `key in (a,b)`, `key notin (a,b)`, `key` (exists), `!key`
/// (is absent). An empty text holds for everything.
///
/// ```
/// use kernex_sdk::selector::SelectorText;
///
/// let selector: SelectorText = serde_json::from_str(r#""site=lab,!retired""#).expect("a selector");
/// assert_eq!((selector.0.len(), selector.0[1].key.as_str()), (2, "retired"));
/// assert!(serde_json::from_str::<SelectorText>(r#""site=""#).is_err());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SelectorText(pub Vec<Requirement>);

impl<'de> Deserialize<'de> for SelectorText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(SelectorVisitor)
    }
}

/// A visitor rather than `try_from`, so that an error is noticed while the text is at hand and the
/// diagnostic points at it.
struct SelectorVisitor;

impl Visitor<'_> for SelectorVisitor {
    type Value = SelectorText;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a selector such as `site=lab,model in (a1,a2)`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SelectorText, E> {
        parse(text).map(SelectorText).map_err(E::custom)
    }
}

impl JsonSchema for SelectorText {
    fn schema_name() -> Cow<'static, str> {
        "Selector".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "requirements joined by commas: key=value, key!=value, \
                key in (a,b), key notin (a,b), key, !key",
        })
    }
}

/// Parses a selector.
///
/// # Errors
///
/// A sentence that names the requirement which is not understood.
///
/// ```
/// use kernex_sdk::{Operator, selector};
///
/// let requirements = selector::parse("model in (a1,a2)").expect("a selector");
/// assert_eq!((requirements[0].operator, requirements[0].values.len()), (Operator::OneOf, 2));
/// assert!(selector::parse("model of (a1,a2)").is_err());
/// ```
pub fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut requirements = Vec::new();
    for part in split(text)? {
        requirements.push(requirement(part.trim())?);
    }
    if requirements.len() > MAX_REQUIREMENTS {
        return Err(format!("a selector has at most {MAX_REQUIREMENTS} requirements"));
    }
    Ok(requirements)
}

/// The parts between commas that are not within parentheses.
fn split(text: &str) -> Result<Vec<&str>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let (mut parts, mut start, mut inside) = (Vec::new(), 0, false);
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            b'(' if !inside => inside = true,
            b')' if inside => inside = false,
            b'(' | b')' => return Err(format!("`{text}` has a parenthesis too many")),
            b',' if !inside => {
                parts.push(&text[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err(format!("`{text}` lacks a closing parenthesis"));
    }
    parts.push(&text[start..]);
    Ok(parts)
}

fn requirement(part: &str) -> Result<Requirement, String> {
    if let Some((key, list)) = part.split_once('(') {
        return membership(part, key.trim(), list);
    }
    if let Some((key, value)) = part.split_once("!=") {
        return comparison(part, key, Operator::Differs, value);
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return comparison(part, key, Operator::Equals, value);
    }
    let (operator, name) = match part.strip_prefix('!') {
        Some(name) => (Operator::Absent, name.trim()),
        None => (Operator::Exists, part),
    };
    Ok(Requirement { key: key(part, name)?, operator, values: Vec::new() })
}

/// `key in (a,b)` and `key notin (a,b)`, with the part after the opening parenthesis in `list`.
fn membership(part: &str, head: &str, list: &str) -> Result<Requirement, String> {
    let unknown = || format!("`{part}` is no requirement");
    let (name, word) = head.rsplit_once(char::is_whitespace).ok_or_else(unknown)?;
    let operator = match word {
        "in" => Operator::OneOf,
        "notin" => Operator::NoneOf,
        _ => return Err(unknown()),
    };
    let list = list.strip_suffix(')').ok_or_else(unknown)?;
    let values = list.split(',').map(|value| self::value(part, value)).collect::<Result<Vec<_>, _>>()?;
    if values.len() > MAX_VALUES {
        return Err(format!("a requirement has at most {MAX_VALUES} values"));
    }
    Ok(Requirement { key: key(part, name.trim())?, operator, values })
}

fn comparison(part: &str, name: &str, operator: Operator, text: &str) -> Result<Requirement, String> {
    Ok(Requirement { key: key(part, name.trim())?, operator, values: vec![value(part, text)?] })
}

fn key(part: &str, name: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(format!("`{part}` has no valid key: letters, digits, `.`, `_`, `-` and `/` are"));
    }
    Ok(name.to_owned())
}

fn value(part: &str, text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.contains(['=', '!', '(', ')']) {
        return Err(format!("`{part}` has no valid value"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn required(key: &str, operator: Operator, values: &[&str]) -> Requirement {
        let values = values.iter().map(ToString::to_string).collect();
        Requirement { key: key.into(), operator, values }
    }

    #[test]
    fn every_form_is_understood() {
        let text = "site=lab, ring == 1,model in (a1, a2),region notin (eu),os!=x,owner,!retired";
        assert_eq!(
            parse(text).unwrap(),
            [
                required("site", Operator::Equals, &["lab"]),
                required("ring", Operator::Equals, &["1"]),
                required("model", Operator::OneOf, &["a1", "a2"]),
                required("region", Operator::NoneOf, &["eu"]),
                required("os", Operator::Differs, &["x"]),
                required("owner", Operator::Exists, &[]),
                required("retired", Operator::Absent, &[]),
            ]
        );
        assert_eq!(parse("  ").unwrap(), []);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for text in ["a in b)", "a in (b", "=x", "a=", "a,,b", "a of (b)", "a=(b)", "a b", "(a)"] {
            assert!(parse(text).is_err(), "{text}");
        }
        let many = vec!["a"; MAX_REQUIREMENTS + 1].join(",");
        assert!(parse(&many).is_err());
    }
}
