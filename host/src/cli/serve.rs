//! Owns `serve`: the server in the foreground, from its telemetry's set-up to the signal that ends it.

use std::net::SocketAddr;
use std::pin::pin;

use super::{CliError, Global};
use crate::config::Settings;
use crate::host::{self, Host, Running, StartError};
use crate::telemetry::{ExportFailures, Telemetry};

/// Start the server. SIGTERM or Ctrl-C stops it: requests that run are finished first. Where it comes before the server
/// is ready, the start is given up.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Address and port; port 0 takes any free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    global: Global,
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let settings = self.global.settings(self.listen)?;
        let telemetry = Telemetry::start(&settings.log, &settings.telemetry).map_err(StartError::from)?;
        let served = serve(settings, telemetry.failures()).await;
        // It waits for the collector, on a thread that may.
        let told = tokio::task::spawn_blocking(|| telemetry.shut_down()).await;
        served.and(told.map_err(CliError::failed))
    }
}

/// Starts, serves until a signal comes, and stops what was started.
async fn serve(settings: Settings, failures: &ExportFailures) -> Result<(), CliError> {
    let mut signal = pin!(stop_signal()?);
    let engine = host::server_engine()?;
    let mut running = tokio::select! {
        started = Host::start(settings, &engine, failures) => started?,
        () = &mut signal => {
            // It may take minutes, and killing it at any moment does no harm.
            tracing::info!("stopping before it has started");
            return Ok(());
        }
    };
    let served = attend(&mut running, signal).await;
    match &served {
        Ok(()) => tracing::info!("stopping"),
        Err(error) => tracing::error!(%error, "stopping, because it cannot serve"),
    }
    let stopped = running.stop().await;
    if let (Err(_), Err(error)) = (&served, &stopped) {
        tracing::error!(%error, "it did not stop in order, either");
    }
    served.and(stopped.map_err(CliError::from))
}

/// Says where it is, and serves.
async fn attend(running: &mut Running, signal: impl Future<Output = ()>) -> Result<(), CliError> {
    let announced = running.announce(&mut std::io::stdout());
    announced.map_err(|error| CliError::Failed(format!("cannot print where it is: {error}")))?;
    Ok(running.serve_until(signal).await?)
}

/// Waits for SIGTERM or SIGINT.
fn stop_signal() -> Result<impl Future<Output = ()>, CliError> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|error| StartError::Other(format!("cannot listen to signals: {error}")));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
