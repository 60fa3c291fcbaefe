//! Owns locks between processes: a file that one of them holds, until it lets go or ends.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::credentials::PRIVATE_FILE_MODE;

/// Pause between two attempts to get a lock that somebody else holds.
const PAUSE: Duration = Duration::from_millis(50);

/// A lock that is held. The system takes it back when this is dropped, and where the process is killed. The file stays:
/// who removed it would let in one who locks a new file of that name, beside one who waits for the old one.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock; `None` where somebody else holds it.
    ///
    /// # Errors
    /// Where the file cannot be made or locked.
    pub(crate) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(PRIVATE_FILE_MODE).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the lock, and waits for it up to `patience`; `None` where somebody else holds it even then.
    ///
    /// # Errors
    /// Where the file cannot be made or locked.
    pub(crate) async fn take(path: &Path, patience: Duration) -> io::Result<Option<Self>> {
        let begun = Instant::now();
        loop {
            // It is asked for again and again: a thread that waits inside the system could not be told to stop.
            if let Some(lock) = Self::try_take(path)? {
                return Ok(Some(lock));
            }
            if begun.elapsed() >= patience {
                return Ok(None);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_holds_it_at_a_time() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("lock");
        let held = FileLock::try_take(&path).expect("a lock").expect("nobody has it");
        assert!(FileLock::try_take(&path).expect("a look").is_none());
        assert!(FileLock::take(&path, PAUSE * 2).await.expect("a look").is_none(), "the wait has an end");
        drop(held);
        assert!(FileLock::take(&path, PAUSE).await.expect("a lock").is_some());
        assert!(FileLock::try_take(directory.path()).is_err(), "a directory is no file");
    }
}
