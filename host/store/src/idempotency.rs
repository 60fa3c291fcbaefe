//! Owns what was answered to idempotency keys: claimed before a call begins, so that of two at once one runs.

use kernex_model::digest::Digest;
use kernex_model::time::Timestamp;
use surrealdb::types::{RecordId, Value, Variables};

use crate::codec;
use crate::cursor::MAX_PAGE;
use crate::error::{Failure, StoreError};
use crate::store::Store;

const TABLE: &str = "idempotency";

/// What is known of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// What it was used for.
    pub fingerprint: Digest,
    /// When its call began.
    pub began_at: Timestamp,
    /// What was answered, as [`Store::answer_key`] was given it; `None` while the call runs, and where it was
    /// interrupted.
    pub answer: Option<String>,
}

impl Store {
    /// Claims a key for a call that begins now. `None`: it is the caller's, until [`Store::answer_key`] or
    /// [`Store::release_key`]; else what it was claimed for before.
    ///
    /// # Errors
    /// Where the database fails: the call must not run then.
    pub async fn claim_key(
        &self,
        name: Digest,
        fingerprint: Digest,
        now: Timestamp,
        ends: Timestamp,
    ) -> Result<Option<KnownKey>, StoreError> {
        let mut variables = key(name);
        variables.insert("fingerprint", fingerprint.to_string());
        variables.insert("began_ms", now.as_millis());
        variables.insert("ends_s", ends.as_secs());
        let text = "CREATE ONLY $id SET fingerprint = $fingerprint, began_ms = $began_ms, ends_s = $ends_s, answer = NULL \
                    RETURN NONE";
        match self.retried(text, variables).await {
            Ok(_) => return Ok(None),
            Err(Failure::Exists(_)) => {}
            Err(failure) => return Err(failure.into_error()),
        }
        let rows = self.rows("SELECT * FROM ONLY $id", key(name), 0).await?;
        // Released between the two: whoever asks again may have it.
        let Some(row) = rows.into_iter().next() else {
            return Ok(Some(KnownKey { fingerprint, began_at: now, answer: None }));
        };
        let unreadable = |reason: &str| StoreError::Unreadable { record: TABLE.to_owned(), reason: reason.to_owned() };
        let text = codec::text_of(&row, "fingerprint").ok_or_else(|| unreadable("no fingerprint"))?;
        let known = text.parse().map_err(|_| unreadable("the fingerprint is no digest"))?;
        let began_ms = match &row {
            Value::Object(row) => match row.get("began_ms") {
                Some(Value::Number(number)) => number.to_int(),
                _ => None,
            },
            _ => None,
        };
        let began_at = Timestamp::from_millis(began_ms.ok_or_else(|| unreadable("no beginning"))?);
        Ok(Some(KnownKey { fingerprint: known, began_at, answer: codec::text_of(&row, "answer") }))
    }

    /// Keeps what was answered, for whoever sends the key again.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn answer_key(&self, name: Digest, answer: String) -> Result<(), StoreError> {
        let mut variables = key(name);
        variables.insert("answer", answer);
        let text = "UPDATE $id SET answer = $answer RETURN NONE";
        self.retried(text, variables).await.map(drop).map_err(Failure::into_error)
    }

    /// Gives a key back whose call changed nothing.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn release_key(&self, name: Digest) -> Result<(), StoreError> {
        self.retried("DELETE $id RETURN NONE", key(name)).await.map(drop).map_err(Failure::into_error)
    }

    /// Forgets keys whose time is over, at most 1,000; tells how many went.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn prune_keys(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.prune("SELECT VALUE id FROM idempotency WHERE ends_s < $now_s LIMIT $limit", now).await
    }

    /// Removes what `text` selects by `$now_s` and `$limit`.
    pub(crate) async fn prune(&self, text: &str, now: Timestamp) -> Result<usize, StoreError> {
        let mut variables = Variables::new();
        variables.insert("now_s", now.as_secs());
        variables.insert("limit", i64::from(MAX_PAGE));
        let gone = self.rows(text, variables, 0).await?;
        let count = gone.len();
        if count > 0 {
            let mut variables = Variables::new();
            variables.insert("gone", gone);
            self.retried("DELETE $gone RETURN NONE", variables).await.map_err(Failure::into_error)?;
        }
        Ok(count)
    }
}

fn key(name: Digest) -> Variables {
    let mut variables = Variables::new();
    variables.insert("id", RecordId::new(TABLE, name.to_string()));
    variables
}
