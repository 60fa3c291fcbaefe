//! Owns the use cases of bundles: upload, list, read, retire and download; and what a bundle is called.

mod names;
pub mod storage;

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use kernex_model::action::Action;
use kernex_model::attribute::Labels;
use kernex_model::bundle::{Bundle, BundleStatus};
use kernex_model::digest::Digest;
use kernex_model::id::{BundleId, DeviceId};
use kernex_model::name::{BundleName, BundleVersion, MediaType};
use kernex_model::policy::Fact;
use kernex_model::principal::Principal;
use kernex_model::report::{Command, CommandKind};
use kernex_store::{CommitError, Listed, Page};

use super::{App, AppError, Caller, Grant, steps};
use storage::{BundleStorage, ByteStream, Received, StorageError};

pub use names::{BundleNames, MAX_BUNDLES};

/// Bytes of a bundle's detached signature, as text.
pub const MAX_SIGNATURE_BYTES: usize = 4_096;
/// What the resource is called in policies and audit records.
const KIND: &str = "bundle";

/// What is uploaded, apart from its bytes.
#[derive(Debug, Clone)]
pub struct NewBundle {
    /// Name.
    pub name: BundleName,
    /// Version; name and version together are unique.
    pub version: BundleVersion,
    /// Media type of the content.
    pub media_type: MediaType,
    /// Labels.
    pub labels: Labels,
    /// Detached signature for the device to check.
    pub signature: Option<String>,
    /// The SHA-256 that the client expects.
    pub sha256: Option<Digest>,
    /// The size that the client announced, in bytes.
    pub size: Option<u64>,
}

/// How an upload came out.
#[derive(Debug, Clone, PartialEq)]
pub enum Uploaded {
    /// A new bundle.
    Created(Bundle),
    /// The same content was there before under the same name and version.
    Existing(Bundle),
}

/// A bundle whose bytes the caller may have.
#[derive(Debug, Clone)]
pub struct Content {
    /// The bundle.
    pub bundle: Bundle,
    storage: BundleStorage,
}

impl Content {
    /// The bytes of `range`, which must lie inside the content.
    ///
    /// # Errors
    /// [`AppError::NotFound`] where the storage has lost the bytes.
    pub async fn read(&self, range: Range<u64>) -> Result<ByteStream, AppError> {
        Ok(self.storage.read(&self.bundle.sha256, range).await?)
    }
}

impl From<StorageError> for AppError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::TooLarge { limit_bytes } => Self::TooLarge { limit_bytes },
            StorageError::Stalled { idle_s } => Self::Stalled { idle_s },
            StorageError::Interrupted(_) => Self::invalid("body-interrupted", "the body broke off before its end"),
            StorageError::Full => Self::StorageFull,
            StorageError::Busy => Self::Busy,
            StorageError::Missing => Self::Internal("the content of a bundle is missing in the storage".to_owned()),
            StorageError::Setting { .. } | StorageError::Failed(_) => Self::Internal(error.to_string()),
        }
    }
}

impl NewBundle {
    /// What can be said before the first byte of the body has come.
    fn check(&self, limit_bytes: u64) -> Result<(), AppError> {
        if self.size.is_some_and(|size| size > limit_bytes) {
            return Err(AppError::TooLarge { limit_bytes });
        }
        let Some(signature) = &self.signature else { return Ok(()) };
        if signature.is_empty()
            || signature.len() > MAX_SIGNATURE_BYTES
            || !signature.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        {
            let detail = format!("a signature is printable ASCII of 1 to {MAX_SIGNATURE_BYTES} bytes");
            return Err(AppError::field("invalid-signature", "X-Bundle-Signature", detail));
        }
        Ok(())
    }

    /// Whether the content cannot be that of `existing`, as far as the client announced it.
    fn differs_from(&self, existing: &Bundle) -> bool {
        self.size.is_some_and(|size| size != existing.size)
            || self.sha256.is_some_and(|digest| digest != existing.sha256)
    }

    fn facts(&self) -> Vec<Fact> {
        vec![Fact::text("bundle.name", self.name.as_str()), Fact::text("bundle.version", self.version.as_str())]
    }
}

