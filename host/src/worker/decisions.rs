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

/// Writes what waits. Where the database fails it goes on waiting: the buffer is bounded, and counts what finds no room
/// meanwhile.
pub(super) async fn flush(app: &App) {
    while let Some(batch) = app.decisions.take(CHUNK) {
        match app.store.append_decisions(batch.decisions()).await {
            Ok(()) => batch.written(),
            Err(
                error @ (StoreError::TimedOut { .. }
                | StoreError::Unreachable(_)
                | StoreError::Closed
                | StoreError::Database(_)),
            ) => {
                tracing::warn!(error = %error, waiting = app.decisions.waiting(), "decisions could not be written yet");
                return;
            }
            // It is about the decisions themselves: they would be in the way of all others.
            Err(error @ (StoreError::Unreadable { .. } | StoreError::ForeignCursor | StoreError::TooMany { .. })) => {
                tracing::error!(error = %error, lost = batch.decisions().len(), "decisions cannot be written");
                batch.lost();
            }
        }
    }
}
