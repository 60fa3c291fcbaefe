//! Owns reading the files that people name: never more than a limit, and with the path in every error.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A file could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
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
    /// It is no text.
    #[error("{} is no UTF-8", path.display())]
    NoText {
        /// Which.
        path: PathBuf,
    },
}

impl FileError {
    /// Whether there is no such file.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// [`FileError`].
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    // One more than the limit tells a file that is just as long from a longer one.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > limit { Err(FileError::TooLong { path: path.to_owned(), limit }) } else { Ok(bytes) }
}

/// Reads a text of at most `limit` bytes.
///
/// # Errors
/// [`FileError`].
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String, FileError> {
    String::from_utf8(read(path, limit)?).map_err(|_| FileError::NoText { path: path.to_owned() })
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
        let gone = read(&directory.path().join("gone"), 5).expect_err("not there");
        assert!(gone.is_missing() && gone.to_string().contains("gone"), "{gone}");
        assert_eq!(read_text(&path, 5).expect("a text"), "12345");
        std::fs::write(&path, [0xff]).expect("written");
        let binary = read_text(&path, 5).expect_err("no text");
        assert!(!binary.is_missing() && binary.to_string().contains("no UTF-8"), "{binary}");
    }
}
