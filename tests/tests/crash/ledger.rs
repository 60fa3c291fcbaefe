//! Owns the acknowledgement log: what the server said it had written, kept outside of the server.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// What was acknowledged. One writer writes each entry, so that at most its next write is in doubt.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Entries>);

/// Everything that was acknowledged up to now.
#[derive(Debug, Clone, Default)]
pub(super) struct Entries {
    /// Devices that enrolled.
    pub(super) devices: Vec<String>,
    /// The highest number that was written into a device's label, by device.
    pub(super) labels: BTreeMap<String, u64>,
    /// Bundles with the number that their content begins with.
    pub(super) bundles: Vec<(String, u64)>,
    /// The last report taken in, by device: `downloading` or `installed`.
    pub(super) reports: BTreeMap<String, &'static str>,
}

impl Ledger {
    /// Writes down what was acknowledged.
    pub(super) fn note(&self, what: impl FnOnce(&mut Entries)) {
        what(&mut self.0.lock().expect("nobody panicked over the ledger"));
    }

    /// A copy of all of it.
    pub(super) fn entries(&self) -> Entries {
        self.0.lock().expect("nobody panicked over the ledger").clone()
    }
}

impl Entries {
    /// How many acknowledgements there are.
    pub(super) fn len(&self) -> usize {
        let edits: u64 = self.labels.values().sum();
        let reports: usize = self.reports.values().map(|state| if *state == "installed" { 2 } else { 1 }).sum();
        self.devices.len() + usize::try_from(edits).expect("few edits") + self.bundles.len() + reports
    }
}
