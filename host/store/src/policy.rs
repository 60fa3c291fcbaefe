//! Owns how policy revisions are stored: every revision for ever, those that decide by an index.

use kernex_model::document::PolicyRevision;
use kernex_model::name::PolicyName;
use surrealdb::types::{Object, Variables};

use crate::codec;
use crate::error::StoreError;
use crate::key::{Key, descending};
use crate::record::Record;
use crate::store::Store;
use crate::walk::Walk;

/// Policy revisions that are read at once.
const MAX_REVISIONS: usize = 10_000;

fn standing(active: bool) -> &'static str {
    if active { "active" } else { "inactive" }
}

impl Record for PolicyRevision {
    type Id = (PolicyName, u64);
    const TABLE: &'static str = "policy";
    const OPAQUE: &'static [&'static str] = &["settings"];
    const DERIVED: &'static [&'static str] = &["standing", "place"];

    fn key_of((name, revision): &Self::Id) -> Key {
        Key::Two(name.to_string(), descending(*revision))
    }

    fn key(&self) -> Key {
        Self::key_of(&(self.name.clone(), self.revision))
    }

    fn id_text(_: &Key) -> Option<String> {
        None
    }

    fn derive(&self, row: &mut Object) {
        row.insert("standing", standing(self.active).to_owned());
        row.insert("place", format!("{}/{}", self.name, descending(self.revision)));
    }
}

impl Store {
    /// The revisions that decide.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn active_policies(&self) -> Result<Vec<PolicyRevision>, StoreError> {
        let walk = Walk::Index { column: "standing", value: standing(true).to_owned(), sort: "place" };
        self.walk_all(&walk, "active policies", MAX_REVISIONS).await
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

    /// A policy's revisions, newest first.
    ///
    /// # Errors
    /// Where the database fails or there are more than 10,000.
    pub async fn policy_revisions(&self, name: &PolicyName) -> Result<Vec<PolicyRevision>, StoreError> {
        self.walk_all(&Walk::Group(name.to_string()), "revisions of a policy", MAX_REVISIONS).await
    }

    /// The newest revision of every policy, by name.
    ///
    /// # Errors
    /// Where the database fails or there are more than 10,000 revisions.
    pub async fn latest_policies(&self) -> Result<Vec<PolicyRevision>, StoreError> {
        let mut variables = Variables::new();
        variables.insert("limit", i64::try_from(MAX_REVISIONS + 1).unwrap_or(i64::MAX));
        let rows = self.rows("SELECT * FROM policy LIMIT $limit", variables, 0).await?;
        if rows.len() > MAX_REVISIONS {
            return Err(StoreError::TooMany { what: "policy revisions", limit: MAX_REVISIONS });
        }
        let mut latest: Vec<PolicyRevision> = rows.into_iter().map(codec::decode).collect::<Result<_, _>>()?;
        latest.sort_by(|a, b| (&a.name, b.revision).cmp(&(&b.name, a.revision)));
        latest.dedup_by(|a, b| a.name == b.name);
        Ok(latest)
    }
}
