//! Owns lists of devices by selector and standing: the rarest term is walked, the rest is checked on what it leads to.

use std::cmp::Reverse;

use kernex_model::device::{Device, DeviceAttributes, DeviceStatus};
use kernex_model::id::BundleId;
use kernex_model::name::{BundleName, BundleVersion};
use kernex_model::policy::{Operator, Requirement};
use kernex_model::selector::Selector;
use surrealdb::types::{RecordId, RecordIdKey, Value, Variables};

use crate::cursor::{Cursor, Listed, Page};
use crate::device_term;
use crate::error::StoreError;
use crate::key::LAST;
use crate::store::Store;
use crate::walk::{Walk, pair};

/// Name and version of a bundle, for the requirements on `bundle.name` and `bundle.version`.
pub type BundleLookup<'a> = &'a (dyn Fn(BundleId) -> Option<(BundleName, BundleVersion)> + Send + std::marker::Sync);

/// Rows of a term that are read to see how rare it is.
const SAMPLE: usize = 64;
/// Requirements that are sampled.
const MAX_SAMPLED: usize = 6;
/// Values of one requirement that are walked side by side.
const MAX_VALUES_WALKED: usize = 8;
/// Devices that one page may look at before it ends early.
const MAX_LOOKED_AT: usize = 4_000;
/// Devices that are loaded at a time.
const CHUNK: usize = 500;

/// Which devices a list shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeviceFilter<'a> {
    /// Those that are asked for.
    pub selector: Option<&'a Selector>,
    /// Those that the caller may see at all.
    pub scope: Option<&'a Selector>,
    /// Those of this standing.
    pub status: Option<DeviceStatus>,
}

impl DeviceFilter<'_> {
    /// Names the list in cursors.
    fn name(&self) -> String {
        let text = |selector: Option<&Selector>| selector.map_or_else(String::new, ToString::to_string);
        let status = self.status.map_or("", DeviceStatus::as_str);
        format!("device {} / {} / {status}", text(self.selector), text(self.scope))
    }

    fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        [self.selector, self.scope].into_iter().flatten().flat_map(Selector::requirements)
    }

    /// The alternatives of each requirement that terms answer: devices outside all of them do not match.
    fn drivers(&self) -> Vec<Vec<String>> {
        let mut drivers: Vec<Vec<String>> = Vec::new();
        for requirement in self.requirements() {
            let positive = match requirement.operator {
                Operator::Equals | Operator::OneOf => true,
                Operator::Differs | Operator::NoneOf | Operator::Exists | Operator::Absent => false,
            };
            let named = !requirement.key.starts_with("bundle.");
            if positive && named && requirement.values.len() <= MAX_VALUES_WALKED && drivers.len() < MAX_SAMPLED {
                drivers.push(
                    requirement.values.iter().map(|value| device_term::attribute(&requirement.key, value)).collect(),
                );
            }
        }
        if let Some(status) = self.status {
            drivers.push(vec![device_term::status(status)]);
        }
        drivers
    }

    fn matches(&self, device: &Device, bundle: BundleLookup<'_>) -> bool {
        if self.status.is_some_and(|status| device.status != status) {
            return false;
        }
        let names = device.bundle_id.and_then(bundle);
        let attributes = DeviceAttributes { device, bundle: names.as_ref().map(|(name, version)| (name, version)) };
        [self.selector, self.scope].into_iter().flatten().all(|selector| selector.matches(&attributes))
    }
}

/// How far a sample of a term's rows leads. The smaller, the rarer the term is among the next devices.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// To the end, over so many devices.
    End(usize),
    /// As far as this device.
    Device(Reverse<String>),
}

impl Reach {
    /// Of two alternatives that are walked side by side, the one that leads less far counts.
    fn joined(self, other: Self) -> Self {
        match (self, other) {
            (Self::End(one), Self::End(two)) => Self::End(one + two),
            (one, two) => one.max(two),
        }
    }
}

fn reach(sample: Value) -> Reach {
    let Value::Array(targets) = sample else { return Reach::End(0) };
    let targets = targets.into_vec();
    match targets.last() {
        Some(Value::RecordId(RecordId { key: RecordIdKey::String(device), .. })) if targets.len() >= SAMPLE => {
            Reach::Device(Reverse(device.clone()))
        }
        _ => Reach::End(targets.len()),
    }
}

