//! Owns the seam to SurrealDB: an embedded engine or a server behind one `query`, each call under a time-out.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use surrealdb::engine::any::Any;
use surrealdb::engine::local::Db;
use surrealdb::opt::auth::Root;
use surrealdb::types::Variables;
use surrealdb::{IndexedResults, Surreal};
use surrealdb_cnf::ConfigMap;
use surrealdb_core::kvs::Datastore;

use crate::call::CallKind;
use crate::error::{Failure, OpenError, StoreError, read, reason};
use crate::store::StoreOptions;
use crate::url::{StoreUrl, Sync};

/// How long opening an embedded engine may take: it replays its log and closes with its last compaction.
const OPEN_LIMIT: Duration = Duration::from_secs(120);

/// How long closing waits for queries and tasks that still hold the engine.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// One handle: a clone of `Surreal` would be a new session, dearer than a query.
#[derive(Clone)]
enum Handle {
    Embedded { db: Arc<Surreal<Db>>, datastore: Arc<Datastore> },
    Server(Arc<Surreal<Any>>),
}

pub(crate) struct Connection {
    /// `None` once it was closed.
    handle: RwLock<Option<Handle>>,
    limit: Duration,
}

impl Connection {
    pub(crate) async fn open(url: &StoreUrl, options: &StoreOptions) -> Result<Self, OpenError> {
        let handle = match url {
            StoreUrl::Memory => embedded("mem://".to_owned(), None, url, options).await?,
            StoreUrl::RocksDb { path, sync } => {
                embedded(format!("rocksdb://{}", path.display()), Some(*sync), url, options).await?
            }
            StoreUrl::Server(address) => server(address, options).await?,
        };
        Ok(Self { handle: RwLock::new(Some(handle)), limit: options.query_timeout })
    }

    pub(crate) fn is_embedded(&self) -> bool {
        matches!(*self.handle.read(), Some(Handle::Embedded { .. }))
    }

    /// Runs statements. The error of any one of them is the error of the whole.
    pub(crate) async fn query(
        &self,
        text: &str,
        variables: Variables,
        kind: CallKind,
    ) -> Result<IndexedResults, Failure> {
        let limit = kind.limit(self.limit);
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let handle = self.handle.read().clone().ok_or(Failure::Other(StoreError::Closed))?;
        // Boxed: the database's own futures have many kilobytes, and every caller's would hold them.
        let answer = Box::pin(async {
            match &handle {
                Handle::Embedded { db, .. } => db.query(text).bind(variables).await,
                Handle::Server(db) => db.query(text).bind(variables).await,
            }
        });
        let mut results = tokio::time::timeout(limit, answer)
            .await
            .map_err(|_| Failure::Other(StoreError::TimedOut { limit_ms }))?
            .map_err(|error| read(&error))?;
        match reason(&mut results) {
            Some(failure) => Err(failure),
            None => Ok(results),
        }
    }

    /// Closes an embedded engine, and waits until everything is on disk and its directory is free again.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        let Some(handle) = self.handle.write().take() else { return Ok(()) };
        match handle {
            Handle::Embedded { db, datastore } => {
                datastore.shutdown().await.map_err(|error| StoreError::Database(error.to_string()))?;
                // The engine lets go of its directory when the last owner does; some end in the background.
                drop(db);
                let deadline = tokio::time::Instant::now() + CLOSE_LIMIT;
                while Arc::strong_count(&datastore) > 1 && tokio::time::Instant::now() < deadline {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                if Arc::strong_count(&datastore) > 1 {
                    tracing::warn!("the store is flushed, but something still holds its directory");
                }
                Ok(())
            }
            Handle::Server(_) => Ok(()),
        }
    }
}

/// Embedded engines read no `SURREAL_*` variable and size their cache by half the machine's memory, so
/// the sizes are given here, through an interface that SurrealDB hides: hence the exact version pin.
async fn embedded(
    path: String,
    sync: Option<Sync>,
    url: &StoreUrl,
    options: &StoreOptions,
) -> Result<Handle, OpenError> {
    let mut settings = ConfigMap::empty();
    if let Some(sync) = sync {
        settings = settings
            .with_key_value("datastore_sync", sync.to_string())
            .with_key_value("rocksdb_block_cache_size", options.cache_bytes.to_string())
            // Obsolete logs would be kept without limit on machines with much memory.
            .with_key_value("rocksdb_wal_size_limit", "64");
    }
    if let Some(bytes) = options.small_memtables {
        settings = settings.with_key_value("rocksdb_write_buffer_size", bytes.to_string());
    }
    if let Some(parent) = url.path().and_then(std::path::Path::parent) {
        tokio::fs::create_dir_all(parent)
            .await
            .map_err(|error| OpenError::Damaged { path: url.to_string(), reason: error.to_string() })?;
    }
    let open = async {
        let datastore = Datastore::builder()
            .with_config(settings)
            .without_maintenance_tasks()
            .build_with_path(&path)
            .await
            .map_err(|error| format!("{error:#}"))?;
        datastore.check_version().await.map_err(|error| format!("{error:#}"))?;
        datastore.bootstrap().await.map_err(|error| format!("{error:#}"))?;
        datastore.start_maintenance_tasks();
        let db = Surreal::<Db>::unstable_from_datastore(Arc::clone(&datastore), None)
            .await
            .map_err(|error| error.to_string())?;
        db.use_ns(options.namespace.as_str())
            .use_db(options.database.as_str())
            .await
            .map_err(|error| error.to_string())?;
        Ok::<_, String>(Handle::Embedded { db: Arc::new(db), datastore })
    };
    tokio::time::timeout(OPEN_LIMIT, open)
        .await
        .map_err(|_| StoreError::TimedOut { limit_ms: OPEN_LIMIT.as_secs() * 1_000 })?
        .map_err(|reason: String| unopened(url, reason))
}

fn unopened(url: &StoreUrl, reason: String) -> OpenError {
    let held =
        ["lock hold by current process", "While lock file", "Resource temporarily unavailable", "already in use"];
    if held.iter().any(|sign| reason.contains(sign)) {
        OpenError::Held(url.to_string())
    } else {
        OpenError::Damaged { path: url.to_string(), reason }
    }
}

async fn server(address: &str, options: &StoreOptions) -> Result<Handle, OpenError> {
    let unreachable = |reason: String| OpenError::Unreachable { address: address.to_owned(), reason };
    let connect = async {
        let db = surrealdb::engine::any::connect(address).await.map_err(|error| unreachable(error.to_string()))?;
        if let (Some(username), Some(password)) = (options.username.clone(), options.password.clone()) {
            // The error may repeat what was sent: it is replaced.
            db.signin(Root { username, password }).await.map_err(|error| {
                if error.is_connection() {
                    unreachable("the connection was lost".to_owned())
                } else {
                    OpenError::Refused
                }
            })?;
        }
        db.use_ns(options.namespace.as_str())
            .use_db(options.database.as_str())
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        Ok(Handle::Server(Arc::new(db)))
    };
    tokio::time::timeout(options.query_timeout, connect)
        .await
        .map_err(|_| unreachable("it did not answer in time".to_owned()))?
}
