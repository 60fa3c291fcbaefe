//! Owns forgetting what has served its time: decisions that are too old or too many, assertions and idempotency keys
//! that have expired.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kernex_store::{MAX_PAGE, StoreError};
use tokio_util::sync::CancellationToken;

use crate::app::{App, AppError};

/// Pause between two rounds.
const INTERVAL: Duration = Duration::from_secs(60);
/// Pause between two steps of one round: others want the database, too.
const BREATH: Duration = Duration::from_millis(50);
/// Steps of one round, at most; what is left waits for the next.
const STEPS: usize = 1_000;
/// How often it is looked whether there are too many decisions: a walk over the keys of all that are kept.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);
/// Keys of one step of that walk.
const PIECE: u32 = 100_000;

pub(super) async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut surplus = Surplus::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(INTERVAL) => {
                if let Err(error) = app.fail_abandoned_operations().await {
                    tracing::warn!(error = ?error, "operations that were left behind could not be looked at");
                }
                round(&app, &stop).await;
                surplus.round(&app, &stop).await;
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

/// The decisions beyond the number that is kept.
#[derive(Debug, Default)]
struct Surplus {
    /// When they were looked for last.
    looked: Option<Instant>,
    /// Where removing them goes on: all that stands behind this place is too much, whoever else removes some of it.
    behind: Option<String>,
}

impl Surplus {
    async fn round(&mut self, app: &App, stop: &CancellationToken) {
        let due = self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY);
        if self.behind.is_none() && due {
            self.looked = Some(Instant::now());
            match last_kept(app, stop).await {
                Ok(place) => self.behind = place,
                Err(error) => tracing::warn!(%error, "it could not be found out whether there are too many decisions"),
            }
        }
        for _ in 0..STEPS {
            let Some(place) = self.behind.take() else { break };
            match app.store.prune_decisions_behind(&place, usize::from(MAX_PAGE)).await {
                Ok(next) => self.behind = next,
                Err(error) => {
                    tracing::warn!(%error, "decisions beyond the number that is kept could not be removed");
                    self.behind = Some(place);
                    break;
                }
            }
            if stop.is_cancelled() {
                break;
            }
            tokio::time::sleep(BREATH).await;
        }
    }
}

/// The place of the oldest decision that is kept; `None` where there are fewer, or it is time to stop.
async fn last_kept(app: &App, stop: &CancellationToken) -> Result<Option<String>, StoreError> {
    let (mut place, mut left) = (String::new(), app.settings.keep_decisions_max);
    while left > 0 {
        let piece = left.min(PIECE);
        match app.store.decision_place(&place, piece).await? {
            Some(next) if !stop.is_cancelled() => place = next,
            Some(_) | None => return Ok(None),
        }
        left -= piece;
        tokio::time::sleep(BREATH).await;
    }
    Ok(Some(place))
}
