//! Owns the terms of a device: the texts `key=value` under which lists find it.

use kernex_model::attribute::Facts;
use kernex_model::device::{Device, DeviceStatus};
use kernex_model::name::ModelName;

/// Bytes of a value that gets a term: no selector can ask for a longer one.
const MAX_VALUE_BYTES: usize = 128;

/// The term of a standing. No label begins with `@`.
pub(crate) fn status(status: DeviceStatus) -> String {
    format!("@status={}", status.as_str())
}

/// The term of what a selector writes as `key=value`.
pub(crate) fn attribute(key: &str, value: &str) -> String {
    format!("{key}={value}")
}

/// The terms of what operators set.
pub(crate) fn edited(device: &Device) -> Vec<String> {
    let labels = device.labels.iter().map(|(key, value)| attribute(key.as_str(), value.as_str()));
    std::iter::once(status(device.status)).chain(labels).collect()
}

/// The terms of facts: one for each text that a selector could compare with.
pub(crate) fn facts(facts: &Facts) -> Vec<String> {
    let mut terms: Vec<String> = facts
        .iter()
        .flat_map(|(name, value)| {
            value
                .texts()
                .filter(|text| text.len() <= MAX_VALUE_BYTES)
                .map(|text| format!("fact.{}={text}", name.as_str()))
                .collect::<Vec<_>>()
        })
        .collect();
    terms.sort_unstable();
    terms.dedup();
    terms
}

/// The term of a hardware model.
pub(crate) fn model(model: Option<&ModelName>) -> Vec<String> {
    model.map(|model| attribute("model", model.as_str())).into_iter().collect()
}
