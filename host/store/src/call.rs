//! Owns what is told of each call to the database, for whoever counts them.

use std::time::Duration;

use crate::error::Failure;

/// One call to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// What it was for.
    pub kind: CallKind,
    /// How it ended.
    pub outcome: CallOutcome,
    /// How long it took.
    pub took: Duration,
}

/// What a call was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// Only reads.
    Read,
    /// May write.
    Write,
    /// Changes the schema: over a large table that takes minutes.
    Migrate,
}

/// How long a step of the schema may take.
const MIGRATION_LIMIT: Duration = Duration::from_secs(60 * 60);

impl CallKind {
    /// The name as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Migrate => "migrate",
        }
    }

    /// How long it may take, where others may take `usual`.
    pub(crate) fn limit(self, usual: Duration) -> Duration {
        match self {
            Self::Read | Self::Write => usual,
            Self::Migrate => MIGRATION_LIMIT,
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// It was done.
    Done,
    /// Another transaction was first.
    Collided,
    /// Refused on purpose: a record moved, or exists.
    Refused,
    /// It failed.
    Failed,
}

impl CallOutcome {
    /// The name as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Collided => "collided",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    pub(crate) fn of<T>(answer: &Result<T, Failure>) -> Self {
        match answer {
            Ok(_) => Self::Done,
            Err(Failure::Collided) => Self::Collided,
            Err(Failure::Thrown(_) | Failure::Exists(_)) => Self::Refused,
            Err(Failure::Other(_)) => Self::Failed,
        }
    }
}