fn bundle_exists(existing: &Bundle) -> AppError {
    AppError::conflict(
        "bundle-exists",
        format!("{} {} exists with other content, as {}", existing.name, existing.version, existing.id),
    )
}

impl App {
    /// Takes a bundle in. The body is read only as fast as it is written; whatever way it breaks off,
    /// nothing of it is left.
    ///
    /// # Errors
    /// 400 where the digest differs or the body is empty, 409 `bundle-exists`, 413, 408, 507.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn upload_bundle<S>(&self, caller: &Caller, new: NewBundle, body: S) -> Result<Uploaded, AppError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send,
    {
        let grant = self.gatekeeper.authorize(caller, Action::BundleUpload, KIND, None, new.facts())?;
        new.check(self.storage.max_bundle_bytes())?;
        // Only what was announced can refuse an upload before its body is there.
        if let Some(existing) = self.store.bundle_by_name(&new.name, &new.version).await?
            && new.differs_from(&existing)
        {
            return Err(bundle_exists(&existing));
        }
        if self.bundle_names.is_full() {
            return Err(AppError::conflict(
                "too-many-bundles",
                format!("there are {MAX_BUNDLES} bundles; no more can be kept"),
            ));
        }
        let received = self.storage.receive(self.context.ulid(), body).await?;
        if let Err(error) = verify(&new, &received) {
            received.remove().await;
            return Err(error);
        }
        self.keep_bundle(grant, new, received).await
    }

    async fn keep_bundle(&self, grant: Grant, new: NewBundle, received: Received) -> Result<Uploaded, AppError> {
        let (sha256, size) = (received.sha256, received.size);
        let _alone = self.storage.lock(&sha256).await;
        if let Some(existing) = self.store.bundle_by_name(&new.name, &new.version).await? {
            return self.keep_existing(existing, received).await;
        }
        let fresh = received.keep().await?;
        let bundle = Bundle {
            id: BundleId(self.context.ulid()),
            name: new.name,
            version: new.version,
            size,
            sha256,
            media_type: new.media_type,
            labels: new.labels,
            signature: new.signature,
            status: BundleStatus::Available,
            created_by: grant.caller().principal,
            created_at: self.context.now(),
            revision: 1,
        };
        let detail =
            serde_json::json!({ "name": bundle.name, "version": bundle.version, "sha256": sha256, "size": size });
        let mut changes = grant.on(bundle.id).changes(Some(detail));
        changes.create(&bundle);
        let error = match self.store.commit(changes).await {
            Ok(()) => {
                self.bundle_names.learn(&bundle);
                return Ok(Uploaded::Created(bundle));
            }
            // After a time-out the record may be there: then its bytes must be, too.
            Err(CommitError::Failed(error)) => return Err(error.into()),
            Err(error) => error,
        };
        if fresh {
            self.storage.discard(&sha256).await;
        }
        // Another upload of the same name and version was first.
        match self.store.bundle_by_name(&bundle.name, &bundle.version).await? {
            Some(existing) if existing.sha256 == sha256 => Ok(Uploaded::Existing(existing)),
            Some(existing) => Err(bundle_exists(&existing)),
            None => Err(error.into()),
        }
    }

    /// The same content once more: puts it back where the storage had lost it.
    async fn keep_existing(&self, existing: Bundle, received: Received) -> Result<Uploaded, AppError> {
        if existing.sha256 != received.sha256 {
            received.remove().await;
            return Err(bundle_exists(&existing));
        }
        received.keep().await?;
        Ok(Uploaded::Existing(existing))
    }

