//! Owns `serve`: the server in the foreground, from its log's set-up to the signal that ends it.

use std::io::IsTerminal;
use std::net::SocketAddr;

use tracing_subscriber::EnvFilter;

use super::{CliError, Global};
use crate::config::{Log, LogFormat, SettingsError};
use crate::host::{self, Host, StartError};

/// Start the server. SIGTERM or Ctrl-C stops it: requests that run are finished first.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Address and port; port 0 takes any free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

impl Serve {
    pub(super) async fn run(self, global: Global) -> Result<(), CliError> {
        let settings = global.settings(self.listen)?;
        start_log(&settings.log)?;
        // From here on a signal ends the process in order, also while it is still starting.
        let signal = stop_signal()?;
        let mut running = Host::start(settings, &host::engine()?).await?;
        running.announce(&mut std::io::stdout()).map_err(CliError::failed)?;
        running.serve_until(signal).await;
        tracing::info!("stopping");
        Ok(running.stop().await?)
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

fn start_log(log: &Log) -> Result<(), CliError> {
    let filter =
        EnvFilter::try_new(&log.filter).map_err(|error| SettingsError::Invalid(format!("`log.filter`: {error}")))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match log.format {
        LogFormat::Pretty => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(CliError::failed)
}
