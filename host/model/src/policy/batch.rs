//! Building a batch: devices, row by row, become typed columns over one dictionary.

use std::collections::HashMap;

use super::{ABSENT, Batch, Column, ColumnRequest, ColumnType, Value};

/// Collects devices into a [`Batch`], converting each value to the type that the plan asked for.
#[derive(Debug)]
pub struct BatchBuilder<'a> {
    requests: &'a [ColumnRequest],
    batch: Batch,
    numbers: HashMap<String, u32>,
}

impl<'a> BatchBuilder<'a> {
    /// A builder for the columns of a plan, with room for `devices` rows.
    #[must_use]
    pub fn new(requests: &'a [ColumnRequest], devices: usize) -> Self {
        let columns = requests.iter().map(|request| empty_column(request.column_type, devices));
        Self {
            requests,
            batch: Batch {
                device_hashes: Vec::with_capacity(devices),
                dictionary: Vec::new(),
                columns: columns.collect(),
            },
            numbers: HashMap::new(),
        }
    }

    /// Adds one device. `fact` gives the device's value for a fact name or label key, or none.
    pub fn push<'v>(&mut self, device_hash: u64, mut fact: impl FnMut(&str) -> Option<&'v Value>) {
        self.batch.device_hashes.push(device_hash);
        for (index, request) in self.requests.iter().enumerate() {
            let value = fact(&request.fact);
            match &mut self.batch.columns[index] {
                Column::Texts(cells) => {
                    let number = value
                        .and_then(written_out)
                        .map(|text| number_of(text, &mut self.numbers, &mut self.batch.dictionary));
                    cells.push(number.unwrap_or(ABSENT));
                }
                Column::Integers(cells) => cells.push(whole(value)),
                Column::Reals(cells) => cells.push(real(value)),
                Column::Booleans(cells) => cells.push(truth(value)),
            }
        }
    }

    /// How many devices were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.device_hashes.len()
    }

    /// Whether no device was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.device_hashes.is_empty()
    }

    /// The finished batch.
    #[must_use]
    pub fn finish(self) -> Batch {
        self.batch
    }
}

fn empty_column(column_type: ColumnType, devices: usize) -> Column {
    match column_type {
        ColumnType::Texts => Column::Texts(Vec::with_capacity(devices)),
        ColumnType::Integers => Column::Integers(Vec::with_capacity(devices)),
        ColumnType::Reals => Column::Reals(Vec::with_capacity(devices)),
        ColumnType::Booleans => Column::Booleans(Vec::with_capacity(devices)),
    }
}

/// The number of a text in the dictionary. Numbers follow the order of appearance, so that equal
/// devices give equal bytes and a recorded batch replays.
fn number_of(text: String, numbers: &mut HashMap<String, u32>, dictionary: &mut Vec<String>) -> u32 {
    if let Some(number) = numbers.get(&text) {
        return *number;
    }
    let number = u32::try_from(dictionary.len()).unwrap_or(ABSENT);
    dictionary.push(text.clone());
    numbers.insert(text, number);
    number
}

fn written_out(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Real(number) => Some(number.to_string()),
        Value::Boolean(truth) => Some(truth.to_string()),
        Value::Texts(_) => None,
    }
}

fn whole(value: Option<&Value>) -> i64 {
    match value {
        Some(Value::Integer(number)) => *number,
        Some(Value::Text(_) | Value::Real(_) | Value::Boolean(_) | Value::Texts(_)) | None => Column::NO_INTEGER,
    }
}

fn real(value: Option<&Value>) -> f64 {
    match value {
        Some(Value::Real(number)) => *number,
        Some(Value::Integer(number)) => *number as f64,
        Some(Value::Text(_) | Value::Boolean(_) | Value::Texts(_)) | None => f64::NAN,
    }
}

fn truth(value: Option<&Value>) -> u8 {
    match value {
        Some(Value::Boolean(truth)) => u8::from(*truth),
        Some(Value::Text(_) | Value::Integer(_) | Value::Real(_) | Value::Texts(_)) | None => Column::NO_BOOLEAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Vec<ColumnRequest> {
        [
            ("model", ColumnType::Texts),
            ("cores", ColumnType::Integers),
            ("load", ColumnType::Reals),
            ("docked", ColumnType::Booleans),
        ]
        .map(|(fact, column_type)| ColumnRequest { fact: fact.into(), column_type })
        .into()
    }

    #[test]
    fn values_become_cells_of_the_asked_type() {
        let requests = requests();
        let mut builder = BatchBuilder::new(&requests, 3);
        let (model, four) = (Value::Text("a1".into()), Value::Integer(4));
        let yes = Value::Boolean(true);
        builder.push(7, |fact| match fact {
            "model" => Some(&model),
            "docked" => Some(&yes),
            _ => Some(&four),
        });
        builder.push(8, |fact| (fact == "model").then_some(&model));
        builder.push(9, |fact| (fact == "cores").then_some(&model));
        let batch = builder.finish();
        assert_eq!(batch.device_hashes, [7, 8, 9]);
        assert_eq!(batch.dictionary, ["a1"]);
        assert_eq!(batch.columns[0], Column::Texts(vec![0, 0, ABSENT]));
        assert_eq!(batch.columns[1], Column::Integers(vec![4, Column::NO_INTEGER, Column::NO_INTEGER]));
        let Column::Reals(loads) = &batch.columns[2] else { panic!("{batch:?}") };
        assert!(loads[0] == 4.0 && loads[1].is_nan() && loads[2].is_nan());
        assert_eq!(batch.columns[3], Column::Booleans(vec![1, 2, 2]));
    }
}