impl Store {
    /// Devices in the order of their identifiers. A page looks at a bounded number of devices: where a
    /// selector that no term answers lets little through it is short, and has a next one.
    ///
    /// # Errors
    /// Where the database fails or the cursor is another list's.
    pub async fn list_devices(
        &self,
        filter: DeviceFilter<'_>,
        bundle: BundleLookup<'_>,
        page: &Page,
    ) -> Result<Listed<Device>, StoreError> {
        let name = filter.name();
        let mut from = page.after.as_ref().map_or(Ok(""), |cursor| cursor.place(&name))?.to_owned();
        let terms = self.rarest(filter.drivers(), &from).await?;
        let (mut items, mut looked_at) = (Vec::new(), 0);
        // The first chunk is enough where a term answers all that is asked; later ones are for filters.
        let mut chunk = page.size() + 1;
        loop {
            let rows = self.devices_of(&terms, &from, chunk).await?;
            let ended = rows.len() < chunk;
            looked_at += rows.len();
            for (place, device) in rows {
                if filter.matches(&device, bundle) {
                    if items.len() == page.size() {
                        return Ok(Listed { items, next: Some(Cursor::new(&name, &from)) });
                    }
                    items.push(device);
                }
                from = place;
            }
            if ended {
                return Ok(Listed { items, next: None });
            }
            chunk = CHUNK;
            if looked_at >= MAX_LOOKED_AT {
                return Ok(Listed { items, next: Some(Cursor::new(&name, &from)) });
            }
        }
    }

    /// The alternatives that lead farthest through the devices after `from`; none where no term helps.
    /// Every walk has the order of the devices' identifiers, so a later page may choose differently.
    async fn rarest(&self, mut drivers: Vec<Vec<String>>, from: &str) -> Result<Vec<String>, StoreError> {
        if drivers.len() < 2 {
            return Ok(drivers.pop().unwrap_or_default());
        }
        let mut variables = Variables::new();
        variables.insert("limit", i64::try_from(SAMPLE).unwrap_or(i64::MAX));
        let mut samples = Vec::new();
        for (index, term) in drivers.iter().flatten().enumerate() {
            variables.insert(format!("from{index}"), pair(term, from));
            variables.insert(format!("to{index}"), pair(term, LAST));
            samples.push(format!(
                "(SELECT VALUE target FROM type::record('device_term', $from{index}>..$to{index}) LIMIT $limit)"
            ));
        }
        let rows = self.rows(&format!("RETURN [{}]", samples.join(", ")), variables, 0).await?;
        let mut reaches = rows.into_iter().map(reach);
        let rarest = drivers
            .into_iter()
            .map(|terms| (reaches.by_ref().take(terms.len()).reduce(Reach::joined), terms))
            .min_by(|(a, _), (b, _)| a.cmp(b));
        Ok(rarest.map(|(_, terms)| terms).unwrap_or_default())
    }

    /// At most `limit` devices after `from` that have one of the terms; of all devices without terms.
    async fn devices_of(
        &self,
        terms: &[String],
        from: &str,
        limit: usize,
    ) -> Result<Vec<(String, Device)>, StoreError> {
        let mut rows = match terms {
            [] => return self.walk(&Walk::Table, from, limit).await,
            [term] => return self.walk(&Walk::Term(term.clone()), from, limit).await,
            _ => {
                let mut rows = Vec::new();
                for term in terms {
                    rows.extend(self.walk(&Walk::Term(term.clone()), from, limit).await?);
                }
                rows
            }
        };
        // Each walk gave its first `limit` devices, so the first `limit` of them all are among these.
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        rows.dedup_by(|(a, _), (b, _)| a == b);
        rows.truncate(limit);
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_farthest_is_walked() {
        let device = |text: &str| Reach::Device(Reverse(text.to_owned()));
        assert!(Reach::End(3) < Reach::End(60) && Reach::End(60) < device("z") && device("z") < device("a"));
        assert_eq!(Reach::End(3).joined(device("b")), device("b"));
        assert_eq!(device("b").joined(device("a")), device("a"));
        assert_eq!(Reach::End(3).joined(Reach::End(4)), Reach::End(7));
    }
}
