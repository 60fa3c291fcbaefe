//! Owns how long work is stored: newest first, rewritten as it comes further.

use kernex_model::id::OperationId;
use kernex_model::operation::Operation;

use crate::changes::Changes;
use crate::cursor::{Listed, Page};
use crate::error::{CommitError, StoreError};
use crate::key::{Key, complemented};
use crate::record::{Record, Revised};
use crate::store::Store;
use crate::walk::Walk;

impl Record for Operation {
    type Id = OperationId;
    const TABLE: &'static str = "operation";
    const OPAQUE: &'static [&'static str] = &["replay", "failure"];

    fn key_of(id: &OperationId) -> Key {
        Key::newest_first(id.0)
    }

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }

    fn id_text(key: &Key) -> Option<String> {
        complemented(key.sort()).map(|ulid| OperationId(ulid).to_string())
    }
}

impl Revised for Operation {
    fn revision(&self) -> u64 {
        self.revision
    }
}

impl Store {
    /// One operation.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn operation(&self, id: OperationId) -> Result<Option<Operation>, StoreError> {
        self.get(&id).await
    }

    /// Operations, newest first.
    ///
    /// # Errors
    /// Where the database fails or the cursor is another list's.
    pub async fn list_operations(&self, page: &Page) -> Result<Listed<Operation>, StoreError> {
        self.list(&Walk::Table, page).await
    }

    /// Writes how far an operation has come; nobody did anything, so nothing is audited.
    ///
    /// # Errors
    /// Where the database fails, or somebody else wrote it meanwhile.
    pub async fn advance_operation(&self, operation: &Operation) -> Result<(), CommitError> {
        let mut changes = Changes::unaudited();
        changes.update(operation);
        self.commit(changes).await
    }
}
