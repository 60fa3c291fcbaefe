//! In native tests: batches from facts, and the classes that a plugin gives.

use super::{Batch, Class, Column, ColumnType, Deployment, Layout, Rows, Targeting};
use crate::{Fact, Facts, Value};

/// A batch as the host would build it: one device per pair of hash and facts.
#[must_use]
pub fn batch(layout: &Layout, devices: &[(u64, &[Fact])]) -> Batch {
    let mut dictionary: Vec<String> = Vec::new();
    let columns = layout.columns.iter().map(|request| {
        let values = devices.iter().map(|(_, facts)| facts.value(&request.fact));
        match request.type_ {
            ColumnType::Texts => Column::Texts(values.map(|value| text_cell(value, &mut dictionary)).collect()),
            ColumnType::Integers => Column::Integers(
                values.map(|value| if let Some(Value::Integer(it)) = value { *it } else { i64::MIN }).collect(),
            ),
            ColumnType::Reals => Column::Reals(
                values.map(|value| if let Some(Value::Real(it)) = value { *it } else { f64::NAN }).collect(),
            ),
            ColumnType::Booleans => Column::Booleans(
                values.map(|value| if let Some(Value::Boolean(it)) = value { u8::from(*it) } else { 2 }).collect(),
            ),
        }
    });
    let columns = columns.collect();
    let device_hashes = devices.iter().map(|(hash, _)| *hash).collect();
    Batch { device_hashes, dictionary, columns }
}

/// The class of each device of a batch.
pub fn classes<T: Targeting>(plugin: &T, deployment: &Deployment, batch: &Batch) -> Vec<Class> {
    let layout = plugin.layout();
    let mut job = plugin.begin(deployment);
    Rows::new(&layout, batch).map(|row| plugin.classify(&mut job, &row)).collect()
}

fn text_cell(value: Option<&Value>, dictionary: &mut Vec<String>) -> u32 {
    let Some(Value::Text(text)) = value else { return u32::MAX };
    let index = dictionary.iter().position(|known| known == text).unwrap_or_else(|| {
        dictionary.push(text.clone());
        dictionary.len() - 1
    });
    u32::try_from(index).unwrap_or(u32::MAX)
}
