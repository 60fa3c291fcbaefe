//! Owns bringing the schema up and down: one transaction a migration, a ledger with checksums, and a lease so that of several hosts one does it.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::Utc;
use kernex_model::time::Timestamp;
use rand::Rng as _;
use surrealdb::types::{Object, RecordId, Value, Variables};

use crate::call::CallKind;
use crate::codec::{key_of, text_of};
use crate::error::{Failure, MigrationError, StoreError};
use crate::lease;
use crate::migration_file::{MIGRATIONS, MigrationFile};
use crate::store::Store;

/// The lease's name.
const LEASE: &str = "migrations";
/// How long a host may take for one migration before another one takes over, in milliseconds.
const LEASE_MS: u32 = 60_000;
/// How long a host waits for another one that migrates.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What a `THROW` says where the lease was lost.
const FENCED: &str = "FENCED";

/// The tables that migrating itself needs; the only ones that no migration makes.
const LEDGER: &str = "
DEFINE TABLE IF NOT EXISTS migration SCHEMAFULL;
DEFINE FIELD IF NOT EXISTS name ON migration TYPE string;
DEFINE FIELD IF NOT EXISTS checksum ON migration TYPE string;
DEFINE FIELD IF NOT EXISTS applied_at ON migration TYPE string;
DEFINE TABLE IF NOT EXISTS lease SCHEMAFULL;
DEFINE FIELD IF NOT EXISTS owner ON lease TYPE string;
DEFINE FIELD IF NOT EXISTS epoch ON lease TYPE int;
DEFINE FIELD IF NOT EXISTS expires_ms ON lease TYPE int;
";

/// Where a migration stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MigrationState {
    /// It was applied.
    Applied {
        /// When.
        at: Timestamp,
    },
    /// It will be applied by the next `up`.
    Pending,
    /// It was applied in another form.
    Drifted,
    /// It was applied by a newer program.
    Unknown,
}

/// A migration and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Counted from 1.
    pub version: u32,
    /// `NNNN_verb_noun`.
    pub name: String,
    /// Where it stands.
    pub state: MigrationState,
}

/// Brings the schema of a store up and down.
#[derive(Debug, Clone)]
pub struct Migrator {
    store: Store,
    files: Vec<MigrationFile>,
}

struct Applied {
    name: String,
    checksum: String,
    at: Timestamp,
}

struct Hold {
    owner: String,
    epoch: u64,
}

