//! Owns the login that is kept between two commands: one file, readable by its owner only.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::lock::FileLock;
use super::plugin::file::read;
use super::{ApiError, CliError};

/// Who may read files with secrets: their owner.
pub(crate) const PRIVATE_FILE_MODE: u32 = 0o600;
/// Size of the file, in bytes: both tokens are much shorter.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// How long another command may take to renew the login: longer than one call.
const LOCK_PATIENCE: Duration = Duration::from_secs(120);
/// An access token is renewed when it has less than this left, in seconds.
const RENEW_BEFORE_S: i64 = 60;

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
    /// Whether the access token is good for a while yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.expires_at.saturating_sub(now_s()) > RENEW_BEFORE_S
    }
}

/// The file with the login.
#[derive(Debug)]
pub(crate) struct CredentialsFile {
    path: PathBuf,
}

impl CredentialsFile {
    /// Where the login of this process's user is kept; `None` where no variable says where that is.
    pub(crate) fn own() -> Option<Self> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let directory = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
        Some(Self::at(directory.join("kernex/credentials.json")))
    }

    /// The file at a path.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The kept login; `None` where there is none.
    ///
    /// # Errors
    /// Where there is a file that cannot be read, or holds something else.
    pub(crate) fn read(&self) -> Result<Option<Credentials>, CliError> {
        let text = match read(&self.path, MAX_FILE_BYTES) {
            Ok(text) => text,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(CliError::failed(error)),
        };
        // The error's own text may quote what stands there, such as a token.
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            CliError::Failed(format!(
                "{} holds no login (line {}, column {}): remove it and use `kernex login --username NAME`",
                self.path.display(),
                error.line(),
                error.column()
            ))
        })
    }

    /// Keeps the login for the commands to come. Whoever calls has the lock.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(crate) fn write(&self, credentials: &Credentials) -> Result<(), CliError> {
        let text = serde_json::to_vec_pretty(credentials).map_err(CliError::failed)?;
        write_private(&self.path, &text)
            .map_err(|error| CliError::Failed(format!("cannot write {}: {error}", self.path.display())))
    }

    /// Keeps other commands from changing the login, until what is given is dropped.
    ///
    /// # Errors
    /// Where another command does not let go of it, and where the lock cannot be made.
    pub(crate) async fn lock(&self) -> Result<FileLock, CliError> {
        // Not the file itself: every login is a new one of that name.
        let path = self.path.with_extension("lock");
        let failed = |error: std::io::Error| CliError::Failed(format!("cannot lock {}: {error}", path.display()));
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        let lock = FileLock::take(&path, LOCK_PATIENCE).await.map_err(failed)?;
        lock.ok_or_else(|| ApiError::LoginBusy(LOCK_PATIENCE).into())
    }
}

/// This machine's time, in seconds since 1970.
pub(crate) fn now_s() -> i64 {
    // A clock before 1970 makes every token look fresh; the server will say that it is not.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
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

    #[test]
    fn only_a_file_that_is_not_there_is_nobody() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = CredentialsFile::at(directory.path().join("below/credentials.json"));
        assert!(file.read().expect("nobody").is_none());
        let login = Credentials {
            server: "http://there".to_owned(),
            access_token: "access".to_owned(),
            expires_at: now_s() + RENEW_BEFORE_S + 10,
            refresh_token: "hunter2".to_owned(),
        };
        assert!(login.is_fresh());
        assert!(!Credentials { expires_at: now_s(), ..login.clone() }.is_fresh());
        assert!(!format!("{login:?}").contains("hunter2"), "{login:?}");
        file.write(&login).expect("written");
        assert_eq!(file.read().expect("a login").expect("somebody").refresh_token, "hunter2");

        // Damaged: the expiry is the token.
        std::fs::write(&file.path, r#"{"server":"http://there","expires_at":"hunter2"}"#).expect("written");
        let error = file.read().expect_err("no login").to_string();
        assert!(error.contains("holds no login") && error.contains("kernex login --username"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        std::fs::remove_file(&file.path).expect("ours");
        std::fs::create_dir(&file.path).expect("a directory instead");
        assert!(file.read().expect_err("a directory").to_string().contains("cannot read"));
    }
}
