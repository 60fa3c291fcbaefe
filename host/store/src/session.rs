//! Owns how sessions are stored, listed by account.

use kernex_model::id::{SessionId, UserId};
use kernex_model::user::Session;
use surrealdb::types::Object;

use crate::cursor::{Listed, Page};
use crate::error::StoreError;
use crate::key::{Key, complement};
use crate::record::{Record, Revised};
use crate::store::Store;
use crate::walk::Walk;

impl Record for Session {
    type Id = SessionId;
    const TABLE: &'static str = "session";
    const DERIVED: &'static [&'static str] = &["newest_first"];

    fn key_of(id: &SessionId) -> Key {
        Key::oldest_first(id.0)
    }

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }

    fn id_text(key: &Key) -> Option<String> {
        Some(format!("{}{}", SessionId::PREFIX, key.sort()))
    }

    fn derive(&self, row: &mut Object) {
        row.insert("newest_first", complement(self.id.0));
    }
}

impl Revised for Session {
    fn revision(&self) -> u64 {
        self.revision
    }
}

impl Store {
    /// One session.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.get(&id).await
    }

    /// An account's sessions, newest first.
    ///
    /// # Errors
    /// Where the database fails or the cursor is another list's.
    pub async fn list_sessions(&self, user: UserId, page: &Page) -> Result<Listed<Session>, StoreError> {
        let walk = Walk::Index { column: "user_id", value: user.to_string(), sort: "newest_first" };
        self.list(&walk, page).await
    }
}
