//! Owns the store itself: opening, closing, and the few forms of query that every noun is read with.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use surrealdb::types::{Value, Variables};
use tracing::Instrument as _;

use crate::call::{Call, CallKind, CallOutcome};
use crate::codec;
use crate::connection::Connection;
use crate::error::{Failure, OpenError, StoreError};
use crate::migration::Migrator;
use crate::record::Record;
use crate::url::StoreUrl;

/// Records that are read by their identifiers in one query.
pub(crate) const MAX_IDS: usize = 5_000;

/// How a store is opened.
#[derive(Clone)]
pub struct StoreOptions {
    /// SurrealDB's namespace.
    pub namespace: String,
    /// SurrealDB's database.
    pub database: String,
    /// Bytes of the embedded engine's block cache.
    pub cache_bytes: u64,
    /// A server's user.
    pub username: Option<String>,
    /// A server's password.
    pub password: Option<String>,
    /// Every call to the database ends after this time.
    pub query_timeout: Duration,
    /// Sees every call to the database.
    pub watch: Option<Watch>,
    /// Bytes of one memtable; the engine's choice, where absent. Small ones make it flush often, which
    /// is what a crash test wants.
    pub small_memtables: Option<u64>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            namespace: "kernex".to_owned(),
            database: "kernex".to_owned(),
            cache_bytes: 256 << 20,
            username: None,
            password: None,
            // Less than a call may take, so that the caller is told what was missing.
            query_timeout: Duration::from_secs(20),
            watch: None,
            small_memtables: None,
        }
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("namespace", &self.namespace)
            .field("database", &self.database)
            .field("cache_bytes", &self.cache_bytes)
            .field("query_timeout", &self.query_timeout)
            .field("small_memtables", &self.small_memtables)
            .finish_non_exhaustive()
    }
}

/// What sees every call to the database: quick, and on the caller's task.
pub type Watch = Arc<dyn Fn(Call) + Send + Sync>;

/// All state of Kernex. A clone is the same store.
#[derive(Clone)]
pub struct Store {
    connection: Arc<Connection>,
    watch: Option<Watch>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Opens a store. Its schema is not touched: see [`Store::migrations`].
    ///
    /// # Errors
    /// Where another process holds the directory, it is damaged, or the server does not answer.
    pub async fn open(url: &StoreUrl, options: StoreOptions) -> Result<Self, OpenError> {
        let connection = Connection::open(url, &options).await?;
        Ok(Self { connection: Arc::new(connection), watch: options.watch })
    }

    /// Closes the store and waits until everything is on disk. Every clone of it is closed, too.
    ///
    /// # Errors
    /// Where the engine could not flush.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.connection.close().await
    }

    /// Whether this process alone has the database: an embedded engine holds a lock on its directory.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.connection.is_embedded()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.query("RETURN 1", Variables::new()).await.map(drop)
    }

    /// What brings the schema up and down.
    #[must_use]
    pub fn migrations(&self) -> Migrator {
        Migrator::new(self.clone())
    }

    pub(crate) async fn try_query(
        &self,
        kind: CallKind,
        text: &str,
        variables: Variables,
    ) -> Result<surrealdb::IndexedResults, Failure> {
        let began = Instant::now();
        let span = tracing::debug_span!("store.query", kind = kind.as_str(), db.system.name = "surrealdb");
        let answer = self.connection.query(text, variables, kind).instrument(span).await;
        if let Some(watch) = &self.watch {
            watch(Call { kind, outcome: CallOutcome::of(&answer), took: began.elapsed() });
        }
        answer
    }

    pub(crate) async fn query(
        &self,
        text: &str,
        variables: Variables,
    ) -> Result<surrealdb::IndexedResults, StoreError> {
        self.try_query(CallKind::Read, text, variables).await.map_err(Failure::into_error)
    }

    /// The rows of one statement, counted from 0.
    pub(crate) async fn rows(
        &self,
        text: &str,
        variables: Variables,
        statement: usize,
    ) -> Result<Vec<Value>, StoreError> {
        let mut results = self.query(text, variables).await?;
        let value: Value = results.take(statement).map_err(|error| StoreError::Database(error.to_string()))?;
        Ok(match value {
            Value::Array(rows) => rows.into_vec(),
            Value::None | Value::Null => Vec::new(),
            row => vec![row],
        })
    }

    /// One record by its identifier.
    pub(crate) async fn get<T: Record>(&self, id: &T::Id) -> Result<Option<T>, StoreError> {
        let mut variables = Variables::new();
        variables.insert("id", T::key_of(id).record_id(T::TABLE));
        let rows = self.rows("SELECT * FROM ONLY $id", variables, 0).await?;
        rows.into_iter().next().map(codec::decode).transpose()
    }

    /// Records by their identifiers, in their order; those that do not exist are left out.
    pub(crate) async fn get_many<T: Record>(&self, ids: &[T::Id]) -> Result<Vec<T>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        if ids.len() > MAX_IDS {
            return Err(StoreError::TooMany { what: "records by identifier", limit: MAX_IDS });
        }
        let keys: Vec<Value> = ids.iter().map(|id| Value::RecordId(T::key_of(id).record_id(T::TABLE))).collect();
        let mut variables = Variables::new();
        variables.insert("ids", keys);
        let rows = self.rows("SELECT * FROM $ids", variables, 0).await?;
        rows.into_iter().map(codec::decode).collect()
    }
}
