//! Owns writing the decision log's buffer.

use std::sync::Arc;
use std::time::Duration;

use kernex_store::StoreError;
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

/// Writes what waits. Where the database is away it goes on waiting: the buffer is bounded, and counts what finds no room
/// meanwhile. What the database refuses would be in the way of all others: it is tried by itself, and then counted as lost.
pub(super) async fn flush(app: &App) {
    let mut together = CHUNK;
    while let Some(batch) = app.decisions.take(together) {
        match app.store.append_decisions(batch.decisions()).await {
            Ok(()) => batch.written(),
            Err(error @ (StoreError::TimedOut { .. } | StoreError::Unreachable(_) | StoreError::Closed)) => {
                tracing::warn!(error = %error, waiting = app.decisions.waiting(), "decisions could not be written yet");
                return;
            }
            Err(StoreError::Database(_)) if batch.decisions().len() > 1 => together = 1,
            Err(
                error @ (StoreError::Database(_)
                | StoreError::Unreadable { .. }
                | StoreError::ForeignCursor
                | StoreError::TooMany { .. }),
            ) => {
                tracing::error!(error = %error, lost = batch.decisions().len(), "decisions cannot be written");
                batch.lost();
            }
        }
    }
}
