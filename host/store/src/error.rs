//! Owns what can go wrong, and the reading of SurrealDB's errors into it.

use surrealdb::IndexedResults;
use surrealdb::types::{Error as DbError, QueryError};

/// Bytes of a database's error message that are kept: a message may repeat a whole record.
const MAX_MESSAGE_BYTES: usize = 400;

/// The names of the unique indexes, as `migrations/` defines them.
pub(crate) const UNIQUE_INDEXES: [&str; 4] = ["user_username", "user_email", "device_key", "bundle_version"];

/// The store could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No answer in time. What was asked for may still happen.
    #[error("the database did not answer within {limit_ms} ms")]
    TimedOut {
        /// The time-out, in milliseconds.
        limit_ms: u64,
    },
    /// The database cannot be reached.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The store was closed by this process.
    #[error("the store is closed")]
    Closed,
    /// The database refused or failed.
    #[error("the database failed: {0}")]
    Database(String),
    /// A record is not what this version can read.
    #[error("the record {record} cannot be read: {reason}")]
    Unreadable {
        /// Table and key.
        record: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A cursor of another list, or of the same with another filter.
    #[error("the cursor belongs to another list")]
    ForeignCursor,
    /// More than one call may hold.
    #[error("{what}: at most {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

/// The store could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another process has the directory.
    #[error("another process has the store at {0} open")]
    Held(String),
    /// The directory holds something that the engine cannot open.
    #[error("the store at {path} is damaged or was written by something else: {reason}")]
    Damaged {
        /// Its address.
        path: String,
        /// The engine's words.
        reason: String,
    },
    /// The server refused the user or password.
    #[error("the database server refused the user or password")]
    Refused,
    /// The server cannot be reached.
    #[error("the database server at {address} cannot be reached: {reason}")]
    Unreachable {
        /// Its address.
        address: String,
        /// Why.
        reason: String,
    },
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] StoreError),
}

/// A unit of work was not committed: nothing of it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A record moved on since it was read, or is gone.
    #[error("{what} was changed by somebody else in the meantime")]
    Conflict {
        /// Table and key.
        what: String,
    },
    /// A unique index, or a table whose key must be new, already holds the value.
    #[error("{index} already holds such a value")]
    Exists {
        /// The index, such as `user_username`, or the table where it is the key itself.
        index: &'static str,
    },
    /// Others kept writing the same records: every attempt collided.
    #[error("the database is too busy with the same records")]
    Busy,
    /// The database failed. After a time-out the outcome is unknown.
    #[error(transparent)]
    Failed(#[from] StoreError),
}

/// The schema could not be brought to where it was asked to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MigrationError {
    /// An applied migration is not the one that this program carries.
    #[error("migration {0} was changed after it was applied: its checksum differs")]
    Drifted(String),
    /// The database has been migrated by a newer program.
    #[error("the database is at migration {database}, this program knows {program}: use a newer program")]
    Newer {
        /// The database's newest migration.
        database: u32,
        /// This program's newest migration.
        program: u32,
    },
    /// A migration is missing in the middle of what was applied.
    #[error("migration {0} is missing although later ones were applied")]
    Gap(u32),
    /// Another host migrates, and did not finish in time.
    #[error("another host is migrating the database")]
    Held,
    /// This host took too long and another one has taken over.
    #[error("the lease on migrating was lost to another host")]
    LeaseLost,
    /// A migration failed; nothing of it was written.
    #[error("migration {name} failed: {reason}")]
    Failed {
        /// Which one.
        name: String,
        /// Why.
        reason: StoreError,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a query failed, as far as it matters to who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Another transaction was first; the same may succeed when tried again.
    Collided,
    /// `THROW` with this text.
    Thrown(String),
    /// A record or an index entry exists already.
    Exists(String),
    /// Anything else.
    Other(StoreError),
}

impl Failure {
    /// For queries that expect neither a collision nor a `THROW`.
    pub(crate) fn into_error(self) -> StoreError {
        match self {
            Self::Collided => StoreError::Database("transaction conflict".to_owned()),
            Self::Thrown(text) | Self::Exists(text) => StoreError::Database(text),
            Self::Other(error) => error,
        }
    }
}

/// Reads one error of the database.
pub(crate) fn read(error: &DbError) -> Failure {
    let text = error.message();
    let conflict = matches!(error.query_details(), Some(QueryError::TransactionConflict))
        || text.contains("This transaction can be retried");
    if conflict && !text.contains("commit outcome is unknown") {
        return Failure::Collided;
    }
    if error.is_thrown() {
        return Failure::Thrown(text.strip_prefix("An error occurred: ").unwrap_or(text).to_owned());
    }
    if let Some(index) = between(text, "Database index `", "` already contains") {
        return Failure::Exists(index.to_owned());
    }
    if error.is_already_exists()
        && let Some(record) = between(text, "Database record `", "` already exists")
    {
        return Failure::Exists(record.split(':').next().unwrap_or(record).to_owned());
    }
    let message: String = text.chars().take(MAX_MESSAGE_BYTES).collect();
    Failure::Other(if error.is_connection() { StoreError::Unreachable(message) } else { StoreError::Database(message) })
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

/// The reason why a query of several statements failed. Those that were only not executed because
/// another one failed come last, so that they do not hide it; a collision comes first, because it
/// shows on `COMMIT` only.
pub(crate) fn reason(results: &mut IndexedResults) -> Option<Failure> {
    let errors = results.take_errors();
    let mut failures: Vec<(bool, usize, Failure)> = errors
        .iter()
        .map(|(slot, error)| {
            let skipped = matches!(error.query_details(), Some(QueryError::NotExecuted));
            (skipped, *slot, read(error))
        })
        .collect();
    failures.sort_by_key(|(skipped, slot, failure)| (*failure != Failure::Collided, *skipped, *slot));
    failures.into_iter().next().map(|(_, _, failure)| failure)
}
