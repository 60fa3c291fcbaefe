//! Owns how policies are stored: each with the numbers of the revisions that decide and look on, and every revision
//! for ever.

use kernex_model::document::{Policy, PolicyRevision};
use kernex_model::name::PolicyName;

use crate::cursor::{Listed, Page};
use crate::error::StoreError;
use crate::key::{Key, descending};
use crate::record::{Record, Revised};
use crate::store::Store;
use crate::walk::Walk;

/// Policies that there can be: they are read at once.
pub const MAX_POLICIES: usize = 1_000;

impl Record for PolicyRevision {
    type Id = (PolicyName, u64);
    const TABLE: &'static str = "policy";
    const OPAQUE: &'static [&'static str] = &["settings"];

    fn key_of((name, revision): &Self::Id) -> Key {
        Key::Two(name.to_string(), descending(*revision))
    }

    fn key(&self) -> Key {
        Self::key_of(&(self.name.clone(), self.revision))
    }

    fn id_text(_: &Key) -> Option<String> {
        None
    }
}

impl Record for Policy {
    type Id = PolicyName;
    const TABLE: &'static str = "policy_head";

    fn key_of(name: &PolicyName) -> Key {
        Key::One(name.to_string())
    }

    fn key(&self) -> Key {
        Self::key_of(&self.name)
    }

    fn id_text(_: &Key) -> Option<String> {
        None
    }
}

impl Revised for Policy {
    fn revision(&self) -> u64 {
        self.revision
    }
}

impl Store {
    /// Every policy, by name.
    ///
    /// # Errors
    /// Where the database fails or there are more than 1,000.
    pub async fn policies(&self) -> Result<Vec<Policy>, StoreError> {
        self.walk_all(&Walk::Table, "policies", 2 * MAX_POLICIES).await
    }

    /// One policy.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn policy(&self, name: &PolicyName) -> Result<Option<Policy>, StoreError> {
        self.get(name).await
    }

    /// One revision of a policy.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn policy_revision(
        &self,
        name: &PolicyName,
        revision: u64,
    ) -> Result<Option<PolicyRevision>, StoreError> {
        self.get(&(name.clone(), revision)).await
    }

    /// The number of a policy's newest revision; 0 where it has none.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn newest_policy_revision(&self, name: &PolicyName) -> Result<u64, StoreError> {
        let newest = self.list_policy_revisions(name, &Page::first(1)).await?.items;
        Ok(newest.first().map_or(0, |newest| newest.revision))
    }

    /// A policy's revisions, newest first.
    ///
    /// # Errors
    /// Where the database fails or the cursor is another list's.
    pub async fn list_policy_revisions(
        &self,
        name: &PolicyName,
        page: &Page,
    ) -> Result<Listed<PolicyRevision>, StoreError> {
        self.list(&Walk::Group(name.to_string()), page).await
    }
}
