//! Owns leases: which of several hosts does something, for a while. Each taking over has a higher epoch, so that a late writer is told from the present one.

use kernex_model::time::Timestamp;
use surrealdb::types::{RecordId, Value, Variables};

use crate::error::{Failure, StoreError};
use crate::store::Store;

/// What a `THROW` says where somebody else holds the lease.
const HELD: &str = "HELD";

const TAKE: &str = "BEGIN;
LET $held = (SELECT * FROM ONLY $lease);
IF $held != NONE AND $held.owner != $owner AND $held.expires_ms > $now { THROW 'HELD' };
LET $same = $held != NONE AND $held.owner = $owner AND $held.expires_ms > $now;
UPSERT ONLY $lease SET owner = $owner, expires_ms = $until,
    epoch = (IF $held = NONE { 1 } ELSE IF $same { $held.epoch } ELSE { $held.epoch + 1 }) RETURN NONE;
COMMIT;";

pub(crate) fn record_id(name: &str) -> RecordId {
    RecordId::new("lease", name)
}

impl Store {
    /// Takes or renews a lease; its epoch, or `None` where another owner holds it. A renewal before it
    /// expires keeps the epoch, every taking over raises it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn lease(&self, name: &str, owner: &str, now: Timestamp, ttl_ms: u32) -> Result<Option<u64>, StoreError> {
        let mut variables = Variables::new();
        variables.insert("lease", record_id(name));
        variables.insert("owner", owner.to_owned());
        variables.insert("now", now.as_millis());
        variables.insert("until", now.plus_millis(i64::from(ttl_ms)).as_millis());
        match self.retried(TAKE, variables).await {
            Ok(_) => {}
            Err(Failure::Thrown(text)) if text == HELD => return Ok(None),
            // Others renew at this very moment: it is not ours now.
            Err(Failure::Collided) => return Ok(None),
            Err(failure) => return Err(failure.into_error()),
        }
        let mut variables = Variables::new();
        variables.insert("lease", record_id(name));
        variables.insert("owner", owner.to_owned());
        let rows = self.rows("SELECT VALUE epoch FROM ONLY $lease WHERE owner = $owner", variables, 0).await?;
        Ok(rows.first().and_then(|epoch| match epoch {
            Value::Number(number) => number.to_int().and_then(|epoch| u64::try_from(epoch).ok()),
            _ => None,
        }))
    }

    /// Gives a lease back before it expires. One that another owner holds by now stays.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn release_lease(&self, name: &str, owner: &str) -> Result<(), StoreError> {
        let mut variables = Variables::new();
        variables.insert("lease", record_id(name));
        variables.insert("owner", owner.to_owned());
        // The record stays, so that the epoch goes on counting.
        let text = "UPDATE $lease SET expires_ms = 0 WHERE owner = $owner RETURN NONE";
        self.retried(text, variables).await.map(drop).map_err(Failure::into_error)
    }
}
