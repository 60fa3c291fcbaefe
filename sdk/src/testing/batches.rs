//! In native tests: batches from facts, and the classes that a plugin gives.

use crate::targeting::{Batch, Class, Column, ColumnType, Deployment, Layout, Rows};
use crate::{Fact, Facts, Targeting, Value};

/// A batch as the host would build it: one device per pair of hash and facts. Facts have the names that columns ask
/// for, such as `site` or `fact.battery`. As in the host, a column of texts takes every value and one of reals takes
/// whole numbers, too; only facts, whose names begin with `fact.`, have other types than text.
///
/// ```
/// use kernex_sdk::targeting::{Layout, Rows, integers, texts};
/// use kernex_sdk::{Fact, testing};
///
/// let columns = vec![texts("site"), integers("fact.battery")];
/// let layout = Layout { columns, waves: vec!["all".to_owned()], exclusions: Vec::new() };
/// let batch = testing::batch(&layout, &[(7, &[Fact::text("site", "lab"), Fact::integer("fact.battery", 80)])]);
/// let row = Rows::new(&layout, &batch).next().expect("one device");
/// assert_eq!((row.text("site"), row.integer("fact.battery")), (Some("lab"), Some(80)));
/// ```
#[must_use]
pub fn batch(layout: &Layout, devices: &[(u64, &[Fact])]) -> Batch {
    let mut dictionary: Vec<String> = Vec::new();
    let columns = layout.columns.iter().map(|request| {
        let values = devices.iter().map(|(_, facts)| facts.value(&request.fact));
        let typed = values.clone().map(|value| value.filter(|_| request.fact.starts_with("fact.")));
        match request.type_ {
            ColumnType::Texts => Column::Texts(values.map(|value| text_cell(value, &mut dictionary)).collect()),
            ColumnType::Integers => Column::Integers(typed.map(integer_cell).collect()),
            ColumnType::Reals => Column::Reals(typed.map(real_cell).collect()),
            ColumnType::Booleans => Column::Booleans(typed.map(boolean_cell).collect()),
        }
    });
    let columns = columns.collect();
    let device_hashes = devices.iter().map(|(hash, _)| *hash).collect();
    Batch { device_hashes, dictionary, columns }
}

/// The class of each device of a batch.
///
/// ```
/// use kernex_sdk::targeting::{Class, Deployment, Layout, Row};
/// use kernex_sdk::{Diagnostic, Plugin, Reason, Selector, Targeting, testing};
///
/// // Every other device, so to speak.
/// struct Even;
///
/// impl Targeting for Even {
///     # type Job = ();
///     #
///     # fn layout(&self) -> Layout {
///     #     let exclusions = vec![Reason::new("odd", "the device's hash is odd")];
///     #     Layout { columns: Vec::new(), waves: vec!["all".to_owned()], exclusions }
///     # }
///     #
///     # fn candidates(&self, _: &Deployment) -> Result<Selector, Reason> {
///     #     Ok(Vec::new())
///     # }
///     #
///     # fn begin(&self, _: &Deployment) {}
///     #
///     // … and what else a targeting plugin has.
///     fn classify(&self, _: &mut (), row: &Row<'_>) -> Class {
///         if row.device_hash() % 2 == 0 { Class::Wave(0) } else { Class::Excluded(0) }
///     }
/// }
/// #
/// # impl Plugin for Even {
/// #     const NAME: &'static str = "even";
/// #     const SUMMARY: &'static str = "Every other device";
/// #     type Settings = ();
/// #
/// #     fn configure(_: ()) -> Result<Self, Vec<Diagnostic>> {
/// #         Ok(Self)
/// #     }
/// # }
///
/// let batch = testing::batch(&Even.layout(), &[(7, &[]), (8, &[])]);
/// let classes = testing::classes(&Even, &testing::deployment(&[]), &batch);
/// assert_eq!(classes, [Class::Excluded(0), Class::Wave(0)]);
/// ```
pub fn classes<T: Targeting>(plugin: &T, deployment: &Deployment, batch: &Batch) -> Vec<Class> {
    let layout = plugin.layout();
    let mut job = plugin.begin(deployment);
    Rows::new(&layout, batch).map(|row| plugin.classify(&mut job, &row)).collect()
}

