//! Owns where bundles' bytes are: streamed in under a temporary name, kept under their SHA-256, streamed out by range.
//!
//! ```text
//! incoming/<ulid>         what is being uploaded; swept at the start
//! sha256/ab/abcdef…       content, under its digest; never overwritten by other content
//! ```
//!
//! Content is not deleted when its bundle is retired: a device may have to go back to it.

mod incoming;
#[cfg(test)]
mod tests;

use std::error::Error as _;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use kernex_model::digest::Digest;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStore, ObjectStoreExt};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::{Mutex, MutexGuard, Semaphore};
use tokio_util::io::ReaderStream;

pub use incoming::Received;

/// Bytes of one bundle, unless a setting says otherwise. S3 moves no object of more than 5 GiB.
pub const DEFAULT_MAX_BUNDLE_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Uploads at once; one more is told to come back.
pub const MAX_UPLOADS: usize = 8;
/// A client that sends nothing for so long has gone.
pub const UPLOAD_IDLE: Duration = Duration::from_secs(30);
/// Bytes handed to the local disk at once. An upload holds about two of these.
const LOCAL_PART_BYTES: usize = 1024 * 1024;
/// Bytes handed to S3 and its like at once: above their minimum of 5 MiB. An upload holds about two of these.
const REMOTE_PART_BYTES: usize = 8 * 1024 * 1024;
/// Bytes read from the local disk at once; what a download holds, whatever the size of the bundle.
const READ_BYTES: usize = 64 * 1024;
/// What was left behind in a remote store may be another server's: only older uploads are swept.
const REMOTE_SWEEP_AGE: Duration = Duration::from_secs(24 * 3_600);
/// Locks that keep two uploads of the same content apart.
const LOCKS: usize = 64;

/// Where bundles are kept, and how large they may be.
#[derive(Debug, Clone)]
pub struct StorageSettings {
    /// `s3://bucket/prefix`, `gs://…` or `az://…`, with credentials from the environment, or
    /// `file:///directory`. `None`: `directory`.
    pub url: Option<String>,
    /// A directory of this server's own.
    pub directory: PathBuf,
    /// Bytes of one bundle.
    pub max_bundle_bytes: u64,
    /// A client that sends nothing for so long has gone.
    pub idle: Duration,
}

impl StorageSettings {
    /// A local directory, with the default limits.
    #[must_use]
    pub fn local(directory: impl Into<PathBuf>) -> Self {
        Self { url: None, directory: directory.into(), max_bundle_bytes: DEFAULT_MAX_BUNDLE_BYTES, idle: UPLOAD_IDLE }
    }

    /// The directory, where it is one.
    pub(crate) fn directory(&self) -> Option<&FsPath> {
        match &self.url {
            None => Some(&self.directory),
            Some(url) => url.strip_prefix("file://").map(FsPath::new).filter(|path| path.is_absolute()),
        }
    }
}

/// Why bytes could not be taken in or given out.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The content is larger than a bundle may be.
    #[error("larger than {limit_bytes} bytes")]
    TooLarge {
        /// What is allowed, in bytes.
        limit_bytes: u64,
    },
    /// The client sent nothing for too long.
    #[error("nothing came for {idle_s} s")]
    Stalled {
        /// How long the server waited, in seconds.
        idle_s: u32,
    },
    /// The client went away, or its request broke off.
    #[error("the body broke off: {0}")]
    Interrupted(io::Error),
    /// There is no room left.
    #[error("no room left")]
    Full,
    /// As many uploads as there may be are on their way.
    #[error("too many uploads at once")]
    Busy,
    /// The content is not there.
    #[error("the content is missing")]
    Missing,
    /// The setting names no store that can be used.
    #[error("cannot use `{url}` for bundles: {reason}")]
    Setting {
        /// The setting.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The store failed.
    #[error("bundle storage: {0}")]
    Failed(String),
}

impl From<object_store::Error> for StorageError {
    fn from(error: object_store::Error) -> Self {
        if let object_store::Error::NotFound { .. } = error {
            return Self::Missing;
        }
        let mut cause = error.source();
        while let Some(inner) = cause {
            if let Some(error) = inner.downcast_ref::<io::Error>() {
                return Self::from_io(error);
            }
            cause = inner.source();
        }
        Self::Failed(error.to_string())
    }
}

impl StorageError {
    fn from_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::Full,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Bytes on their way out.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// Where bundles' bytes are. Cheap to clone.
#[derive(Clone)]
pub struct BundleStorage {
    objects: Arc<dyn ObjectStore>,
    /// The directory, where it is one: what is in it is made durable before it is acknowledged.
    directory: Option<Arc<FsPath>>,
    /// Says to other processes that uploads in the directory may be on their way.
    _claim: Option<Arc<File>>,
    part_bytes: usize,
    max_bundle_bytes: u64,
    idle: Duration,
    uploads: Arc<Semaphore>,
    locks: Arc<[Mutex<()>]>,
}

impl fmt::Debug for BundleStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BundleStorage({})", self.objects)
    }
}

impl BundleStorage {
    /// Opens the storage and removes what interrupted uploads left behind.
    ///
    /// # Errors
    /// [`StorageError::Setting`] for a URL that names no store, [`StorageError::Failed`] where it cannot be used.
    pub async fn open(settings: &StorageSettings) -> Result<Self, StorageError> {
        let (objects, directory) = match settings.directory() {
            Some(directory) => (local(directory)?, Some(Arc::from(directory))),
            None => (remote(settings.url.as_deref().unwrap_or_default())?, None),
        };
        let storage = Self {
            _claim: directory
                .as_deref()
                .map(claim)
                .transpose()
                .map_err(|error| StorageError::from_io(&error))?
                .map(Arc::new),
            part_bytes: if directory.is_some() { LOCAL_PART_BYTES } else { REMOTE_PART_BYTES },
            objects,
            directory,
            max_bundle_bytes: settings.max_bundle_bytes,
            idle: settings.idle,
            uploads: Arc::new(Semaphore::new(MAX_UPLOADS)),
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
        };
        if storage.directory.is_none() {
            storage.sweep_remote().await?;
        }
        Ok(storage)
    }

