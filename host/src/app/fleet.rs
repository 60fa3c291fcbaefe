//! Owns what is known of devices in memory: standing, presence and the pending command. A heartbeat touches nothing else.

mod pages;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use kernex_model::attribute::Facts;
use kernex_model::device::{Device, DeviceStatus, Health};
use kernex_model::digest::Digest;
use kernex_model::id::{AssignmentId, BundleId, DeviceId};
use kernex_model::report::Command;
use kernex_model::time::Timestamp;
use kernex_store::{PresencePage, Store, StoreError};
use parking_lot::Mutex;

use pages::Pages;

/// Devices that wait to be looked at by the driver because they changed, at most; past it, all are looked at.
pub const MAX_CHANGED: usize = 10_000;
/// Devices read from the store in one page at the start.
const LOAD_PAGE: usize = 1_000;
/// Presence pages read from the store at once at the start.
const LOAD_PRESENCE: usize = 64;

/// What memory holds of one device: small, because there may be a million.
#[derive(Debug)]
struct Entry {
    status: DeviceStatus,
    /// Prefix of the digest of the facts in the store: heartbeats that repeat them are recognized.
    facts: u64,
    /// What the store says the device runs.
    stored_bundle: Option<BundleId>,
    stored_config: Option<u64>,
    seen: Option<Timestamp>,
    health: Health,
    /// What the last heartbeat said the device runs.
    bundle: Option<BundleId>,
    config: Option<u64>,
    command: Option<Arc<Command>>,
    page: u32,
}

/// What a heartbeat said.
#[derive(Debug, Clone, PartialEq)]
pub struct Beat {
    /// Facts, when the device sent them.
    pub facts: Option<Facts>,
    /// The running bundle.
    pub bundle: Option<BundleId>,
    /// The running config version.
    pub config: Option<u64>,
    /// How well the device says it is.
    pub health: Health,
}

/// What a heartbeat leads to.
#[derive(Debug)]
pub struct Beaten {
    /// What the device is to do.
    pub command: Option<Arc<Command>>,
    /// Facts or running versions differ from what is stored: write them through.
    pub changed: bool,
    /// It says that it does not work, and did not say so before.
    pub fell_ill: bool,
}

/// A device's presence, as the driver and lists see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    /// Last heartbeat.
    pub seen: Option<Timestamp>,
    /// Its health.
    pub health: Health,
    /// The bundle that it named.
    pub bundle: Option<BundleId>,
    /// The config version that it named.
    pub config: Option<u64>,
}

/// Devices whose membership in running deployments must be looked at again.
#[derive(Debug, Default)]
pub struct ChangedDevices {
    /// These ones.
    pub devices: HashSet<DeviceId>,
    /// So many that all are looked at; also after a start.
    pub all: bool,
}

/// The devices in memory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Fleet {
    entries: Arc<DashMap<DeviceId, Entry>>,
    pages: Arc<Pages>,
    changed: Arc<Mutex<ChangedDevices>>,
    ill: Arc<Mutex<HashSet<DeviceId>>>,
    standing: Arc<[AtomicU64; STANDINGS.len()]>,
}

/// In the order in which they are counted.
const STANDINGS: [DeviceStatus; 4] =
    [DeviceStatus::Pending, DeviceStatus::Active, DeviceStatus::Blocked, DeviceStatus::Retired];

fn facts_prefix(facts: &Facts) -> u64 {
    // A map of text keys always has a JSON form; an empty one only makes a needless write.
    Digest::of(&serde_json::to_vec(facts).unwrap_or_default()).prefix()
}

