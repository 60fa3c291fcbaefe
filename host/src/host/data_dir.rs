//! Owns whose the data directory is: it is made for its owner alone, and used by its owner alone.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use super::StartError;

/// The data directory holds keys: its owner alone may look inside.
const DATA_DIR_MODE: u32 = 0o700;
/// Whose directory may be another's to use: a volume is often root's, and open to the group of its container.
const ROOT: u32 = 0;

/// Makes the directory where it is not there, and sees that it is ours.
pub(super) fn make(path: &Path) -> Result<(), StartError> {
    let failed = |error| StartError::DataDir(path.display().to_string(), error);
    std::fs::DirBuilder::new().recursive(true).mode(DATA_DIR_MODE).create(path).map_err(failed)?;
    require_owner(path)
}

/// Refuses a directory of another user: what root puts there is root's, and the server could not read it any more.
/// What is not there, or cannot be written, is for those to complain about who want to use it.
pub(super) fn require_owner(path: &Path) -> Result<(), StartError> {
    let Ok((owner, user)) = owners(path) else { return Ok(()) };
    if is_others(owner, user) {
        return Err(StartError::Foreign { path: path.display().to_string(), owner, user });
    }
    Ok(())
}

/// Whose a directory is, and whose a file would be that this process makes in it. The file has no name.
fn owners(directory: &Path) -> io::Result<(u32, u32)> {
    let owner = std::fs::metadata(directory)?.uid();
    Ok((owner, tempfile::tempfile_in(directory)?.metadata()?.uid()))
}

fn is_others(owner: u32, user: u32) -> bool {
    owner != user && owner != ROOT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_used_by_its_owner_alone() {
        assert!(!is_others(998, 998) && !is_others(ROOT, ROOT));
        assert!(is_others(998, ROOT) && is_others(998, 1_000));
        assert!(!is_others(ROOT, 1_000), "a volume of a container");
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let made = tempfile::tempdir().expect("a temporary directory");
        let path = made.path().join("data");
        assert!(require_owner(&path).is_ok(), "it is not there");
        make(&path).expect("a new directory");
        let (owner, user) = owners(&path).expect("it is ours");
        assert_eq!(owner, user);
        assert_eq!(std::fs::metadata(&path).expect("it is there").mode() & 0o777, DATA_DIR_MODE);
        std::fs::write(path.join("file"), "").expect("it is ours");
        assert!(require_owner(&path.join("file")).is_ok(), "no directory");
        let other = user + 12_345;
        // Only root can give something away.
        if std::os::unix::fs::chown(&path, Some(other), None).is_ok() {
            let error = make(&path).expect_err("another's").to_string();
            assert!(error.contains(&format!("sudo -u '#{other}' kernex")), "{error}");
        }
    }
}
