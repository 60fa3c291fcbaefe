//! Owns writing the decision log's buffer.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;

/// Pause between two writes.
const INTERVAL: Duration = Duration::from_millis(500);
/// Decisions written in one transaction.
const CHUNK: usize = 1_000;

pub(super) async fn run(app: Arc<App>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(INTERVAL) => flush(&app).await,
        }
    }
}

/// Writes what waits. What cannot be written is lost and said so: the log is bounded.
pub(super) async fn flush(app: &App) {
    for decisions in app.decisions.drain().chunks(CHUNK) {
        if let Err(error) = app.store.append_decisions(decisions).await {
            tracing::error!(error = %error, lost = decisions.len(), "decisions could not be written");
        }
    }
}
