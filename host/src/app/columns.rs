//! Owns turning devices into the columns that a targeting plugin reads: texts become numbers into a dictionary.

use std::collections::HashMap;

use kernex_model::attribute::{FactName, FactValue};
use kernex_model::device::{Device, DeviceAttributes};
use kernex_model::id::BundleId;
use kernex_model::kept::KeptDevice;
use kernex_model::name::{BundleName, BundleVersion};
use kernex_model::policy::{ABSENT, Batch, Column, ColumnRequest, ColumnType};
use kernex_model::selector::Attributes as _;

/// Looks up what a bundle is called.
pub(super) type BundleNames<'a> = &'a (dyn Fn(BundleId) -> Option<(BundleName, BundleVersion)> + Sync);

/// The texts of a batch, each once.
#[derive(Default)]
struct Dictionary {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Dictionary {
    fn number(&mut self, text: String) -> u32 {
        *self.numbers.entry(text).or_insert_with_key(|text| {
            self.texts.push(text.clone());
            u32::try_from(self.texts.len() - 1).unwrap_or(ABSENT)
        })
    }
}

/// What columns are filled from.
pub(crate) trait Described {
    /// What a selector compares with under this key; a list of texts is joined by `,`.
    fn text(&self, key: &str) -> Option<String>;
    /// What the device reported under this name.
    fn fact(&self, name: &FactName) -> Option<&FactValue>;
}

/// A device of the store, with the name and version of what it runs.
struct Named<'a> {
    device: &'a Device,
    bundle: Option<(BundleName, BundleVersion)>,
}

impl Described for Named<'_> {
    fn text(&self, key: &str) -> Option<String> {
        let bundle = self.bundle.as_ref().map(|(name, version)| (name, version));
        let attributes = DeviceAttributes { device: self.device, bundle };
        attributes.texts(key).map(|texts| texts.join(","))
    }

    fn fact(&self, name: &FactName) -> Option<&FactValue> {
        self.device.facts.get(name)
    }
}

/// A device as it was kept.
impl Described for &KeptDevice {
    fn text(&self, key: &str) -> Option<String> {
        self.texts(key).map(|texts| texts.join(","))
    }

    fn fact(&self, name: &FactName) -> Option<&FactValue> {
        self.facts.get(name)
    }
}

/// The devices as a batch: one column for each of `requests`, in that order.
pub(super) fn columns(
    devices: &[Device],
    requests: &[ColumnRequest],
    device_hashes: Vec<u64>,
    bundles: BundleNames<'_>,
) -> Batch {
    let named = devices.iter().map(|device| Named { device, bundle: device.bundle_id.and_then(bundles) });
    batch(&named.collect::<Vec<_>>(), requests, device_hashes)
}

/// One column for each of `requests`, in that order. A value of another type than asked for is absent.
pub(crate) fn batch<D: Described>(devices: &[D], requests: &[ColumnRequest], device_hashes: Vec<u64>) -> Batch {
    let mut dictionary = Dictionary::default();
    let columns = requests
        .iter()
        .map(|request| match request.column_type {
            ColumnType::Texts => Column::Texts(
                devices
                    .iter()
                    .map(|device| device.text(&request.fact).map_or(ABSENT, |text| dictionary.number(text)))
                    .collect(),
            ),
            ColumnType::Integers => Column::Integers(
                facts(devices, &request.fact)
                    .map(|fact| if let Some(FactValue::Integer(value)) = fact { *value } else { Column::NO_INTEGER })
                    .collect(),
            ),
            ColumnType::Reals => Column::Reals(
                facts(devices, &request.fact)
                    .map(|fact| match fact {
                        Some(FactValue::Real(value)) => *value,
                        // Whole numbers are reals; those beyond 2^53 lose digits, as in JSON.
                        Some(FactValue::Integer(value)) => *value as f64,
                        _ => f64::NAN,
                    })
                    .collect(),
            ),
            ColumnType::Booleans => {
                Column::Booleans(
                    facts(devices, &request.fact)
                        .map(|fact| {
                            if let Some(FactValue::Boolean(value)) = fact {
                                u8::from(*value)
                            } else {
                                Column::NO_BOOLEAN
                            }
                        })
                        .collect(),
                )
            }
        })
        .collect();
    Batch { device_hashes, dictionary: dictionary.texts, columns }
}

/// The fact that a column's name stands for, of each device: only facts have other types than text.
fn facts<'a, D: Described>(devices: &'a [D], column: &str) -> impl Iterator<Item = Option<&'a FactValue>> {
    let name: Option<FactName> = column.strip_prefix("fact.").and_then(|name| name.parse().ok());
    devices.iter().map(move |device| name.as_ref().and_then(|name| device.fact(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a fact looks like in each type of column. The SDK's test batches have a test over the same file.
    const CELLS: &str = include_str!("../../../sdk/wit/v1/cells.json");
    const TYPES: [ColumnType; 4] = [ColumnType::Texts, ColumnType::Integers, ColumnType::Reals, ColumnType::Booleans];

    fn device(labels: &serde_json::Value, facts: &serde_json::Value) -> Device {
        let json = serde_json::json!({
            "id": "dev_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D", "name": null, "model": null, "status": "active",
            "labels": labels, "facts": facts, "key_digest": "0".repeat(64), "public_key": "",
            "bundle_id": null, "verified_bundle_id": null, "config_version": null,
            "created_at": "2026-11-21T15:00:00Z", "updated_at": "2026-11-21T15:00:00Z", "revision": 1
        });
        serde_json::from_value(json).expect("a device's own form")
    }

    /// The one device's cell in a column of each type; null where there is none.
    fn cells(device: Device, column: &str) -> [serde_json::Value; 4] {
        let requests = TYPES.map(|column_type| ColumnRequest { fact: column.to_owned(), column_type });
        let Batch { dictionary, columns, .. } = columns(&[device], &requests, vec![0], &|_| None);
        let cell = |column: &Column| match column {
            Column::Texts(cells) => dictionary.get(cells[0] as usize).cloned().into(),
            Column::Integers(cells) => Some(cells[0]).filter(|cell| *cell != Column::NO_INTEGER).into(),
            Column::Reals(cells) => Some(cells[0]).filter(|cell| !cell.is_nan()).into(),
            Column::Booleans(cells) => {
                Some(cells[0]).filter(|cell| *cell != Column::NO_BOOLEAN).map(|cell| cell == 1).into()
            }
        };
        [0, 1, 2, 3].map(|place: usize| cell(&columns[place]))
    }

    #[test]
    fn each_type_of_column_takes_its_values() {
        let cases: Vec<serde_json::Value> = serde_json::from_str(CELLS).expect("a list of cases");
        assert!(!cases.is_empty());
        for case in cases {
            let device = device(&serde_json::json!({}), &serde_json::json!({ "it": case["value"] }));
            let wanted = ["texts", "integers", "reals", "booleans"].map(|name| case[name].clone());
            assert_eq!(cells(device, "fact.it"), wanted, "{case}");
        }
    }

    #[test]
    fn labels_are_texts_and_what_is_not_there_is_absent() {
        let [labels, facts] = [serde_json::json!({ "cores": "4" }), serde_json::json!({})];
        let null = || serde_json::Value::Null;
        assert_eq!(cells(device(&labels, &facts), "cores"), ["4".into(), null(), null(), null()]);
        assert_eq!(cells(device(&labels, &facts), "fact.cores"), [null(), null(), null(), null()]);
    }
}
