//! What every gate's output has in common: reasons and selectors, within the contract's limits.

use kernex_model::policy::{self as model, Fault};

use super::types;

/// Length of a code or a name, in bytes.
pub(super) const NAME_BYTES: usize = 64;
/// Length of a sentence for people, in bytes.
pub(super) const MESSAGE_BYTES: usize = 1_024;
/// Length of a label key or fact name, in bytes.
pub(super) const KEY_BYTES: usize = 128;
/// Length of a value in a requirement, in bytes.
const VALUE_BYTES: usize = 256;
/// Requirements of a selector.
const REQUIREMENTS: usize = 32;
/// Values of a requirement.
const VALUES: usize = 64;

/// An answer outside of the contract.
pub(super) fn bad<T>(what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::BadOutput(what.into()))
}

/// A text within its limit.
pub(super) fn bounded(what: &str, text: String, limit: usize) -> Result<String, Fault> {
    if text.len() > limit {
        return bad(format!("{what} of {} bytes; {limit} are allowed", text.len()));
    }
    Ok(text)
}

/// A name or code: lower case letters, digits and hyphens.
pub(super) fn word(what: &str, text: String) -> Result<String, Fault> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || !text.bytes().all(plain) {
        return bad(format!("{what} that is not made of lower case letters, digits and hyphens"));
    }
    bounded(what, text, NAME_BYTES)
}

pub(super) fn reason(reason: types::Reason) -> Result<model::Reason, Fault> {
    Ok(model::Reason {
        code: word("a reason's code", reason.code)?,
        message: bounded("a reason's message", reason.message, MESSAGE_BYTES)?,
    })
}

pub(super) fn selector(selector: Vec<types::Requirement>) -> Result<model::PolicySelector, Fault> {
    if selector.len() > REQUIREMENTS {
        return bad(format!("a selector of {} requirements; {REQUIREMENTS} are allowed", selector.len()));
    }
    selector.into_iter().map(requirement).collect()
}

fn requirement(requirement: types::Requirement) -> Result<model::Requirement, Fault> {
    let types::Requirement { key, operator, values } = requirement;
    let operator = match operator {
        types::Operator::Equals => model::Operator::Equals,
        types::Operator::Differs => model::Operator::Differs,
        types::Operator::OneOf => model::Operator::OneOf,
        types::Operator::NoneOf => model::Operator::NoneOf,
        types::Operator::Exists => model::Operator::Exists,
        types::Operator::Absent => model::Operator::Absent,
    };
    let wanted = match operator {
        model::Operator::Equals | model::Operator::Differs => 1..=1,
        model::Operator::OneOf | model::Operator::NoneOf => 1..=VALUES,
        model::Operator::Exists | model::Operator::Absent => 0..=0,
    };
    if !wanted.contains(&values.len()) {
        return bad(format!("a requirement `{operator:?}` with {} values", values.len()));
    }
    if key.is_empty() {
        return bad("a requirement without a key");
    }
    let value = |value| bounded("a requirement's value", value, VALUE_BYTES);
    Ok(model::Requirement {
        key: bounded("a requirement's key", key, KEY_BYTES)?,
        operator,
        values: values.into_iter().map(value).collect::<Result<_, _>>()?,
    })
}
