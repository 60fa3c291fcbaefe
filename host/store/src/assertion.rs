//! Owns which device assertions were used: each is good once, at every host and after every restart.

use kernex_model::digest::Digest;
use kernex_model::time::Timestamp;
use surrealdb::types::{RecordId, Variables};

use crate::error::{Failure, StoreError};
use crate::store::Store;

const TABLE: &str = "assertion";

impl Store {
    /// Uses an assertion up, which expires at `ends`. `false` where it was used before.
    ///
    /// # Errors
    /// Where the database fails: the assertion must not be taken then.
    pub async fn use_assertion(&self, name: Digest, ends: Timestamp) -> Result<bool, StoreError> {
        let mut variables = Variables::new();
        variables.insert("id", RecordId::new(TABLE, name.to_string()));
        variables.insert("ends_s", ends.as_secs());
        match self.retried("CREATE ONLY $id SET ends_s = $ends_s RETURN NONE", variables).await {
            Ok(_) => Ok(true),
            Err(Failure::Exists(_)) => Ok(false),
            Err(failure) => Err(failure.into_error()),
        }
    }

    /// Forgets assertions that expired before `now`, at most 1,000; tells how many went.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn prune_assertions(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.prune("SELECT VALUE id FROM assertion WHERE ends_s < $now_s LIMIT $limit", now).await
    }
}
