//! Owns forgetting what has served its time: decisions past their retention, assertions and idempotency keys that have expired.

use std::sync::Arc;
use std::time::Duration;

use kernex_store::MAX_PAGE;
use tokio_util::sync::CancellationToken;

use crate::app::{App, AppError};

/// Pause between two rounds.
const INTERVAL: Duration = Duration::from_secs(60);
/// Pause between two steps of one round: others want the database, too.
const BREATH: Duration = Duration::from_millis(50);
/// Steps of one round, at most; what is left waits for the next.
const STEPS: usize = 1_000;

pub(super) async fn run(app: Arc<App>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(INTERVAL) => {
                if let Err(error) = app.fail_abandoned_operations().await {
                    tracing::warn!(error = ?error, "operations that were left behind could not be looked at");
                }
                round(&app, &stop).await;
            }
        }
    }
}

async fn round(app: &App, stop: &CancellationToken) {
    let full = usize::from(MAX_PAGE);
    for _ in 0..STEPS {
        let decisions = app.prune_decisions().await;
        let assertions = app.store.prune_assertions(app.context.now()).await;
        let keys = app.store.prune_keys(app.context.now()).await.map_err(AppError::from);
        let assertions = assertions.map_err(AppError::from);
        let more = [decisions, assertions, keys].into_iter().any(|gone| match gone {
            Ok(gone) => gone == full,
            Err(error) => {
                tracing::warn!(error = ?error, "what has served its time could not be removed");
                false
            }
        });
        if !more || stop.is_cancelled() {
            break;
        }
        tokio::time::sleep(BREATH).await;
    }
}