impl Fleet {
    /// Reads every device and the last flushed presence from the store.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let fleet = Self {
            entries: Arc::default(),
            pages: Arc::default(),
            changed: Arc::new(Mutex::new(ChangedDevices { devices: HashSet::new(), all: true })),
            ill: Arc::default(),
            standing: Arc::default(),
        };
        let mut after = None;
        loop {
            let devices = store.scan_devices(after, LOAD_PAGE).await?;
            let Some(last) = devices.last() else { break };
            after = Some(last.id);
            for device in &devices {
                fleet.insert(device);
            }
        }
        let mut after = None;
        loop {
            let pages = store.presence_pages(after, LOAD_PRESENCE).await?;
            let Some(last) = pages.last() else { break };
            after = Some(last.page);
            pages.iter().for_each(|page| fleet.restore(page));
        }
        // Only now: devices on a stored page keep it, the others fill the pages up.
        for mut entry in fleet.entries.iter_mut() {
            if entry.page == pages::NONE {
                let device = *entry.key();
                entry.page = fleet.pages.place(device);
            }
        }
        Ok(fleet)
    }

    /// One device came to stand at `to`, and stood at `from` before.
    fn count(&self, from: Option<DeviceStatus>, to: DeviceStatus) {
        for (standing, count) in STANDINGS.iter().zip(&*self.standing) {
            if from == Some(*standing) {
                count.fetch_sub(1, Ordering::Relaxed);
            }
            if to == *standing {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Devices by standing.
    #[must_use]
    pub fn standing(&self) -> Vec<(&'static str, u64)> {
        STANDINGS
            .iter()
            .zip(&*self.standing)
            .map(|(standing, count)| (standing.as_str(), count.load(Ordering::Relaxed)))
            .collect()
    }

    fn insert(&self, device: &Device) {
        self.count(None, device.status);
        self.entries.insert(
            device.id,
            Entry {
                status: device.status,
                facts: facts_prefix(&device.facts),
                stored_bundle: device.bundle_id,
                stored_config: device.config_version,
                seen: None,
                health: Health::Healthy,
                bundle: None,
                config: None,
                command: None,
                page: pages::NONE,
            },
        );
    }

    fn restore(&self, page: &PresencePage) {
        let rows = page
            .device_ids
            .iter()
            .zip(&page.last_seen_ms)
            .zip(&page.health)
            .zip(&page.bundle_ids)
            .zip(&page.config_versions);
        let mut known = Vec::new();
        for ((((device, seen), health), bundle), config) in rows {
            if let Some(mut entry) = self.entries.get_mut(device) {
                entry.seen = (*seen > 0).then(|| Timestamp::from_millis(*seen));
                entry.health = *health;
                entry.bundle = *bundle;
                entry.config = *config;
                entry.page = page.page;
                known.push(*device);
            }
        }
        self.pages.restore(page.page, known);
    }

    /// Takes in a device as it is now stored: a new one, or one whose standing, labels, facts or versions changed.
    pub fn upsert(&self, device: &Device) {
        {
            let known = self.entries.entry(device.id);
            let before = match &known {
                dashmap::Entry::Occupied(known) => Some(known.get().status),
                dashmap::Entry::Vacant(_) => None,
            };
            self.count(before, device.status);
            let mut entry = known.or_insert_with(|| Entry {
                status: device.status,
                facts: 0,
                stored_bundle: None,
                stored_config: None,
                seen: None,
                health: Health::Healthy,
                bundle: None,
                config: None,
                command: None,
                page: self.pages.place(device.id),
            });
            entry.status = device.status;
            entry.facts = facts_prefix(&device.facts);
            entry.stored_bundle = device.bundle_id;
            entry.stored_config = device.config_version;
        }
        let mut changed = self.changed.lock();
        if changed.devices.len() >= MAX_CHANGED {
            changed.devices.clear();
            changed.all = true;
        } else if !changed.all {
            changed.devices.insert(device.id);
        }
    }

    /// Takes in what the store now says that the device runs, after a report or the end of a soak.
    pub fn note_versions(&self, device: DeviceId, bundle: Option<BundleId>, config: Option<u64>) {
        if let Some(mut entry) = self.entries.get_mut(&device) {
            entry.stored_bundle = bundle.or(entry.stored_bundle);
            entry.stored_config = config.or(entry.stored_config);
        }
    }

    /// Takes the devices that changed since the last call.
    #[must_use]
    pub fn take_changed(&self) -> ChangedDevices {
        std::mem::take(&mut *self.changed.lock())
    }

    /// Says again that devices changed, where looking at them failed.
    pub fn mark_all_changed(&self) {
        self.changed.lock().all = true;
    }

    /// Says again that these devices changed, where looking at them came to nothing.
    pub fn give_back_changed(&self, missed: ChangedDevices) {
        let mut changed = self.changed.lock();
        changed.all |= missed.all;
        changed.devices.extend(missed.devices);
    }

    /// A device's standing; `None` where there is no such device.
    #[must_use]
    pub fn status(&self, device: DeviceId) -> Option<DeviceStatus> {
        self.entries.get(&device).map(|entry| entry.status)
    }

    /// Takes in a heartbeat. `None` where there is no such device.
    #[must_use]
    pub fn beat(&self, device: DeviceId, beat: &Beat, now: Timestamp) -> Option<Beaten> {
        let facts = beat.facts.as_ref().map(facts_prefix);
        let mut entry = self.entries.get_mut(&device)?;
        let fell_ill = beat.health == Health::Failed && entry.health != Health::Failed;
        entry.seen = Some(now);
        entry.health = beat.health;
        entry.bundle = beat.bundle;
        entry.config = beat.config;
        self.pages.touch(entry.page);
        let changed = facts.is_some_and(|facts| facts != entry.facts)
            || (beat.bundle.is_some() && beat.bundle != entry.stored_bundle)
            || (beat.config.is_some() && beat.config != entry.stored_config);
        let command = entry.command.clone();
        drop(entry);
        if fell_ill {
            self.note_ill([device]);
        }
        Some(Beaten { command, changed, fell_ill })
    }

    /// Takes the devices that fell ill since the last call.
    #[must_use]
    pub fn take_ill(&self) -> HashSet<DeviceId> {
        std::mem::take(&mut *self.ill.lock())
    }

    /// Says that devices fell ill. Past [`MAX_CHANGED`] they are only noticed when their soak ends.
    pub fn note_ill(&self, devices: impl IntoIterator<Item = DeviceId>) {
        let mut ill = self.ill.lock();
        let room = MAX_CHANGED.saturating_sub(ill.len());
        ill.extend(devices.into_iter().take(room));
    }

    /// A device's presence; nothing known where there is no such device.
    #[must_use]
    pub fn presence(&self, device: DeviceId) -> Presence {
        let nothing = Presence { seen: None, health: Health::Healthy, bundle: None, config: None };
        self.entries.get(&device).map_or(nothing, |entry| Presence {
            seen: entry.seen,
            health: entry.health,
            bundle: entry.bundle,
            config: entry.config,
        })
    }

    /// When a device was last seen.
    #[must_use]
    pub fn last_seen(&self, device: DeviceId) -> Option<Timestamp> {
        self.presence(device).seen
    }

    /// What the device is to do at present.
    #[must_use]
    pub fn command(&self, device: DeviceId) -> Option<Arc<Command>> {
        self.entries.get(&device).and_then(|entry| entry.command.clone())
    }

    /// Publishes a command, once its offer is committed.
    pub fn publish(&self, command: Command) {
        if let Some(mut entry) = self.entries.get_mut(&command.assignment_id.device) {
            entry.command = Some(Arc::new(command));
        }
    }

    /// Withdraws the device's command where it is of that attempt or an earlier one. A newer one stays: it
    /// may have been offered between the commit that ended this attempt and this call.
    pub fn withdraw(&self, assignment: AssignmentId, attempt: u32) {
        if let Some(mut entry) = self.entries.get_mut(&assignment.device)
            && entry
                .command
                .as_ref()
                .is_some_and(|command| command.assignment_id == assignment && command.attempt <= attempt)
        {
            entry.command = None;
        }
    }

    /// Takes an offer back that its device has not got yet: whether it is certain that no heartbeat since
    /// `offered_at` carried it. From here on none will.
    #[must_use]
    pub fn recall(&self, assignment: AssignmentId, attempt: u32, offered_at: Timestamp) -> bool {
        self.withdraw(assignment, attempt);
        self.presence(assignment.device).seen.is_none_or(|seen| seen < offered_at)
    }

    /// Whether the device's present command names the bundle.
    #[must_use]
    pub fn may_download(&self, device: DeviceId, bundle: BundleId) -> bool {
        self.command(device).is_some_and(|command| command.bundle.as_ref().is_some_and(|named| named.id == bundle))
    }

    /// The presence pages that changed since the last call, for flushing.
    #[must_use]
    pub fn take_dirty_pages(&self) -> Vec<PresencePage> {
        self.pages.take_dirty().into_iter().map(|(page, devices)| self.page(page, devices)).collect()
    }

    /// Says again that a page must be flushed, where flushing it failed.
    pub fn mark_dirty(&self, page: u32) {
        self.pages.touch(page);
    }

    fn page(&self, page: u32, devices: Vec<DeviceId>) -> PresencePage {
        let rows: Vec<Presence> = devices.iter().map(|device| self.presence(*device)).collect();
        PresencePage {
            page,
            device_ids: devices,
            last_seen_ms: rows.iter().map(|row| row.seen.map_or(0, Timestamp::as_millis)).collect(),
            health: rows.iter().map(|row| row.health).collect(),
            bundle_ids: rows.iter().map(|row| row.bundle).collect(),
            config_versions: rows.iter().map(|row| row.config).collect(),
        }
    }
}
