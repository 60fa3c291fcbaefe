//! Owns committing: the one place where a transaction is tried again, and where its failure gets a meaning.

use std::time::Duration;

use rand::Rng as _;
use surrealdb::types::Variables;

use crate::call::CallKind;
use crate::changes::Changes;
use crate::error::{CommitError, Failure, StoreError, UNIQUE_INDEXES};
use crate::statement::{MOVED, transaction};
use crate::store::Store;

/// How often a transaction that collides with others is tried in all.
const ATTEMPTS: u32 = 8;
/// The longest pause before the second attempt, in milliseconds; it doubles with each one.
const FIRST_PAUSE_MS: u64 = 2;
/// The longest pause before any attempt, in milliseconds.
const LONGEST_PAUSE_MS: u64 = 100;

/// Tables whose key alone may already exist.
const KEYED_TABLES: [&str; 23] = [
    "user",
    "password",
    "session",
    "api_key",
    "device",
    "bundle",
    "config",
    "deployment",
    "assignment",
    "report",
    "timeline",
    "bundle_history",
    "audit",
    "decision",
    "plan_part",
    "policy",
    "policy_head",
    "plugin",
    "plugin_part",
    "difference",
    "shadow",
    "operation",
    "presence",
];

impl Store {
    /// Commits a unit of work: all of it or nothing.
    ///
    /// # Errors
    /// See [`CommitError`]. Only after a time-out is it unknown whether it was committed.
    pub async fn commit(&self, changes: Changes) -> Result<(), CommitError> {
        changes.check()?;
        let (text, variables) = transaction(changes);
        match self.retried(&text, variables).await {
            Ok(_) => Ok(()),
            Err(Failure::Collided) => Err(CommitError::Busy),
            Err(Failure::Thrown(thrown)) => Err(match thrown.strip_prefix(MOVED) {
                Some(record) => CommitError::Conflict { what: record.to_owned() },
                None => CommitError::Failed(StoreError::Database(thrown)),
            }),
            Err(Failure::Exists(name)) => {
                let known = UNIQUE_INDEXES.iter().chain(&KEYED_TABLES).find(|known| **known == name);
                Err(known.map_or_else(
                    || CommitError::Failed(StoreError::Database(format!("{name} already exists"))),
                    |index| CommitError::Exists { index },
                ))
            }
            Err(Failure::Other(error)) => Err(CommitError::Failed(error)),
        }
    }

    /// Runs a transaction until it does not collide, at most [`ATTEMPTS`] times with a pause of full
    /// jitter in between. A time-out or an unknown outcome is not tried again.
    pub(crate) async fn retried(&self, text: &str, variables: Variables) -> Result<surrealdb::IndexedResults, Failure> {
        self.retried_as(CallKind::Write, text, variables).await
    }

    pub(crate) async fn retried_as(
        &self,
        kind: CallKind,
        text: &str,
        variables: Variables,
    ) -> Result<surrealdb::IndexedResults, Failure> {
        let mut longest = FIRST_PAUSE_MS;
        for _ in 1..ATTEMPTS {
            match self.try_query(kind, text, variables.clone()).await {
                Err(Failure::Collided) => {
                    let pause = rand::rng().random_range(1..=longest);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    longest = (longest * 2).min(LONGEST_PAUSE_MS);
                }
                outcome => return outcome,
            }
        }
        self.try_query(kind, text, variables).await
    }
}
