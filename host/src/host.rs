//! Owns putting the server together: the only place where settings, store, engine, use cases, workers and HTTP meet.

mod data_dir;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kernex_engine::{Cache, Compiler, Engine, MAC_BYTES};
use kernex_store::{MigrationError, OpenError, Store, StoreError, StoreOptions, StoreUrl};
use poem::listener::TcpAcceptor;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::bundles::storage::{BundleStorage, StorageError, StorageSettings};
use crate::app::identity::{Identity, IdentityError, IdentitySettings};
use crate::app::plugins::PluginSettings;
use crate::app::{App, AppSettings, AppStartError, Context, Inboxes, Parts};
use crate::config::Settings;
use crate::http;
use crate::telemetry::{ExportFailures, Metrics, TelemetryError};
use crate::worker::Workers;

/// What SurrealDB's query executor needs of a thread's stack, in bytes.
const WORKER_STACK_BYTES: usize = 10 * 1024 * 1024;

/// Why the server does not start, or a part of it that a command needs.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody else listens there.
    #[error("cannot listen on {0}: the address is in use; choose another with --listen")]
    AddressInUse(SocketAddr),
    /// It cannot be listened there.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// The data directory cannot be made.
    #[error("cannot make the data directory {0}: {1}")]
    DataDir(String, io::Error),
    /// The data is another user's.
    #[error(
        "{path} belongs to the user with the number {owner}: what the user {user} puts there is closed to that one, so \
         run it as `sudo -u '#{owner}' kernex …`"
    )]
    Foreign {
        /// The directory.
        path: String,
        /// Whose it is.
        owner: u32,
        /// Who runs this process.
        user: u32,
    },
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The schema is not what this program needs.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// The place for bundles does not open.
    #[error("cannot open the place for bundles: {0}")]
    Bundles(#[from] StorageError),
    /// Keys and accounts.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The use cases.
    #[error(transparent)]
    App(#[from] AppStartError),
    /// The store did not close, so that not everything may be on disk.
    #[error("the store did not close in order: {0}")]
    Close(StoreError),
    /// It has started, and cannot serve any more.
    #[error("the listener ended by itself: {0}")]
    Ended(String),
    /// Metrics, traces or the log.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// A runtime whose threads have the stack that the store needs.
///
/// # Errors
/// Where the threads cannot be started.
pub fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("kernex")
        .thread_stack_size(WORKER_STACK_BYTES)
        .build()
}

/// Sees that the data is not another user's, before anything is opened.
///
/// # Errors
/// [`StartError::Foreign`].
pub fn require_owner(settings: &Settings) -> Result<(), StartError> {
    data_dir::require_owner(settings.data_dir())?;
    match settings.store_url() {
        Ok(StoreUrl::RocksDb { path, .. }) => data_dir::require_owner(&path),
        // Whoever opens it says what is wrong with an address.
        Ok(StoreUrl::Memory | StoreUrl::Server(_)) | Err(_) => Ok(()),
    }
}

/// Opens the store as it is.
///
/// # Errors
/// [`StartError`].
pub async fn open_store(settings: &Settings) -> Result<Store, StartError> {
    open_watched(settings, None).await
}

async fn open_watched(settings: &Settings, metrics: Option<&Metrics>) -> Result<Store, StartError> {
    let url = settings.store_url().map_err(|error| StartError::Other(error.to_string()))?;
    if let StoreUrl::RocksDb { path, .. } = &url {
        data_dir::make(settings.data_dir())?;
        data_dir::require_owner(path)?;
    }
    let watch = metrics.cloned().map(|metrics| -> kernex_store::Watch {
        Arc::new(move |call| metrics.queried(call.kind.as_str(), call.outcome.as_str(), call.took))
    });
    Ok(Store::open(&url, StoreOptions { watch, ..settings.store_options() }).await?)
}

/// Opens the store and brings its schema up to date.
///
/// # Errors
/// [`StartError`].
pub async fn open_migrated(settings: &Settings) -> Result<Store, StartError> {
    migrated(open_store(settings).await?).await
}

async fn migrated(store: Store) -> Result<Store, StartError> {
    let applied = store.migrations().up().await?;
    if applied > 0 {
        tracing::info!(applied, "the database's schema was brought up to date");
    }
    Ok(store)
}

/// The use cases, ready, and what their workers need.
#[derive(Debug)]
pub struct Opened {
    /// The use cases.
    pub app: App,
    /// For [`Workers::start`].
    pub inboxes: Inboxes,
}

/// Opens everything but the listener.
///
/// # Errors
/// [`StartError`].
pub async fn open(settings: &Settings, engine: &Engine, failures: &ExportFailures) -> Result<Opened, StartError> {
    let metrics = Metrics::new(&settings.telemetry, failures)?;
    let store = migrated(open_watched(settings, Some(&metrics)).await?).await?;
    let opened = assemble(settings, engine, store.clone(), metrics).await;
    if opened.is_err() {
        // What it was that failed matters more than how the store closed after it.
        let _ = store.close().await;
    }
    opened
}

/// The one runtime of policies that a process has. It compiles plugins in this process.
///
/// # Errors
/// Where the machine is too small for it.
pub fn engine() -> Result<Engine, StartError> {
    Engine::new(kernex_engine::Limits::default())
        .map_err(|error| StartError::Other(format!("the policy engine does not start: {error}")))
}

/// The argument that makes this program compile a plugin for the one that started it; see [`kernex_engine::Compiler`].
pub const COMPILE: &str = "compile-plugin";
/// What the key of the native code's MACs is called among the server's secrets.
const NATIVE_CODE_KEY: &str = "native-code";

/// The same runtime for whoever opens a server's store: strangers' plugins are compiled in processes of their own.
///
/// # Errors
/// Where the machine is too small for it, or this program cannot be found.
pub fn server_engine() -> Result<Engine, StartError> {
    let program = std::env::current_exe()
        .map_err(|error| StartError::Other(format!("cannot find the program to compile plugins with: {error}")))?;
    Ok(engine()?.compiled_by(Compiler::new(program, COMPILE)))
}

/// The engine with a cache in the data directory, whose key is in the store.
async fn cached(engine: &Engine, settings: &Settings, store: &Store, context: &Context) -> Result<Engine, StartError> {
    let failed = |reason: String| StartError::Other(format!("cannot use the key of the native code's cache: {reason}"));
    let fresh = context.bytes::<MAC_BYTES>();
    let key = store.create_server_secret(NATIVE_CODE_KEY, &fresh).await.map_err(|error| failed(error.to_string()))?;
    let key = <[u8; MAC_BYTES]>::try_from(key).map_err(|_| failed("it has another length".to_owned()))?;
    Ok(engine.cached_in(Cache::new(settings.native_code_dir(), key)))
}

async fn assemble(settings: &Settings, engine: &Engine, store: Store, metrics: Metrics) -> Result<Opened, StartError> {
    data_dir::make(settings.data_dir())?;
    let context = Context::system();
    let engine = cached(engine, settings, &store, &context).await?;
    let storage = BundleStorage::open(&storage_settings(settings)).await?;
    let identity = Identity::open(&store, &context, &settings.server.name, identity_settings(settings)).await?;
    let app_settings = AppSettings {
        poll_s: settings.heartbeat.poll_s,
        keep_decisions_days: settings.decisions.keep_days,
        keep_decisions_max: settings.decisions.keep_max,
        read_decisions_percent: settings.decisions.reads_percent,
        data_dir: settings.data_dir().to_owned(),
        plugins: PluginSettings {
            trusted: settings.plugins.trusted_keys.clone(),
            allow_unsigned: settings.plugins.allow_unsigned,
            max_bytes: settings.plugins.max_bytes as usize,
        },
        trace_ratio: settings.telemetry.otlp_endpoint.is_some().then_some(settings.telemetry.sample_ratio),
    };
    let parts = Parts { context, store, identity, storage, metrics, settings: app_settings };
    let (app, inboxes) = App::start(parts, &engine).await?;
    Ok(Opened { app, inboxes })
}

/// Where bundles are kept by these settings.
pub(crate) fn storage_settings(settings: &Settings) -> StorageSettings {
    StorageSettings {
        url: settings.bundles.url.clone(),
        max_bundle_bytes: settings.bundles.max_bytes,
        ..StorageSettings::local(settings.bundles_dir())
    }
}

fn identity_settings(settings: &Settings) -> IdentitySettings {
    let limits = &settings.limits;
    IdentitySettings {
        registration: settings.registration,
        default_roles: settings.registration_roles.clone(),
        admission: settings.admission,
        logins_per_address_minute: limits.logins_per_address,
        logins_per_account_minute: limits.logins_per_account,
        enrolments_per_address_minute: limits.enrolments_per_address,
    }
}

/// The server.
#[derive(Debug)]
pub struct Host;

/// A server that serves.
#[derive(Debug)]
pub struct Running {
    /// Where it listens; the real port, also where port 0 was asked for.
    pub local_addr: SocketAddr,
    /// Makes the first account an administrator's; present while there is none.
    pub setup_token: Option<SecretString>,
    /// The use cases.
    pub app: Arc<App>,
    workers: Workers,
    server: JoinHandle<io::Result<()>>,
    stop: CancellationToken,
}

impl Host {
    /// Starts everything; when it returns the server answers.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub async fn start(settings: Settings, engine: &Engine, failures: &ExportFailures) -> Result<Running, StartError> {
        // The address first: a second server by mistake should not get as far as the database.
        let listen = settings.http.listen;
        let listener = TcpListener::bind(listen).await.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => StartError::AddressInUse(listen),
            _ => StartError::Listen(listen, error),
        })?;
        let local_addr = listener.local_addr().map_err(|error| StartError::Listen(listen, error))?;
        let acceptor = TcpAcceptor::from_tokio(listener).map_err(|error| StartError::Listen(listen, error))?;
        let Opened { app, inboxes } = open(&settings, engine, failures).await?;
        let app = Arc::new(app);
        let flush_interval = Duration::from_secs(u64::from(settings.presence.flush_interval_s));
        let workers = Workers::start(&app, inboxes, flush_interval);
        let stop = CancellationToken::new();
        let grace = Duration::from_secs(u64::from(settings.shutdown.grace_s));
        let server = poem::Server::new_with_acceptor(http::listener::Limited::new(acceptor));
        let endpoint = http::endpoint(&app);
        let stopping = stop.clone();
        let server = tokio::spawn(async move {
            server.run_with_graceful_shutdown(endpoint, stopping.cancelled_owned(), Some(grace)).await
        });
        let setup_token = app.identity.take_setup_token();
        Ok(Running { local_addr, setup_token, app, workers, server, stop })
    }
}

