//! Owns the login that is kept between two commands: one file, readable by its owner only.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::CliError;

/// Who may read files with secrets: their owner.
pub(crate) const PRIVATE_FILE_MODE: u32 = 0o600;

/// One login at one server.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Credentials {
    /// The server's address.
    pub(crate) server: String,
    /// Good until `expires_at`.
    pub(crate) access_token: String,
    /// When the access token expires, in seconds since 1970.
    pub(crate) expires_at: i64,
    /// Gives the next access token, once.
    pub(crate) refresh_token: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Credentials {
    /// The kept login; `None` where there is none.
    pub(crate) fn read() -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path().ok()?).ok()?).ok()
    }

    /// Keeps the login for the commands to come.
    pub(crate) fn write(&self) -> Result<(), CliError> {
        let text = serde_json::to_vec_pretty(self).map_err(CliError::failed)?;
        let path = path()?;
        write_private(&path, &text)
            .map_err(|error| CliError::Failed(format!("cannot write {}: {error}", path.display())))
    }
}

fn path() -> Result<PathBuf, CliError> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CONFIG_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".config")))
        .map(|directory| directory.join("kernex/credentials.json"))
        .ok_or_else(|| CliError::Failed("neither XDG_CONFIG_HOME nor HOME is set".to_owned()))
}

/// Replaces a file in one step with one that only its owner reads.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE_FILE_MODE).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_owner_reads_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("below/secret.json");
        for content in ["one", "two"] {
            write_private(&path, content.as_bytes()).expect("written");
            assert_eq!(std::fs::read_to_string(&path).expect("read"), content);
            let mode = std::fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, PRIVATE_FILE_MODE);
        }
        assert_eq!(std::fs::read_dir(path.parent().expect("a parent")).expect("read").count(), 1);
    }
}
