//! The supervised background loops: the driver, group writers, presence flushing, the decision log and its
//! retention, failing and changed policies.

mod decisions;
mod driver;
mod policies;
mod presence;
mod retention;
mod shadow;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Inboxes};

/// Pause before a loop that ended by a panic is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The running loops.
#[derive(Debug)]
pub struct Workers {
    stop: CancellationToken,
    loops: Vec<JoinHandle<()>>,
    writers: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts every loop.
    #[must_use]
    pub fn start(app: &Arc<App>, inboxes: Inboxes, flush_interval: Duration) -> Self {
        let stop = CancellationToken::new();
        let loops = vec![
            supervise("driver", app, &stop, driver::run),
            supervise("presence", app, &stop, move |app, stop| presence::run(app, stop, flush_interval)),
            supervise("decisions", app, &stop, decisions::run),
            supervise("retention", app, &stop, retention::run),
            tokio::spawn(policies::run(app.clone(), inboxes.alarms, stop.clone())),
            tokio::spawn(shadow::run(app.clone(), inboxes.shadows, stop.clone())),
        ];
        let reports = Arc::downgrade(app);
        let beats = Arc::downgrade(app);
        // The writers end with the last handle to the use cases: what was handed in is written before.
        let writers = vec![
            tokio::spawn(inboxes.reports.run(async move |jobs| match reports.upgrade() {
                Some(app) => app.write_reports(jobs).await,
                None => jobs.iter().map(|_| Err(crate::app::AppError::Busy)).collect(),
            })),
            tokio::spawn(inboxes.beats.run(async move |jobs| match beats.upgrade() {
                Some(app) => app.write_beats(jobs).await,
                None => jobs.iter().map(|_| Err(crate::app::AppError::Busy)).collect(),
            })),
        ];
        Self { stop, loops, writers }
    }

    /// Stops the loops, each after the step that it is in, and flushes what memory holds. Call it when no
    /// request is served any more.
    pub async fn stop(self, app: &App) {
        self.stop.cancel();
        for task in self.loops {
            if let Err(error) = task.await {
                tracing::error!(error = %error, "a background loop ended badly");
            }
        }
        presence::flush(app).await;
        decisions::flush(app).await;
        self.writers.iter().for_each(JoinHandle::abort);
    }
}

/// Runs a loop until it is told to stop, and again where it panicked: a defect in one must not silence it.
fn supervise<F, Fut>(name: &'static str, app: &Arc<App>, stop: &CancellationToken, run: F) -> JoinHandle<()>
where
    F: Fn(Arc<App>, CancellationToken) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (app, stop) = (app.clone(), stop.clone());
    tokio::spawn(async move {
        while !stop.is_cancelled() {
            if let Err(error) = tokio::spawn(run(app.clone(), stop.clone())).await {
                tracing::error!(worker = name, error = %error, "a background loop failed and is started again");
                tokio::time::sleep(RESTART_PAUSE).await;
            }
        }
    })
}
