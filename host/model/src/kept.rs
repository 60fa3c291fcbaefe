//! Owns the devices that a plan was made of, as they were then: what is kept of each, and of how many.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::attribute::{Facts, Labels};
use crate::device::{Device, Known};
use crate::digest::Digest;
use crate::id::DeviceId;
use crate::name::{BundleName, BundleVersion, ModelName};
use crate::policy::Fact;
use crate::record::{Decision, DecisionGate};
use crate::redaction::SecretFact;
use crate::selector::Attributes;

/// Devices that are kept of one plan; of a larger one, a sample.
pub const MAX_KEPT_DEVICES: usize = 10_000;
/// Bytes that are kept of one plan, as JSON. They are written in one transaction, and over HTTP a database server takes
/// no more than 4 MiB at once: a plan that does not fit could never begin.
pub const MAX_KEPT_BYTES: usize = 3 << 20;
/// Bytes of one part, unless a single device has more.
const PART_BYTES: usize = 512 * 1024;
/// Parts of one plan, at most: two that follow each other are more than one part together.
pub const MAX_KEPT_PARTS: usize = 2 * (MAX_KEPT_BYTES / PART_BYTES) + 1;

/// A device as it was when a plan was made, with all that a selector or a column can be about, and its class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptDevice {
    /// Identifier.
    pub id: DeviceId,
    /// What the policy answered: a wave of its plan, or behind them the reason why it is left out.
    pub class: u16,
    /// Hardware model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
    /// What the bundle was called that it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_name: Option<BundleName>,
    /// In which version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_version: Option<BundleVersion>,
    /// Set by operators.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Reported by the device.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
}

impl KeptDevice {
    fn known(&self) -> Known<'_> {
        Known {
            model: self.model.as_ref(),
            bundle_name: self.bundle_name.as_ref(),
            bundle_version: self.bundle_version.as_ref(),
            labels: &self.labels,
            facts: &self.facts,
        }
    }

    /// As policies see a device, by the keys that selectors use.
    #[must_use]
    pub fn to_facts(&self) -> Vec<Fact> {
        self.known().to_facts()
    }

    /// Takes out what is secret, and notes the keys of what was there.
    fn leave_out(&mut self, secrets: &[SecretFact], left_out: &mut BTreeSet<String>) {
        if secrets.is_empty() {
            return;
        }
        let mut secret = |key: &str| {
            let found = secrets.iter().any(|secret| secret.means_of_device(key));
            if found && !left_out.contains(key) {
                left_out.insert(key.to_owned());
            }
            found
        };
        self.model = self.model.take().filter(|_| !secret("model"));
        self.bundle_name = self.bundle_name.take().filter(|_| !secret("bundle.name"));
        self.bundle_version = self.bundle_version.take().filter(|_| !secret("bundle.version"));
        self.labels.retain(|key, _| !secret(key.as_str()));
        self.facts.retain(|name, _| !secret(&format!("fact.{name}")));
    }
}

impl Attributes for KeptDevice {
    fn texts(&self, key: &str) -> Option<Vec<Cow<'_, str>>> {
        self.known().texts(key)
    }
}

/// What is kept beside a plan's decision, as the decision's output says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Devices that were read.
    pub read: u64,
    /// Those that are kept.
    pub devices: u64,
    /// In how many parts.
    pub parts: usize,
    /// How many were asked about at once, in order; nothing where only a sample is kept.
    pub batches: Vec<usize>,
    /// Keys of what devices had and what is not kept because the policy declares it secret.
    pub left_out: BTreeSet<String>,
}

impl Kept {
    /// Whether every device is kept that was read.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.read == self.devices
    }
}

impl Decision {
    /// What is kept of the devices that a plan was made of; `None` where this is no such decision.
    #[must_use]
    pub fn kept(&self) -> Option<Kept> {
        let output = self.output.as_ref().filter(|_| self.gate == DecisionGate::Targeting)?;
        Kept::deserialize(output.0.get("kept")?).ok()
    }
}

/// A plan's devices on their way to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPlan {
    /// What is kept.
    pub kept: Kept,
    parts: Vec<String>,
}

impl KeptPlan {
    /// The devices, one line of JSON each, in the order in which they were read.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        &self.parts
    }
}

/// The devices of one part of a [`KeptPlan`].
///
/// # Errors
/// Where a line is no such device.
pub fn devices_in(part: &str) -> Result<Vec<KeptDevice>, serde_json::Error> {
    part.lines().map(serde_json::from_str).collect()
}

