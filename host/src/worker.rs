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

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Inboxes};

/// Pause before a loop that ended by a panic, or by itself, is started again.
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
        // Whoever is started again goes on with the same inbox.
        let (alarms, shadows) = (Arc::new(Mutex::new(inboxes.alarms)), Arc::new(Mutex::new(inboxes.shadows)));
        let loops = vec![
            supervise("driver", app, &stop, driver::run),
            supervise("presence", app, &stop, move |app, stop| presence::run(app, stop, flush_interval)),
            supervise("decisions", app, &stop, decisions::run),
            supervise("retention", app, &stop, retention::run),
            supervise("policies", app, &stop, move |app, stop| policies::run(app, stop, alarms.clone())),
            supervise("shadow", app, &stop, move |app, stop| shadow::run(app, stop, shadows.clone())),
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

/// Runs a loop until it is told to stop, and again where it ended before: a defect in one must not silence it.
fn supervise<A, F, Fut>(name: &'static str, app: &Arc<A>, stop: &CancellationToken, run: F) -> JoinHandle<()>
where
    A: Send + Sync + 'static,
    F: Fn(Arc<A>, CancellationToken) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (app, stop) = (app.clone(), stop.clone());
    tokio::spawn(async move {
        while !stop.is_cancelled() {
            match tokio::spawn(run(app.clone(), stop.clone())).await {
                Ok(()) if stop.is_cancelled() => break,
                Ok(()) => tracing::error!(worker = name, "a background loop ended by itself and is started again"),
                Err(error) => {
                    tracing::error!(worker = name, error = %error, "a background loop failed and is started again");
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(RESTART_PAUSE) => {}
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_loop_that_panics_or_ends_is_started_again_with_its_inbox() {
        let (jobs, inbox) = mpsc::channel::<u32>(1);
        let (done, mut all_done) = mpsc::channel(1);
        let inbox = Arc::new(Mutex::new(inbox));
        let (begun, stop) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let task = supervise("test", &begun, &stop, move |begun, stop| {
            let (inbox, done) = (inbox.clone(), done.clone());
            async move {
                let mut inbox = inbox.lock().await;
                match begun.fetch_add(1, Ordering::Relaxed) {
                    0 => panic!("as the test wants it"),
                    1 => {}
                    _ => {
                        done.send(inbox.recv().await).await.expect("somebody waits for it");
                        stop.cancelled().await;
                    }
                }
            }
        });
        jobs.send(7).await.expect("there is room");
        assert_eq!(all_done.recv().await, Some(Some(7)));
        stop.cancel();
        task.await.expect("it stops in order");
        assert_eq!(begun.load(Ordering::Relaxed), 3);
    }
}
