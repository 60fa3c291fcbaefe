//! Owns asking revisions that look on, behind the calls that they look at.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::app::policies::looking_on::ShadowInbox;

/// Questions that are asked together; what came of them is written once.
const CHUNK: usize = 2_048;
/// Pause between two writes.
const INTERVAL: Duration = Duration::from_millis(250);

pub(super) async fn run(app: Arc<App>, stop: CancellationToken, inbox: Arc<Mutex<ShadowInbox>>) {
    let mut inbox = inbox.lock().await;
    loop {
        let mut jobs = Vec::new();
        tokio::select! {
            () = stop.cancelled() => break,
            received = inbox.recv_many(&mut jobs, CHUNK) => if received == 0 { break },
        }
        app.compare(jobs).await;
        tokio::time::sleep(INTERVAL).await;
    }
}
