//! Owns `serve`: the server in the foreground, from its telemetry's set-up to the signal that ends it.

use std::net::SocketAddr;

use super::{CliError, Global};
use crate::host::{self, Host, StartError};
use crate::telemetry::Telemetry;

/// Start the server. SIGTERM or Ctrl-C stops it: requests that run are finished first.
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
        // From here on a signal ends the process in order, also while it is still starting.
        let signal = stop_signal()?;
        let mut running = Host::start(settings, &host::server_engine()?, telemetry.failures()).await?;
        running.announce(&mut std::io::stdout()).map_err(CliError::failed)?;
        running.serve_until(signal).await;
        tracing::info!("stopping");
        let stopped = running.stop().await;
        // It waits for the collector, on a thread that may.
        tokio::task::spawn_blocking(|| telemetry.shut_down()).await.map_err(CliError::failed)?;
        Ok(stopped?)
    }
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