/// Devices while a plan is made. Where there are too many, those stay whose rank lies below a threshold, which is
/// halved until few enough are left. The rank is a hash of the device's identifier: the sample is even, and the same in
/// whatever order devices are read.
#[derive(Debug)]
pub struct Sample {
    secrets: Vec<SecretFact>,
    max_devices: usize,
    max_bytes: usize,
    threshold: u64,
    read: u64,
    bytes: usize,
    lines: Vec<(u64, String)>,
    batches: Vec<usize>,
    left_out: BTreeSet<String>,
}

impl Sample {
    /// No device yet. What is secret will be left out.
    #[must_use]
    pub fn new(secrets: Vec<SecretFact>) -> Self {
        Self::within(secrets, MAX_KEPT_DEVICES, MAX_KEPT_BYTES)
    }

    fn within(secrets: Vec<SecretFact>, max_devices: usize, max_bytes: usize) -> Self {
        Self {
            secrets,
            max_devices,
            max_bytes,
            threshold: u64::MAX,
            read: 0,
            bytes: 0,
            lines: Vec::new(),
            batches: Vec::new(),
            left_out: BTreeSet::new(),
        }
    }

    /// Notes that the policy was asked about so many devices at once.
    pub fn batch(&mut self, devices: usize) {
        self.batches.push(devices);
    }

    /// Takes in a device with its class; what its bundle is called is only asked for where it is kept.
    pub fn take(&mut self, device: &Device, class: u16, bundle: impl FnOnce() -> Option<(BundleName, BundleVersion)>) {
        self.read += 1;
        let rank = Digest::of(&device.id.0.to_bytes()).prefix();
        if rank > self.threshold {
            return;
        }
        let (bundle_name, bundle_version) = bundle().unzip();
        let mut kept = KeptDevice {
            id: device.id,
            class,
            model: device.model.clone(),
            bundle_name,
            bundle_version,
            labels: device.labels.clone(),
            facts: device.facts.clone(),
        };
        kept.leave_out(&self.secrets, &mut self.left_out);
        // A type of our own, which always has such a form.
        let line = serde_json::to_string(&kept).unwrap_or_default();
        self.bytes += line.len();
        self.lines.push((rank, line));
        while (self.lines.len() > self.max_devices || self.bytes > self.max_bytes) && self.threshold > 0 {
            self.threshold /= 2;
            let threshold = self.threshold;
            self.lines.retain(|(rank, _)| *rank <= threshold);
            self.bytes = self.lines.iter().map(|(_, line)| line.len()).sum();
        }
    }

    /// What is to be stored.
    #[must_use]
    pub fn finish(self) -> KeptPlan {
        let devices = u64::try_from(self.lines.len()).unwrap_or(u64::MAX);
        let parts = packed(self.lines.into_iter().map(|(_, line)| line));
        let batches = if devices == self.read { self.batches } else { Vec::new() };
        let kept = Kept { read: self.read, devices, parts: parts.len(), batches, left_out: self.left_out };
        KeptPlan { kept, parts }
    }
}

