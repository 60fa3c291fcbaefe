//! Native code on disk, so that a start compiles nothing. It is only a cache: what is missing, damaged or not ours
//! is compiled again.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::native::Native;

/// Bytes of a MAC and of its key.
pub const MAC_BYTES: usize = 32;
/// The largest native code that is read back, in bytes.
const MAX_NATIVE_BYTES: u64 = 256 << 20;
/// All files of the cache together, in bytes; the oldest go first.
const MAX_CACHE_BYTES: u64 = 512 << 20;
/// Who may look inside: the owner.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const EXTENSION: &str = "native";

/// A directory of native code, each file under a MAC.
#[derive(Clone)]
pub struct Cache {
    directory: PathBuf,
    key: [u8; MAC_BYTES],
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Cache {
    /// A cache in `directory`, which is made when it is needed. Who knows `key` can make the host run any code.
    #[must_use]
    pub fn new(directory: PathBuf, key: [u8; MAC_BYTES]) -> Self {
        Self { directory, key }
    }

    /// Whose MAC covers the name too: one file's content cannot stand in for another's.
    fn mac(&self, name: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(name.as_bytes());
        Some(mac)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name).with_extension(EXTENSION)
    }

    /// What was kept under this name, if it is whole and ours.
    pub(crate) fn find(&self, name: &str) -> Option<Native> {
        let path = self.path(name);
        let mut content = Vec::new();
        let file = fs::File::open(&path).ok()?;
        file.take(MAX_NATIVE_BYTES + 1).read_to_end(&mut content).ok()?;
        let (tag, code) = content.split_at_checked(MAC_BYTES)?;
        let mut mac = self.mac(name)?;
        mac.update(code);
        if mac.verify_slice(tag).is_err() {
            tracing::warn!(file = %path.display(), "the cached native code of a plugin is damaged or not ours; compiling it again");
            return None;
        }
        Some(Native::vouched_for(content.split_off(MAC_BYTES)))
    }

    /// Keeps native code under a name. Where that fails the next start compiles again.
    pub(crate) fn keep(&self, name: &str, native: &Native) {
        if let Err(error) = self.write(name, native) {
            tracing::warn!(directory = %self.directory.display(), %error, "native code of a plugin could not be cached");
        }
    }

    fn write(&self, name: &str, native: &Native) -> io::Result<()> {
        let Some(mut mac) = self.mac(name) else { return Err(io::Error::other("the key has no use")) };
        mac.update(native.bytes());
        fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&self.directory)?;
        // Written beside and moved, so that nobody reads half of it; the process's number keeps two hosts apart.
        let new = self.directory.join(format!("{name}.{}", std::process::id()));
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&new)?;
        file.write_all(&mac.finalize().into_bytes())?;
        file.write_all(native.bytes())?;
        fs::rename(&new, self.path(name))?;
        self.make_room(&self.path(name))
    }

    /// Removes the oldest files until the rest is within the limit.
    fn make_room(&self, newest: &Path) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let about = entry.metadata()?;
            if about.is_file() && entry.path() != newest {
                files.push((about.modified()?, about.len(), entry.path()));
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in files {
            if total <= MAX_CACHE_BYTES {
                break;
            }
            fs::remove_file(path)?;
            total -= size;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(directory: &Path, key: u8) -> Cache {
        Cache::new(directory.join("native"), [key; MAC_BYTES])
    }

    #[test]
    fn what_was_kept_is_found_under_its_own_name_only() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Native::vouched_for(b"code".to_vec());
        cache(directory.path(), 1).keep("one", &kept);
        assert_eq!(cache(directory.path(), 1).find("one"), Some(kept));
        assert_eq!(cache(directory.path(), 1).find("two"), None);
        assert_eq!(cache(directory.path(), 2).find("one"), None, "another key");
        fs::rename(directory.path().join("native/one.native"), directory.path().join("native/two.native")).unwrap();
        assert_eq!(cache(directory.path(), 1).find("two"), None, "another name");
    }

    #[test]
    fn damage_is_noticed_wherever_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(directory.path(), 1);
        cache.keep("one", &Native::vouched_for(b"code".to_vec()));
        let path = directory.path().join("native/one.native");
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            fs::write(&path, damaged).unwrap();
            assert_eq!(cache.find("one"), None, "byte {place}");
        }
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(cache.find("one"), None, "{length} bytes");
        }
    }

    #[test]
    fn the_directory_is_for_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        cache(directory.path(), 1).keep("one", &Native::vouched_for(b"code".to_vec()));
        let mode = |path: &str| fs::metadata(directory.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("native"), mode("native/one.native")), (DIRECTORY_MODE, FILE_MODE));
        let names: Vec<_> = fs::read_dir(directory.path().join("native")).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing half-written is left");
    }
}
