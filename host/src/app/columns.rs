//! Owns turning devices into the columns that a targeting plugin reads: texts become numbers into a dictionary.

use std::collections::HashMap;

use kernex_model::attribute::{FactName, FactValue};
use kernex_model::device::{Device, DeviceAttributes};
use kernex_model::id::BundleId;
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
