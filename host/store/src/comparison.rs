//! Owns how differences between two revisions of a policy are stored, and what a revision that looks on has been seen
//! to do.

use kernex_model::comparison::{Difference, ShadowRecord};
use kernex_model::id::DifferenceId;
use kernex_model::name::PolicyName;
use surrealdb::types::Variables;

use crate::changes::Changes;
use crate::cursor::{Listed, Page};
use crate::error::{CommitError, Failure, StoreError};
use crate::key::{Key, LAST, complement, complemented};
use crate::record::{Record, Revised};
use crate::store::Store;
use crate::walk::{Walk, pair};

/// Differences that are kept of one revision; further ones are only counted.
pub const MAX_DIFFERENCES: u64 = 10_000;

/// Differences that are written in one transaction.
const TOGETHER: usize = 1_000;

/// A revision of a policy, as differences are grouped.
fn group(policy: &PolicyName, revision: u64) -> String {
    format!("{policy}/{revision}")
}

impl Record for Difference {
    type Id = (PolicyName, u64, DifferenceId);
    const TABLE: &'static str = "difference";
    const OPAQUE: &'static [&'static str] = &["input", "decided", "candidate"];
    const APPEND_ONLY: bool = true;

    fn key_of((policy, revision, id): &Self::Id) -> Key {
        Key::Two(group(policy, *revision), complement(id.0))
    }

    fn key(&self) -> Key {
        Self::key_of(&(self.policy.clone(), self.revision, self.id))
    }

    fn id_text(key: &Key) -> Option<String> {
        complemented(key.sort()).map(|ulid| DifferenceId(ulid).to_string())
    }
}

impl Record for ShadowRecord {
    type Id = (PolicyName, u64);
    const TABLE: &'static str = "shadow";
    const OPAQUE: &'static [&'static str] = &["comparison"];

    fn key_of((policy, candidate): &Self::Id) -> Key {
        Key::Two(policy.to_string(), format!("{candidate:020}"))
    }

    fn key(&self) -> Key {
        Self::key_of(&(self.policy.clone(), self.candidate))
    }

    fn id_text(_: &Key) -> Option<String> {
        None
    }
}

impl Revised for ShadowRecord {
    fn revision(&self) -> u64 {
        self.revision
    }
}

impl Store {
    /// What a revision that looks on has been seen to do.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn shadow(&self, policy: &PolicyName, candidate: u64) -> Result<Option<ShadowRecord>, StoreError> {
        self.get(&(policy.clone(), candidate)).await
    }

    /// Writes what was counted, on the record that was read.
    ///
    /// # Errors
    /// Where the database fails, or somebody else counted meanwhile.
    pub async fn count_shadow(&self, record: &ShadowRecord, known: bool) -> Result<(), CommitError> {
        let mut changes = Changes::unaudited();
        if known {
            changes.update(record);
        } else {
            changes.create(record);
        }
        self.commit(changes).await
    }

    /// Keeps differences that were counted. Killed before that, they are counted all the same.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn keep_differences(&self, differences: &[Difference]) -> Result<(), CommitError> {
        for together in differences.chunks(TOGETHER) {
            let mut changes = Changes::unaudited();
            for difference in together {
                changes.put(difference);
            }
            self.commit(changes).await?;
        }
        Ok(())
    }

    /// Differences of a revision, newest first.
    ///
    /// # Errors
    /// Where the database fails or the cursor is another list's.
    pub async fn list_differences(
        &self,
        policy: &PolicyName,
        revision: u64,
        page: &Page,
    ) -> Result<Listed<Difference>, StoreError> {
        self.list(&Walk::Group(group(policy, revision)), page).await
    }

    /// Forgets what revisions of a policy that looked on were seen to do.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn forget_shadows(&self, policy: &PolicyName) -> Result<(), StoreError> {
        let (from, to) = (format!("{policy}/"), format!("{policy}/{LAST}"));
        for (table, from, to) in [
            (Difference::TABLE, pair(&from, ""), pair(&to, LAST)),
            (ShadowRecord::TABLE, pair(policy.as_str(), ""), pair(policy.as_str(), LAST)),
        ] {
            let mut variables = Variables::new();
            variables.insert("from", from);
            variables.insert("to", to);
            let text = format!("DELETE type::record('{table}', $from>..$to) RETURN NONE");
            self.retried(&text, variables).await.map_err(Failure::into_error)?;
        }
        Ok(())
    }
}