/// Lines, as many together as go into one part.
fn packed(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for line in lines {
        match parts.last_mut() {
            Some(part) if part.len() + line.len() < PART_BYTES => {
                part.push('\n');
                part.push_str(&line);
            }
            _ => parts.push(line),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::id::Ulid;

    fn device(number: u64) -> Device {
        serde_json::from_value(json!({
            "id": DeviceId(Ulid(u128::from(number))), "name": null, "model": "gw-200", "status": "active",
            "labels": {"channel": "beta"}, "facts": {"os": "linux\n5", "load": 1.0, "serial": "s3cret"},
            "key_digest": "0".repeat(64), "public_key": "", "bundle_id": null, "verified_bundle_id": null,
            "config_version": null, "created_at": "2026-11-21T15:00:00Z", "updated_at": "2026-11-21T15:00:00Z",
            "revision": 1,
        }))
        .expect("a device's own form")
    }

    fn bundle() -> Option<(BundleName, BundleVersion)> {
        Some(("gateway-os".parse().expect("a name"), "1.0.0".parse().expect("a version")))
    }

    fn filled(mut sample: Sample, numbers: impl Iterator<Item = u64>) -> KeptPlan {
        for number in numbers {
            sample.take(&device(number), u16::try_from(number % 7).expect("a class"), bundle);
        }
        sample.finish()
    }

    fn read(plan: &KeptPlan) -> Vec<KeptDevice> {
        plan.parts().iter().flat_map(|part| devices_in(part).expect("devices")).collect()
    }

    fn ids(plan: &KeptPlan) -> BTreeSet<u128> {
        read(plan).into_iter().map(|device| device.id.0.0).collect()
    }

    #[test]
    fn all_are_kept_as_they_were_where_they_are_few() {
        let mut sample = Sample::new(Vec::new());
        sample.batch(3);
        let plan = filled(sample, [9, 2, 5].into_iter());
        let kept = Kept { read: 3, devices: 3, parts: 1, batches: vec![3], left_out: BTreeSet::new() };
        assert_eq!(plan.kept, kept);
        assert!(kept.is_whole());
        let devices = read(&plan);
        assert_eq!(
            devices.iter().map(|device| (device.id.0.0, device.class)).collect::<Vec<_>>(),
            [(9, 2), (2, 2), (5, 5)]
        );
        let (was, is) = (device(2), &devices[1]);
        assert_eq!(
            (&is.model, &is.labels, &is.facts),
            (&was.model, &was.labels, &was.facts),
            "1.0 stays a real number"
        );
        assert_eq!(is.texts("bundle.version"), Some(vec!["1.0.0".into()]));
        assert_eq!(is.texts("fact.os"), Some(vec!["linux\n5".into()]));
        assert_eq!(is.texts("site"), None);
    }

    #[test]
    fn a_sample_is_bounded_even_and_the_same_in_any_order() {
        let of = |numbers: &mut dyn Iterator<Item = u64>| {
            let mut sample = Sample::within(Vec::new(), 500, MAX_KEPT_BYTES);
            sample.batch(4_000);
            filled(sample, numbers)
        };
        let plan = of(&mut (0..4_000));
        assert_eq!(ids(&of(&mut (0..4_000).rev())), ids(&plan));
        let kept = ids(&plan);
        assert!((150..=500).contains(&kept.len()), "{} are kept", kept.len());
        assert_eq!((plan.kept.read, plan.kept.devices), (4_000, kept.len() as u64));
        assert!(!plan.kept.is_whole() && plan.kept.batches.is_empty());
        // Of each tenth of the devices there are about as many.
        for tenth in 0..10 {
            let there = kept.range(tenth * 400..(tenth + 1) * 400).count() * 10;
            assert!((kept.len() / 3..kept.len() * 3).contains(&there), "{there} of {}", kept.len());
        }
    }

    #[test]
    fn bytes_are_bounded_too() {
        let line = serde_json::to_string(&read(&filled(Sample::new(Vec::new()), 0..1))[0]).expect("JSON").len();
        let plan = filled(Sample::within(Vec::new(), MAX_KEPT_DEVICES, 100 * line), 0..1_000);
        assert!((20..=110).contains(&plan.kept.devices), "{}", plan.kept.devices);
        assert!(plan.parts().iter().map(String::len).sum::<usize>() <= 100 * line);
    }

    #[test]
    fn parts_have_room_for_a_device_that_is_too_large() {
        let lines = [PART_BYTES / 2, PART_BYTES / 2 - 1, 2, 2 * PART_BYTES, 1].map(|length| "x".repeat(length));
        let lengths: Vec<usize> = packed(lines.into_iter()).iter().map(String::len).collect();
        assert_eq!(lengths, [PART_BYTES, 2, 2 * PART_BYTES, 1]);
    }

    #[test]
    fn what_is_secret_is_left_out_and_named() {
        let secrets = ["resource.fact.serial", "bundle.version", "site", "context.address"];
        let secrets: Vec<SecretFact> = secrets.iter().map(|name| name.parse().expect("a name")).collect();
        let plan = filled(Sample::new(secrets), 1..2);
        let left_out = ["bundle.version", "fact.serial"].map(str::to_owned);
        assert_eq!(plan.kept.left_out, BTreeSet::from(left_out), "nobody has a site");
        assert!(!plan.parts()[0].contains("s3cret"));
        let device = read(&plan).remove(0);
        assert_eq!((device.texts("bundle.version"), device.texts("fact.serial")), (None, None));
        assert!(device.texts("bundle.name").is_some() && device.texts("channel").is_some());
    }
}