impl Running {
    /// Says where it is, and while there is no account how to make the first one.
    ///
    /// # Errors
    /// Where `out` cannot be written.
    pub fn announce(&self, out: &mut impl io::Write) -> io::Result<()> {
        let address = self.local_addr;
        writeln!(out, "Kernex is ready.")?;
        writeln!(out, "Address: http://{address}")?;
        writeln!(out, "Documentation: http://{address}/docs")?;
        if let Some(token) = &self.setup_token {
            writeln!(out, "Set-up token: {}", token.expose_secret())?;
        }
        out.flush()
    }

    /// Serves until `signal`.
    ///
    /// # Errors
    /// [`StartError::Ended`] where it cannot serve any more. It is still to be stopped then.
    pub async fn serve_until(&mut self, signal: impl Future<Output = ()>) -> Result<(), StartError> {
        let ended = tokio::select! {
            () = signal => return Ok(()),
            ended = &mut self.server => ended,
        };
        Err(StartError::Ended(match ended {
            Ok(Ok(())) => "nobody has told it to".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        }))
    }

    /// Stops in order: no new requests; those that run get their time; then the workers, what memory holds
    /// is flushed, and the store is closed.
    ///
    /// # Errors
    /// Where the store does not close.
    pub async fn stop(self) -> Result<(), StartError> {
        self.stop.cancel();
        if !self.server.is_finished() {
            match self.server.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the listener ended badly"),
                Err(error) => tracing::warn!(%error, "the listener ended badly"),
            }
        }
        self.workers.stop(&self.app).await;
        let closed = self.app.store.close().await.map_err(StartError::Close);
        // It may wait for a collector, on a thread that may.
        let metrics = self.app.metrics.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || metrics.shut_down()).await {
            tracing::warn!(%error, "the metrics did not end in order");
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DataDir, Http, StoreSettings};

    #[test]
    fn a_listener_that_ends_by_itself_is_an_error_and_the_rest_stops_in_order() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let settings = Settings {
            http: Http { listen: SocketAddr::from(([127, 0, 0, 1], 0)) },
            data_dir: DataDir(directory.path().to_owned()),
            store: StoreSettings { url: Some("mem://".to_owned()), ..StoreSettings::default() },
            ..Settings::default()
        };
        let served = async move {
            let engine = engine().expect("an engine");
            let started = Host::start(settings, &engine, &ExportFailures::default()).await;
            let mut running = started.expect("a server");
            assert!(running.serve_until(std::future::ready(())).await.is_ok(), "a signal is no error");
            running.server.abort();
            let ended = running.serve_until(std::future::pending()).await;
            assert!(matches!(ended, Err(StartError::Ended(_))), "{ended:?}");
            running.stop().await.expect("the rest stops in order");
        };
        // On a thread that has the stack for it.
        let runtime = runtime().expect("threads");
        runtime.block_on(async { tokio::spawn(served).await }).expect("nothing panicked");
    }
}
