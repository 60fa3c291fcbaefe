//! Owns when the deployment driver runs: at once when something happened, else every half second.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;

/// Longest pause between two passes: time-outs and soaks end by themselves.
const TICK: Duration = Duration::from_millis(500);
/// Shortest pause: a burst of reports makes one pass, not one each.
const BREATH: Duration = Duration::from_millis(20);
/// Milliseconds that the lease lasts without being renewed.
const LEASE_MS: u32 = 10_000;
/// The lease's name: of several hosts on one database, one drives.
const LEASE: &str = "driver";

pub(super) async fn run(app: Arc<App>, stop: CancellationToken) {
    let owner = app.context.ulid().to_string();
    // Whom a pass was to look at that panicked, nobody knows any more.
    app.fleet.mark_all_changed();
    while !stop.is_cancelled() {
        if leads(&app, &owner).await
            && let Err(error) = app.drive().await
        {
            tracing::error!(error = ?error, "a pass of the deployment driver failed");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = app.driver_woken() => tokio::time::sleep(BREATH).await,
            () = tokio::time::sleep(TICK) => {}
        }
    }
    if !app.store.is_exclusive()
        && let Err(error) = app.store.release_lease(LEASE, &owner).await
    {
        tracing::warn!(error = %error, "the driver's lease was not given back; it ends by itself");
    }
}

/// Whether this host drives. Where nobody else can have the database open there is nobody to agree with, and
/// after a crash nothing to wait for.
async fn leads(app: &App, owner: &str) -> bool {
    if app.store.is_exclusive() {
        return true;
    }
    match app.store.lease(LEASE, owner, app.context.now(), LEASE_MS).await {
        Ok(epoch) => epoch.is_some(),
        Err(error) => {
            tracing::warn!(error = %error, "the driver's lease could not be had");
            false
        }
    }
}