fn text_cell(value: Option<&Value>, dictionary: &mut Vec<String>) -> u32 {
    let text = match value {
        None => return u32::MAX,
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Integer(number)) => number.to_string(),
        Some(Value::Real(number)) => number.to_string(),
        Some(Value::Boolean(truth)) => truth.to_string(),
        Some(Value::Texts(texts)) => texts.join(","),
    };
    let index = dictionary.iter().position(|known| *known == text).unwrap_or_else(|| {
        dictionary.push(text);
        dictionary.len() - 1
    });
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn integer_cell(value: Option<&Value>) -> i64 {
    match value {
        Some(Value::Integer(number)) => *number,
        Some(Value::Text(_) | Value::Real(_) | Value::Boolean(_) | Value::Texts(_)) | None => i64::MIN,
    }
}

fn real_cell(value: Option<&Value>) -> f64 {
    match value {
        Some(Value::Real(number)) => *number,
        Some(Value::Integer(number)) => *number as f64,
        Some(Value::Text(_) | Value::Boolean(_) | Value::Texts(_)) | None => f64::NAN,
    }
}

fn boolean_cell(value: Option<&Value>) -> u8 {
    match value {
        Some(Value::Boolean(truth)) => u8::from(*truth),
        Some(Value::Text(_) | Value::Integer(_) | Value::Real(_) | Value::Texts(_)) | None => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targeting::{Row, booleans, integers, reals, texts};

    /// What a fact looks like in each type of column. The host has a test over the same file.
    const CELLS: &str = include_str!("../../wit/v1/cells.json");

    fn value(json: &serde_json::Value) -> Value {
        if let Ok(texts) = serde_json::from_value(json.clone()) {
            return Value::Texts(texts);
        }
        match (json.as_bool(), json.as_i64(), json.as_f64()) {
            (Some(truth), _, _) => Value::Boolean(truth),
            (_, Some(number), _) => Value::Integer(number),
            (_, _, Some(number)) => Value::Real(number),
            _ => Value::Text(json.as_str().expect("no other values").to_owned()),
        }
    }

    fn layout(fact: &str) -> Layout {
        let columns = vec![texts(fact), integers(fact), reals(fact), booleans(fact)];
        Layout { columns, waves: vec!["all".into()], exclusions: Vec::new() }
    }

    #[test]
    fn cells_are_those_of_the_host() {
        let layout = layout("fact.it");
        let cases: Vec<serde_json::Value> = serde_json::from_str(CELLS).expect("a list of cases");
        assert!(!cases.is_empty());
        for case in cases {
            let facts = [Fact { name: "fact.it".into(), value: value(&case["value"]) }];
            let batch = batch(&layout, &[(0, &facts)]);
            let row: Row<'_> = Rows::new(&layout, &batch).next().expect("a device");
            assert_eq!(row.text(0), case["texts"].as_str(), "{case}");
            assert_eq!(row.integer(1), case["integers"].as_i64(), "{case}");
            assert_eq!(row.real(2), case["reals"].as_f64(), "{case}");
            assert_eq!(row.boolean(3), case["booleans"].as_bool(), "{case}");
        }
    }

    #[test]
    fn what_is_no_fact_is_a_text() {
        let layout = layout("cores");
        let batch = batch(&layout, &[(0, &[Fact::integer("cores", 4)])]);
        let row = Rows::new(&layout, &batch).next().expect("a device");
        assert_eq!((row.text(0), row.integer(1), row.real(2), row.boolean(3)), (Some("4"), None, None, None));
    }
}
