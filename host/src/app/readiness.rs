//! Owns whether the server can do its work: the database, the place for bundles, the policies and the disk, each asked and timed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kernex_model::action::Action;
use tokio::sync::Mutex;

use super::App;

/// How long one part may take to answer.
const CHECK_TIME_OUT: Duration = Duration::from_secs(2);
/// For how long an answer is given again: probes come often and from several sides.
const FRESH: Duration = Duration::from_secs(1);
/// Room on the data directory's disk below which the server is not ready, in bytes.
const LEAST_DISK_BYTES: u64 = 256 * 1024 * 1024;

/// The parts that are asked, by name.
pub const PARTS: [&str; 4] = ["store", "bundles", "policies", "disk"];

/// One part, and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Which part.
    pub name: &'static str,
    /// What is wrong, if anything is.
    pub problem: Option<String>,
    /// How long it took to find out.
    pub took: Duration,
}

/// An answer, and since when it holds.
type Answered = (Instant, Vec<Check>);

/// The last answer. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct LastReadiness(Arc<Mutex<Option<Answered>>>);

impl App {
    /// How each part is, asked at most once a second.
    pub async fn readiness(&self) -> Vec<Check> {
        // Whoever comes while it is being found out waits for the same answer.
        let mut last = self.readiness.0.lock().await;
        if let Some((at, checks)) = &*last
            && at.elapsed() < FRESH
        {
            return checks.clone();
        }
        let [store, bundles, policies, disk] = PARTS;
        let store = timed(store, async { self.store.ping().await.map_err(|error| error.to_string()) });
        let bundles = timed(bundles, async { self.storage.probe().await.map_err(|error| error.to_string()) });
        let policies = timed(policies, async { self.policies_answer() });
        let disk = timed(disk, async { self.disk_has_room() });
        let (store, bundles, policies, disk) = tokio::join!(store, bundles, policies, disk);
        let checks = vec![store, bundles, policies, disk];
        *last = Some((Instant::now(), checks.clone()));
        checks
    }

    fn policies_answer(&self) -> Result<(), String> {
        let served = [
            !self.policies.authorization(Action::PolicyActivate).deciding.is_empty(),
            self.policies.targeting(None).is_some(),
            self.policies.rollback(None).is_some(),
        ];
        if served.into_iter().all(|served| served) { Ok(()) } else { Err("a gate has no policy".to_owned()) }
    }

    fn disk_has_room(&self) -> Result<(), String> {
        let disk = rustix::fs::statvfs(&self.settings.data_dir).map_err(|error| error.to_string())?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free >= LEAST_DISK_BYTES {
            return Ok(());
        }
        Err(format!("{} MiB are left, {} are needed", free >> 20, LEAST_DISK_BYTES >> 20))
    }
}

async fn timed(name: &'static str, check: impl Future<Output = Result<(), String>>) -> Check {
    let began = Instant::now();
    let problem = match tokio::time::timeout(CHECK_TIME_OUT, check).await {
        Ok(answer) => answer.err(),
        Err(_) => Some(format!("no answer within {} s", CHECK_TIME_OUT.as_secs())),
    };
    Check { name, problem, took: began.elapsed() }
}