impl Migrator {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, files: MIGRATIONS.to_vec() }
    }

    /// The same, as an older program would see it: only the first `count` migrations.
    #[doc(hidden)]
    #[must_use]
    pub fn first(mut self, count: usize) -> Self {
        self.files.truncate(count);
        self
    }

    /// Every migration and where it stands.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn status(&self) -> Result<Vec<MigrationStatus>, MigrationError> {
        self.lay_ledger().await?;
        let applied = self.applied().await?;
        let known = self.files.iter().map(|file| MigrationStatus {
            version: file.version,
            name: file.name.to_owned(),
            state: match applied.get(&file.version) {
                None => MigrationState::Pending,
                Some(entry) if entry.checksum == file.checksum() => MigrationState::Applied { at: entry.at },
                Some(_) => MigrationState::Drifted,
            },
        });
        let newer = applied.iter().filter(|(version, _)| self.files.iter().all(|file| file.version != **version)).map(
            |(version, entry)| MigrationStatus {
                version: *version,
                name: entry.name.clone(),
                state: MigrationState::Unknown,
            },
        );
        Ok(known.chain(newer).collect())
    }

    /// Applies every migration that was not; tells how many. Where another host does it, waits for it.
    ///
    /// # Errors
    /// Where the ledger does not fit this program, another host does not finish, or a migration fails.
    pub async fn up(&self) -> Result<usize, MigrationError> {
        self.lay_ledger().await?;
        if self.next().await?.is_none() {
            return Ok(0);
        }
        let hold = self.take_lease().await?;
        let mut count = 0;
        let outcome = loop {
            match self.next().await {
                Ok(None) => break Ok(count),
                Ok(Some(file)) => match self.apply(&hold, &file, file.up, true).await {
                    Ok(()) => count += 1,
                    Err(error) => break Err(error),
                },
                Err(error) => break Err(error),
            }
        };
        self.store.release_lease(LEASE, &hold.owner).await?;
        outcome
    }

    /// Takes the last `steps` applied migrations back; tells how many. What they made is gone, with its data.
    ///
    /// # Errors
    /// As [`Migrator::up`].
    pub async fn down(&self, steps: usize) -> Result<usize, MigrationError> {
        self.lay_ledger().await?;
        let hold = self.take_lease().await?;
        let mut count = 0;
        let outcome = loop {
            if count == steps {
                break Ok(count);
            }
            let last = match self.checked().await {
                Ok(applied) => applied.keys().next_back().copied(),
                Err(error) => break Err(error),
            };
            let Some(file) = last.and_then(|version| self.files.iter().find(|file| file.version == version)) else {
                break Ok(count);
            };
            if let Err(error) = self.apply(&hold, file, file.down, false).await {
                break Err(error);
            }
            count += 1;
        };
        self.store.release_lease(LEASE, &hold.owner).await?;
        outcome
    }

    async fn lay_ledger(&self) -> Result<(), MigrationError> {
        // Two hosts may define the same table at once: the later one finds it there.
        self.store.retried(LEDGER, Variables::new()).await.map(drop).map_err(|failure| failure.into_error().into())
    }

    async fn applied(&self) -> Result<BTreeMap<u32, Applied>, MigrationError> {
        let rows = self.store.rows("SELECT * FROM migration", Variables::new(), 0).await?;
        rows.iter()
            .map(|row| {
                let read = || {
                    let version = key_of(row)?.sort().parse().ok()?;
                    let at = text_of(row, "applied_at")?.parse().ok()?;
                    Some((version, Applied { name: text_of(row, "name")?, checksum: text_of(row, "checksum")?, at }))
                };
                let unreadable =
                    || StoreError::Unreadable { record: "migration".to_owned(), reason: "it lacks a field".to_owned() };
                read().ok_or_else(|| unreadable().into())
            })
            .collect()
    }

    /// The ledger, where it fits this program.
    async fn checked(&self) -> Result<BTreeMap<u32, Applied>, MigrationError> {
        let applied = self.applied().await?;
        let program = self.files.last().map_or(0, |file| file.version);
        if let Some(database) = applied.keys().next_back().copied().filter(|newest| *newest > program) {
            return Err(MigrationError::Newer { database, program });
        }
        for file in &self.files {
            match applied.get(&file.version) {
                Some(entry) if entry.checksum != file.checksum() => {
                    return Err(MigrationError::Drifted(entry.name.clone()));
                }
                None if applied.keys().any(|version| *version > file.version) => {
                    return Err(MigrationError::Gap(file.version));
                }
                Some(_) | None => {}
            }
        }
        Ok(applied)
    }

    async fn next(&self) -> Result<Option<MigrationFile>, MigrationError> {
        let applied = self.checked().await?;
        Ok(self.files.iter().find(|file| !applied.contains_key(&file.version)).copied())
    }

    async fn take_lease(&self) -> Result<Hold, MigrationError> {
        let owner = format!("{:032x}", rand::rng().random::<u128>());
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(epoch) = self.store.lease(LEASE, &owner, now(), LEASE_MS).await? {
                return Ok(Hold { owner, epoch });
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(MigrationError::Held);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// One migration and its ledger entry in one transaction, which fails where the lease is no longer ours.
    async fn apply(&self, hold: &Hold, file: &MigrationFile, body: &str, up: bool) -> Result<(), MigrationError> {
        let ledger = if up { "INSERT INTO migration $entry RETURN NONE;" } else { "DELETE $entry.id RETURN NONE;" };
        let text = format!(
            "BEGIN;\nLET $held = (UPDATE ONLY $lease SET expires_ms = $until WHERE owner = $owner AND epoch = $epoch RETURN AFTER);\n\
             IF $held = NONE {{ THROW '{FENCED}' }};\n{body}\n{ledger}\nCOMMIT;"
        );
        let mut entry = Object::new();
        entry.insert("id", RecordId::new("migration", format!("{:04}", file.version)));
        entry.insert("name", file.name.to_owned());
        entry.insert("checksum", file.checksum());
        entry.insert("applied_at", now().to_string());
        let mut variables = Variables::new();
        variables.insert("entry", Value::Object(entry));
        variables.insert("lease", lease::record_id(LEASE));
        variables.insert("owner", hold.owner.clone());
        variables.insert("epoch", i64::try_from(hold.epoch).unwrap_or(i64::MAX));
        variables.insert("until", now().plus_millis(i64::from(LEASE_MS)).as_millis());
        match self.store.retried_as(CallKind::Migrate, &text, variables).await {
            Ok(_) => {
                tracing::info!(migration.name = file.name, migration.up = up, "migrated");
                Ok(())
            }
            Err(Failure::Thrown(text)) if text == FENCED => Err(MigrationError::LeaseLost),
            Err(failure) => Err(MigrationError::Failed { name: file.name.to_owned(), reason: failure.into_error() }),
        }
    }
}

/// Leases between hosts need a clock that they share; no decision of the model depends on it.
fn now() -> Timestamp {
    Timestamp::from_millis(Utc::now().timestamp_millis())
}
