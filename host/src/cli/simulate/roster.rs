//! Owns what a simulated fleet remembers between two runs: each device's key, identifier and software.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use kernex_client::types::Report;
use parking_lot::Mutex;
use rand::RngCore;
use serde::{Deserialize, Serialize};

use crate::cli::credentials::write_private;
use crate::cli::lock::FileLock;

/// Who may enter the directory with the keys: its owner.
const PRIVATE_DIRECTORY_MODE: u32 = 0o700;
const FILE: &str = "devices.json";
/// The file that is locked as long as a fleet runs.
const LOCK: &str = "devices.lock";

/// One device's memory.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// The private key's 32 bytes, in hexadecimal.
    key: String,
    /// Given by the server.
    pub(crate) id: Option<String>,
    /// What it runs.
    pub(crate) running: Option<Running>,
    /// The config it runs.
    pub(crate) config_version: Option<u64>,
    /// How its last command ended: it may be asked again.
    pub(crate) last: Option<Report>,
}

/// A bundle that a device runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    /// The bundle.
    pub(crate) id: String,
    /// Its version.
    pub(crate) version: String,
}

impl Memory {
    fn fresh() -> Self {
        let mut key = [0_u8; 32];
        rand::rng().fill_bytes(&mut key);
        Self { key: hex::encode(key), id: None, running: None, config_version: None, last: None }
    }

    /// The device's key.
    pub(crate) fn key(&self) -> io::Result<SigningKey> {
        let mut key = [0_u8; 32];
        hex::decode_to_slice(&self.key, &mut key).map_err(io::Error::other)?;
        Ok(SigningKey::from_bytes(&key))
    }

    /// Is that device from here on. Of another one (the server was set up anew) it remembers nothing.
    pub(crate) fn become_device(&mut self, id: &str) {
        if self.id.as_deref() != Some(id) {
            *self = Self {
                key: std::mem::take(&mut self.key),
                id: Some(id.to_owned()),
                running: None,
                config_version: None,
                last: None,
            };
        }
    }

    /// How this command ended before, where it did.
    pub(crate) fn ended(&self, assignment: &str, attempt: u32) -> Option<&Report> {
        self.last.as_ref().filter(|last| last.assignment_id == assignment && last.attempt == attempt)
    }
}

/// All devices' memories, and the file that they are kept in. As long as it lives nobody else writes that.
pub(crate) struct Roster {
    file: PathBuf,
    devices: Vec<Mutex<Memory>>,
    _lock: FileLock,
}

impl Roster {
    /// The roster in `directory`, with `devices` devices at least; new ones get new keys.
    ///
    /// # Errors
    /// Where it cannot be read or written, or another fleet uses it.
    pub(crate) fn open(directory: &Path, devices: u32) -> io::Result<Self> {
        // One that is there already keeps its mode: it may be anybody's, and the file with the keys has its own.
        DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY_MODE).create(directory)?;
        let in_use = || io::Error::new(io::ErrorKind::ResourceBusy, "another `kernex fleet simulate` uses it");
        let lock = FileLock::try_take(&directory.join(LOCK))?.ok_or_else(in_use)?;
        let file = directory.join(FILE);
        let mut known: Vec<Memory> = match std::fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        known.resize_with(known.len().max(devices as usize), Memory::fresh);
        let roster = Self { file, devices: known.into_iter().map(Mutex::new).collect(), _lock: lock };
        // Before a key is used it is kept: a device whose key is lost cannot come back.
        roster.save()?;
        Ok(roster)
    }

    /// Writes everything down.
    pub(crate) fn save(&self) -> io::Result<()> {
        let devices: Vec<Memory> = self.devices.iter().map(|device| device.lock().clone()).collect();
        write_private(&self.file, &serde_json::to_vec(&devices)?)
    }

    /// What a device remembers.
    pub(crate) fn recall(&self, number: u32) -> Memory {
        self.devices[number as usize].lock().clone()
    }

    /// Lets a device remember something else.
    pub(crate) fn remember(&self, number: u32, change: impl FnOnce(&mut Memory)) {
        change(&mut self.devices[number as usize].lock());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn a_second_run_is_the_same_fleet() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let id = "dev_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D";
        let first = Roster::open(directory.path(), 2).expect("opened");
        first.remember(1, |memory| memory.become_device(id));
        first.save().expect("saved");
        let key = first.recall(1).key().expect("a key");
        drop(first);

        let second = Roster::open(directory.path(), 3).expect("opened");
        assert_eq!(second.recall(1).id.as_deref(), Some(id));
        assert_eq!(second.recall(1).key().expect("a key").to_bytes(), key.to_bytes());
        assert_ne!(second.recall(2).key().expect("a key").to_bytes(), key.to_bytes());
        assert_eq!(mode(&directory.path().join(FILE)), 0o600);
    }

    #[test]
    fn one_fleet_at_a_time_uses_a_directory() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let first = Roster::open(directory.path(), 1).expect("opened");
        let error = Roster::open(directory.path(), 1).err().expect("it is in use").to_string();
        assert!(error.contains("another `kernex fleet simulate` uses it"), "{error}");
        first.save().expect("it still is the first one's");
    }

    #[test]
    fn only_new_directories_are_made_private() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).expect("ours");
        let below = directory.path().join("data/fleet");
        for place in [directory.path(), below.as_path()] {
            Roster::open(place, 1).expect("opened");
        }
        assert_eq!(mode(directory.path()), 0o755, "whoever else uses it still may");
        assert_eq!((mode(&directory.path().join("data")), mode(&below)), (0o700, 0o700));
    }
}
