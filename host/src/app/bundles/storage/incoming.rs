//! Owns an upload on its way in: bounded parts, the digest as it streams, and nothing left behind when it breaks off.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use kernex_model::digest::Digest;
use kernex_model::id::Ulid;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use super::{BundleStorage, StorageError, location, sync};

/// Where uploads are until they are complete.
pub(super) const PREFIX: &str = "incoming";

/// How many idle times one part may take: a client that drips is no better than one that is silent.
const PART_IDLES: u32 = 10;

/// Content that is complete and durable under its temporary name. Dropped, it is removed.
#[derive(Debug)]
pub struct Received {
    /// SHA-256 of the content.
    pub sha256: Digest,
    /// Bytes of content.
    pub size: u64,
    storage: BundleStorage,
    temporary: Temporary,
    _permit: OwnedSemaphorePermit,
}

/// A temporary object. Whatever way its upload ends, it goes.
#[derive(Debug)]
struct Temporary {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    upload: Option<Box<dyn MultipartUpload>>,
    gone: bool,
}

impl Temporary {
    async fn remove(&mut self) {
        self.gone = true;
        let removed = match self.upload.take() {
            Some(mut upload) => upload.abort().await,
            None => self.objects.delete(&self.path).await,
        };
        if let Err(error) = removed {
            tracing::warn!(path = %self.path, %error, "what an upload left behind could not be removed; it goes at the next start");
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        // The caller went away in the middle. Without a runtime the process ends: the next start sweeps.
        let mut left =
            Self { objects: self.objects.clone(), path: self.path.clone(), upload: self.upload.take(), gone: true };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { left.remove().await });
        }
    }
}

/// Cuts a body into parts of one size; the last may be shorter.
struct Parts<'a, S> {
    body: Pin<&'a mut S>,
    rest: Bytes,
    idle: Duration,
}

impl<S: Stream<Item = io::Result<Bytes>>> Parts<'_, S> {
    /// The next part; empty at the end of the body.
    async fn next(&mut self, part_bytes: usize) -> Result<PutPayload, StorageError> {
        let mut part = Vec::new();
        let mut missing = part_bytes;
        while missing > 0 {
            if self.rest.is_empty() {
                match tokio::time::timeout(self.idle, self.body.next()).await {
                    Ok(Some(Ok(bytes))) => self.rest = bytes,
                    Ok(Some(Err(error))) => return Err(StorageError::Interrupted(error)),
                    Ok(None) => break,
                    Err(_) => return Err(stalled(self.idle)),
                }
            }
            let taken = self.rest.split_to(missing.min(self.rest.len()));
            missing -= taken.len();
            part.push(taken);
        }
        Ok(part.into_iter().collect())
    }
}

impl BundleStorage {
    /// Takes a body in, part by part: the next is read when the last was written. `id` must be new.
    ///
    /// # Errors
    /// [`StorageError`]; nothing of the body is left then.
    pub async fn receive<S>(&self, id: Ulid, body: S) -> Result<Received, StorageError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send,
    {
        let permit = self.uploads.clone().try_acquire_owned().map_err(|_| StorageError::Busy)?;
        let path = Path::from(format!("{PREFIX}/{id}"));
        let upload = self.objects.put_multipart(&path).await?;
        let mut temporary = Temporary { objects: self.objects.clone(), path, upload: Some(upload), gone: false };
        match self.write(&mut temporary, body).await {
            Ok((sha256, size)) => Ok(Received { sha256, size, storage: self.clone(), temporary, _permit: permit }),
            Err(error) => {
                temporary.remove().await;
                Err(error)
            }
        }
    }

    async fn write<S>(&self, temporary: &mut Temporary, body: S) -> Result<(Digest, u64), StorageError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send,
    {
        let body = std::pin::pin!(body);
        let mut parts = Parts { body, rest: Bytes::new(), idle: self.idle };
        let upload = temporary.upload.as_mut().ok_or(StorageError::Missing)?;
        let (mut hasher, mut size) = (Sha256::new(), 0_u64);
        loop {
            let part = tokio::time::timeout(self.idle * PART_IDLES, parts.next(self.part_bytes)).await;
            let part = part.map_err(|_| stalled(self.idle * PART_IDLES))??;
            let length = part.content_length();
            if length == 0 {
                break;
            }
            size += length as u64;
            if size > self.max_bundle_bytes {
                return Err(StorageError::TooLarge { limit_bytes: self.max_bundle_bytes });
            }
            let (written, hashed) = tokio::join!(upload.put_part(part.clone()), hash(hasher, part));
            written?;
            hasher = hashed?;
        }
        upload.complete().await?;
        temporary.upload = None;
        if let Some(directory) = &self.directory {
            sync(vec![directory.join(temporary.path.as_ref())]).await?;
        }
        Ok((Digest(hasher.finalize().into()), size))
    }
}

fn stalled(waited: Duration) -> StorageError {
    StorageError::Stalled { idle_s: u32::try_from(waited.as_secs()).unwrap_or(u32::MAX) }
}

/// Adds a part to the digest, away from the threads that serve other requests.
async fn hash(mut hasher: Sha256, part: PutPayload) -> Result<Sha256, StorageError> {
    tokio::task::spawn_blocking(move || {
        part.iter().for_each(|bytes| hasher.update(bytes));
        hasher
    })
    .await
    .map_err(|error| StorageError::Failed(error.to_string()))
}

impl Received {
    /// Moves the content to where its digest says. True if it was not there before. Call it under
    /// [`BundleStorage::lock`].
    ///
    /// # Errors
    /// Where the store fails; the content is removed then.
    pub async fn keep(mut self) -> Result<bool, StorageError> {
        if self.storage.holds(&self.sha256).await? {
            self.temporary.remove().await;
            return Ok(false);
        }
        let kept = location(&self.sha256);
        self.temporary.objects.rename(&self.temporary.path, &kept).await?;
        self.temporary.gone = true;
        if let Some(directory) = &self.storage.directory {
            let file = directory.join(kept.as_ref());
            let parents = file.ancestors().skip(1).take_while(|parent| parent.starts_with(directory)).map(Into::into);
            if let Err(error) = sync(parents.collect()).await {
                self.storage.discard(&self.sha256).await;
                return Err(error);
            }
        }
        Ok(true)
    }

    /// Removes the content.
    pub async fn remove(mut self) {
        self.temporary.remove().await;
    }
}
