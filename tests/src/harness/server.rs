//! Owns the real server inside the test's process, on a port of its own, with its data in a directory of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use kernex::config::{DataDir, Settings};
use kernex::host::{self, Host, Running};
use kernex::telemetry::ExportFailures;
use kernex_engine::Engine;
use tempfile::TempDir;

use super::site::Site;

/// How long a server that nobody needs any more gets to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// The real server. Calls on it are those of [`Site`]. It stops when it is dropped.
#[derive(Debug)]
pub struct TestServer {
    site: Site,
    settings: Settings,
    running: Option<Running>,
    directory: TempDir,
}

impl Deref for TestServer {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl TestServer {
    /// A server with its data in memory.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A server with its data in memory and other settings.
    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::launch(|settings| {
            settings.store.url = Some("mem://".to_owned());
            change(settings);
        })
        .await
    }

    /// A server with its data on disk, which can be restarted.
    pub async fn durable() -> Self {
        Self::durable_with(|_| {}).await
    }

    /// A server with its data on disk and other settings.
    pub async fn durable_with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::launch(change).await
    }

    async fn launch(change: impl FnOnce(&mut Settings)) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let data_dir = DataDir(directory.path().join("data"));
        let mut settings = Settings { data_dir, ..Settings::default() };
        settings.http.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        settings.shutdown.grace_s = 1;
        settings.store.cache_mib = 16;
        change(&mut settings);
        let running = start(&settings).await;
        let site = Site::new(&settings.server.name, address(&running), printed_token(&running));
        Self { site, settings, running: Some(running), directory }
    }

    /// Stops in order and starts on the same directory. Clients and tokens go on.
    pub async fn restart(&mut self) {
        self.restart_with(|_| {}).await;
    }

    /// Stops in order, and starts on the same directory with other settings.
    pub async fn restart_with(&mut self, change: impl FnOnce(&mut Settings)) {
        self.stop().await;
        change(&mut self.settings);
        self.resume().await;
    }

    /// Starts again after [`TestServer::stop`].
    pub async fn resume(&mut self) {
        assert!(self.running.is_none(), "the server runs already");
        let running = start(&self.settings).await;
        self.site.moved(address(&running), printed_token(&running));
        self.running = Some(running);
    }

    /// Stops in order; the directory stays.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            let stopped = tokio::spawn(running.stop()).await.expect("stopping does not panic");
            stopped.expect("the server stops in order");
        }
    }

    /// What it was started with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The use cases, for what has no call.
    ///
    /// # Panics
    /// Where the server is stopped.
    #[must_use]
    pub fn app(&self) -> &kernex::app::App {
        &self.running.as_ref().expect("a running server").app
    }

    /// Where its data is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        // Workers end by themselves; nobody waits, so that a test that failed ends at once.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { tokio::time::timeout(STOP_PATIENCE, running.stop()).await });
        }
    }
}

/// On the runtime's own threads, which have the stack for it.
async fn start(settings: &Settings) -> Running {
    let settings = settings.clone();
    let started = tokio::spawn(async move { Host::start(settings, engine(), &ExportFailures::default()).await });
    let started = started.await.expect("starting does not panic");
    started.unwrap_or_else(|error| panic!("the server does not start: {error}"))
}

/// One for all servers of a test program, as there is one in a server: the bundled policies are compiled once.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| host::engine().expect("this machine runs policies"))
}

fn address(running: &Running) -> String {
    format!("http://{}", running.local_addr)
}

/// Reads what the server says to whoever starts it.
fn printed_token(running: &Running) -> Option<String> {
    let mut printed = Vec::new();
    running.announce(&mut printed).expect("memory takes every text");
    let printed = String::from_utf8(printed).expect("the server prints text");
    printed.lines().find_map(|line| line.strip_prefix("Set-up token: ")).map(str::to_owned)
}
