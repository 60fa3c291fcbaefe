//! Owns flushing presence: pages of last-seen times that changed, every few seconds.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;

/// Pages written in one statement.
const PAGES_PER_WRITE: usize = 64;

pub(super) async fn run(app: Arc<App>, stop: CancellationToken, interval: Duration) {
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(interval) => flush(&app).await,
        }
    }
}

/// Writes the pages that changed; those that cannot be written are tried again with the next flush.
pub(super) async fn flush(app: &App) {
    for pages in app.fleet.take_dirty_pages().chunks(PAGES_PER_WRITE) {
        if let Err(error) = app.store.put_presence(pages).await {
            tracing::warn!(error = %error, pages = pages.len(), "presence could not be flushed");
            pages.iter().for_each(|page| app.fleet.mark_dirty(page.page));
        }
    }
}
