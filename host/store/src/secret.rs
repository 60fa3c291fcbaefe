//! Owns the server's own secrets, such as its signing keys: whoever writes one first decides it for all hosts.

use surrealdb::types::{Object, RecordId, Value, Variables};

use crate::codec::text_of;
use crate::error::{Failure, StoreError};
use crate::store::Store;

/// The table of secrets.
pub(crate) const TABLE: &str = "server_secret";
/// Bytes of one secret.
const MAX_SECRET_BYTES: usize = 65_536;

pub(crate) fn record_id(name: &str) -> RecordId {
    RecordId::new(TABLE, name)
}

impl Store {
    /// A secret of the server.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn server_secret(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut variables = Variables::new();
        variables.insert("id", record_id(name));
        let rows = self.rows("SELECT * FROM ONLY $id", variables, 0).await?;
        rows.first().map(|row| bytes(row, name)).transpose()
    }

    /// Writes a secret of the server unless there is one, and returns the one that counts. Not audited:
    /// hosts do it before anybody could have asked for it.
    ///
    /// # Errors
    /// Where the database fails or the secret has more than 64 KiB.
    pub async fn create_server_secret(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>, StoreError> {
        if secret.len() > MAX_SECRET_BYTES {
            return Err(StoreError::TooMany { what: "bytes of a secret", limit: MAX_SECRET_BYTES });
        }
        let mut row = Object::new();
        row.insert("id", record_id(name));
        row.insert("value", hex::encode(secret));
        let mut variables = Variables::new();
        variables.insert("row", Value::Object(row));
        variables.insert("id", record_id(name));
        self.retried("INSERT IGNORE INTO server_secret $row RETURN NONE", variables)
            .await
            .map_err(Failure::into_error)?;
        self.server_secret(name).await?.ok_or_else(|| StoreError::Unreadable {
            record: format!("{TABLE}:{name}"),
            reason: "it was used up at once".to_owned(),
        })
    }
}

fn bytes(row: &Value, name: &str) -> Result<Vec<u8>, StoreError> {
    text_of(row, "value").and_then(|text| hex::decode(text).ok()).ok_or_else(|| StoreError::Unreadable {
        record: format!("{TABLE}:{name}"),
        reason: "it is no hexadecimal text".to_owned(),
    })
}
