//! Owns taking out policies that fail, and taking up what another host has changed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::app::policies::Alarms;

/// How often the store is asked whether another host changed a policy.
const INTERVAL: Duration = Duration::from_secs(10);

pub(super) async fn run(app: Arc<App>, stop: CancellationToken, alarms: Arc<Mutex<Alarms>>) {
    let mut alarms = alarms.lock().await;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            failed = alarms.recv() => match failed {
                Some(failed) => {
                    if let Err(error) = app.quarantine_policy(&failed).await {
                        tracing::error!(policy = %failed.0, %error, "a failing policy could not be taken out");
                    }
                }
                None => break,
            },
            () = tokio::time::sleep(INTERVAL) => {
                if let Err(error) = app.policies.refresh().await {
                    tracing::warn!(%error, "the policies could not be read again");
                }
            }
        }
    }
}
