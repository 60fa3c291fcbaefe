//! Selectors applied to facts, and put together.

use std::collections::BTreeSet;

use kernex_sdk::selector::{MAX_REQUIREMENTS, MAX_VALUES};
use kernex_sdk::{Fact, Facts, Operator, Requirement, Value};

/// Whether all requirements hold for the facts.
pub(crate) fn hold(selector: &[Requirement], facts: &[Fact]) -> bool {
    selector.iter().all(|requirement| {
        let value = facts.value(&requirement.key);
        let listed = value.is_some_and(|value| requirement.values.iter().any(|text| is(value, text)));
        match requirement.operator {
            Operator::Equals | Operator::OneOf => listed,
            Operator::Differs | Operator::NoneOf => !listed,
            Operator::Exists => value.is_some(),
            Operator::Absent => value.is_none(),
        }
    })
}

fn is(value: &Value, text: &str) -> bool {
    match value {
        Value::Text(own) => own == text,
        Value::Integer(number) => text.parse() == Ok(*number),
        Value::Real(number) => text.parse() == Ok(*number),
        Value::Boolean(truth) => text.parse() == Ok(*truth),
        Value::Texts(own) => own.iter().any(|own| own == text),
    }
}

/// What at least one of two selectors matches, as one selector. A conjunction can say that only
/// where they differ in the values of one key; otherwise it is the first: a list then shows less
/// than the roles allow, never more.
pub(crate) fn either(first: Vec<Requirement>, second: &[Requirement]) -> Vec<Requirement> {
    if first.len() != second.len() || first.len() > MAX_REQUIREMENTS {
        return first;
    }
    let mut different = (0..first.len()).filter(|index| first[*index] != second[*index]);
    let (Some(index), None) = (different.next(), different.next()) else { return first };
    let (mine, other) = (&first[index], &second[index]);
    let lists = |requirement: &Requirement| match requirement.operator {
        Operator::Equals | Operator::OneOf => true,
        Operator::Differs | Operator::NoneOf | Operator::Exists | Operator::Absent => false,
    };
    let values: BTreeSet<&String> = mine.values.iter().chain(&other.values).collect();
    if mine.key != other.key || !lists(mine) || !lists(other) || values.len() > MAX_VALUES {
        return first;
    }
    let values = values.into_iter().cloned().collect();
    let union = Requirement { key: mine.key.clone(), operator: Operator::OneOf, values };
    let mut merged = first;
    merged[index] = union;
    merged
}