    /// Lists bundles, newest first.
    ///
    /// # Errors
    /// Denied, or a cursor of another list.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn list_bundles(&self, caller: &Caller, page: &Page) -> Result<Listed<Bundle>, AppError> {
        self.gatekeeper.authorize(caller, Action::BundleList, KIND, None, Vec::new())?;
        Ok(self.store.list_bundles(page).await?)
    }

    /// One bundle.
    ///
    /// # Errors
    /// Denied or not found.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn get_bundle(&self, caller: &Caller, id: BundleId) -> Result<Bundle, AppError> {
        self.gatekeeper.authorize(caller, Action::BundleRead, KIND, Some(id.to_string()), Vec::new())?;
        self.bundle(id).await
    }

    /// A bundle, for the host's own use.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn bundle(&self, id: BundleId) -> Result<Bundle, AppError> {
        self.store.bundle(id).await?.ok_or(AppError::NotFound(KIND))
    }

    /// Takes a bundle out of use: no new deployment may name it. Its bytes stay, because a device may have
    /// to go back to it. Doing it again changes nothing, and a bad bundle stays bad.
    ///
    /// # Errors
    /// Denied, not found, or changed at the same time.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn retire_bundle(&self, caller: &Caller, id: BundleId) -> Result<Bundle, AppError> {
        let grant = self.gatekeeper.authorize(caller, Action::BundleRetire, KIND, Some(id.to_string()), Vec::new())?;
        let bundle = self.bundle(id).await?;
        match bundle.status {
            BundleStatus::Available => {}
            BundleStatus::Bad | BundleStatus::Retired => return Ok(bundle),
        }
        let retired = Bundle { status: BundleStatus::Retired, ..bundle };
        let mut changes = grant.changes(None);
        changes.update(&retired);
        self.store.commit(changes).await?;
        Ok(Bundle { revision: retired.revision + 1, ..retired })
    }

    /// A bundle's content, for operators.
    ///
    /// # Errors
    /// Denied or not found.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn download_bundle(&self, caller: &Caller, id: BundleId) -> Result<Content, AppError> {
        self.gatekeeper.authorize(caller, Action::BundleDownload, KIND, Some(id.to_string()), Vec::new())?;
        Ok(Content { bundle: self.bundle(id).await?, storage: self.storage.clone() })
    }

    /// A bundle's content, for a device that a command told to get it. The policy is asked with the fact
    /// `bundle.target`; where it is false the host refuses, whatever the policy says.
    ///
    /// # Errors
    /// Denied: by the policy, for a device that it is not meant for, and for a bad bundle that is not the
    /// way back.
    #[tracing::instrument(level = "debug", skip_all, fields(device.id, assignment.id, deployment.id, bundle.id))]
    pub async fn download_bundle_as_device(&self, caller: &Caller, id: BundleId) -> Result<Content, AppError> {
        let device = match caller.principal {
            Principal::Device(device) => Some(device),
            Principal::User(_) | Principal::Service(_) | Principal::Anonymous | Principal::System => None,
        };
        let command = device.and_then(|device| self.command_for(device, id));
        if let Some(device) = device {
            steps::note(device, command.as_ref().map(|command| command.assignment_id), Some(id));
        }
        // The bundle is a fact, not the resource: devices may act on themselves only.
        let asked = vec![Fact::text("bundle.id", id.to_string()), Fact::boolean("bundle.target", command.is_some())];
        self.gatekeeper.authorize(caller, Action::BundleDownload, KIND, None, asked)?;
        // Whether a bundle exists that is not meant for the device is none of its business.
        let Some(kind) = command.map(|command| command.kind) else { return Err(not_a_target()) };
        let bundle = self.bundle(id).await?;
        match (bundle.status, kind) {
            (BundleStatus::Bad, CommandKind::Install | CommandKind::Configure) => Err(not_a_target()),
            (BundleStatus::Bad, CommandKind::Rollback) | (BundleStatus::Available | BundleStatus::Retired, _) => {
                Ok(Content { bundle, storage: self.storage.clone() })
            }
        }
    }

    /// The device's present command, where it names the bundle.
    fn command_for(&self, device: DeviceId, bundle: BundleId) -> Option<Arc<Command>> {
        let names = |command: &Arc<Command>| command.bundle.as_ref().is_some_and(|named| named.id == bundle);
        self.fleet.command(device).filter(names)
    }
}

fn not_a_target() -> AppError {
    AppError::Forbidden { code: "not-a-target", detail: "the device has no command for this bundle".to_owned() }
}

fn verify(new: &NewBundle, received: &Received) -> Result<(), AppError> {
    if received.size == 0 {
        return Err(AppError::invalid("empty-body", "a bundle has at least one byte"));
    }
    match new.sha256 {
        Some(expected) if expected != received.sha256 => {
            let detail = format!("the content's SHA-256 is {}, not {expected}", received.sha256);
            Err(AppError::field("digest-mismatch", "Repr-Digest", detail))
        }
        Some(_) | None => Ok(()),
    }
}
