//! Owns reading the files that authors name: never more than a limit, and with the path in every error.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A file could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// It is not there, or not to be read by us.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is too long.
    #[error("{} is longer than {limit} bytes", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
        /// What is read at most, in bytes.
        limit: u64,
    },
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// [`FileError`].
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    // One more than the limit tells a file that is just as long from a longer one.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > limit { Err(FileError::TooLong { path: path.to_owned(), limit }) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("file");
        std::fs::write(&path, b"12345").expect("written");
        assert_eq!(read(&path, 5).expect("just as long"), b"12345");
        assert!(matches!(read(&path, 4), Err(FileError::TooLong { limit: 4, .. })));
        let gone = read(&directory.path().join("gone"), 5).expect_err("not there").to_string();
        assert!(gone.contains("gone"), "{gone}");
    }
}