    /// Bytes that one bundle may have.
    #[must_use]
    pub fn max_bundle_bytes(&self) -> u64 {
        self.max_bundle_bytes
    }

    /// Whether it can be used at this moment.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn probe(&self) -> Result<(), StorageError> {
        match &self.directory {
            // A directory that is gone looks like one without the content.
            Some(directory) => match tokio::fs::metadata(directory.join(incoming::PREFIX)).await {
                Ok(_) => Ok(()),
                Err(error) => Err(StorageError::from_io(&error)),
            },
            None => self.holds(&Digest::of(b"")).await.map(drop),
        }
    }

    /// Whether the store of objects at a URL answers. Changes nothing there, which opening it may.
    ///
    /// # Errors
    /// As [`BundleStorage::open`].
    pub async fn answers(url: &str) -> Result<(), StorageError> {
        match remote(url)?.head(&location(&Digest::of(b""))).await {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn sweep_remote(&self) -> Result<(), StorageError> {
        let old = chrono::Utc::now() - REMOTE_SWEEP_AGE;
        let prefix = Path::from(incoming::PREFIX);
        let found: Vec<_> = self.objects.list(Some(&prefix)).try_collect().await?;
        for object in found.into_iter().filter(|object| object.last_modified < old) {
            self.objects.delete(&object.location).await?;
        }
        Ok(())
    }

    /// Keeps two uploads of the same content apart, from the look at what there is to the commit.
    pub async fn lock(&self, digest: &Digest) -> MutexGuard<'_, ()> {
        self.locks[usize::from(digest.0[0]) % LOCKS].lock().await
    }

    /// Whether the content is there.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn holds(&self, digest: &Digest) -> Result<bool, StorageError> {
        match self.objects.head(&location(digest)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The bytes of `range`, read as fast as they are taken. The range must lie inside the content.
    ///
    /// # Errors
    /// [`StorageError::Missing`] where the content is not there.
    pub async fn read(&self, digest: &Digest, range: Range<u64>) -> Result<ByteStream, StorageError> {
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let found = self.objects.get_opts(&location(digest), options).await?;
        let range = found.range.clone();
        match found.payload {
            GetResultPayload::File(file, _) => {
                let mut file = tokio::fs::File::from_std(file);
                file.seek(io::SeekFrom::Start(range.start)).await.map_err(|error| StorageError::from_io(&error))?;
                Ok(ReaderStream::with_capacity(file.take(range.end - range.start), READ_BYTES).boxed())
            }
            GetResultPayload::Stream(stream) => Ok(stream.map_err(io::Error::other).boxed()),
        }
    }

    /// Removes content that no bundle names: that of an upload which lost against another one. Call it under
    /// [`BundleStorage::lock`]. A remote store may serve other servers, so there it stays.
    pub async fn discard(&self, digest: &Digest) {
        if self.directory.is_some()
            && let Err(error) = self.objects.delete(&location(digest)).await
        {
            tracing::warn!(bundle.sha256 = %digest, %error, "content that no bundle names could not be removed");
        }
    }
}

fn location(digest: &Digest) -> Path {
    let text = digest.to_string();
    Path::from(format!("sha256/{}/{text}", &text[..2]))
}

fn local(directory: &FsPath) -> Result<Arc<dyn ObjectStore>, StorageError> {
    let failed = |reason: String| StorageError::Setting { url: directory.display().to_string(), reason };
    std::fs::create_dir_all(directory.join(incoming::PREFIX)).map_err(|error| failed(error.to_string()))?;
    let store = LocalFileSystem::new_with_prefix(directory).map_err(|error| failed(error.to_string()))?;
    Ok(Arc::new(store))
}

fn remote(url: &str) -> Result<Arc<dyn ObjectStore>, StorageError> {
    let failed = |reason: String| StorageError::Setting { url: url.to_owned(), reason };
    let parsed = url.parse().map_err(|_| failed("not a URL".to_owned()))?;
    // Credentials and regions come as AWS_…, GOOGLE_… and AZURE_… variables, as their own tools read them.
    let (store, prefix) =
        object_store::parse_url_opts(&parsed, std::env::vars()).map_err(|error| failed(error.to_string()))?;
    Ok(Arc::new(PrefixStore::new(store, prefix)))
}

/// Claims a directory, and removes the uploads that a process left which is gone. Another one that is
/// running, such as the server beside a command, keeps its own.
fn claim(directory: &FsPath) -> io::Result<File> {
    let directory = directory.join(incoming::PREFIX);
    let claim = File::open(&directory)?;
    match claim.try_lock() {
        Ok(()) => {
            for entry in std::fs::read_dir(&directory)? {
                std::fs::remove_file(entry?.path())?;
            }
        }
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    claim.lock_shared()?;
    Ok(claim)
}

/// Makes a file, or a directory's list of names, survive a power failure.
async fn sync(paths: Vec<PathBuf>) -> Result<(), StorageError> {
    tokio::task::spawn_blocking(move || paths.iter().try_for_each(|path| File::open(path)?.sync_all()))
        .await
        .map_err(|error| StorageError::Failed(error.to_string()))?
        .map_err(|error| StorageError::from_io(&error))
}
