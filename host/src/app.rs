//! The use cases: one file per noun, each reads authorize, load, decide, commit. Knows nothing of HTTP.

pub mod approvals;
pub mod bundles;
pub mod caller;
pub(crate) mod columns;
mod commands;
pub mod configs;
pub mod context;
pub mod decision_log;
pub mod deployments;
pub mod devices;
pub mod driver;
pub mod enrolment;
pub mod error;
mod execution;
mod filling;
pub mod fleet;
pub mod gatekeeper;
mod gauges;
pub mod group;
pub mod heartbeats;
pub mod idempotency;
pub mod identity;
mod news;
pub mod pinning;
pub mod planning;
pub mod plugins;
pub mod policies;
pub mod readiness;
pub mod records;
pub mod replay;
pub mod reports;
pub mod shadow;
mod share;
mod steps;
pub mod timelines;
mod verdict;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use kernex_engine::Engine;
use kernex_model::id::{BundleId, DeploymentId};
use kernex_model::name::{BundleName, BundleVersion};
use kernex_model::time::Timestamp;
use kernex_store::Store;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

pub use caller::Caller;
pub use context::Context;
pub use error::{AppError, FieldError};
pub use gatekeeper::{Gatekeeper, Grant, Scope};
pub use policies::Policies;

use bundles::BundleNames;
use bundles::storage::BundleStorage;
use decision_log::DecisionLog;
use driver::LastAsked;
use fleet::Fleet;
use gauges::{Gauges, Pulse};
use group::{Group, GroupInbox, group};
use heartbeats::BeatJob;
use identity::Identity;
use news::News;
use plugins::PluginSettings;
use policies::looking_on::{ShadowInbox, Shadows, shadows};
use policies::{Alarms, PolicyError};
use readiness::LastReadiness;
use reports::ReportJob;

use crate::telemetry::Metrics;

/// What the use cases are told by the settings.
#[derive(Debug, Clone)]
pub struct AppSettings {
    /// Seconds between a device's heartbeats.
    pub poll_s: u32,
    /// Days that decisions are kept.
    pub keep_decisions_days: u32,
    /// Decisions that are kept, at most.
    pub keep_decisions_max: u32,
    /// The share of decisions that allowed a read which is kept, in percent.
    pub read_decisions_percent: u8,
    /// The directory whose disk must have room.
    pub data_dir: PathBuf,
    /// The share of requests that are traced; `None` where nobody looks at traces.
    pub trace_ratio: Option<f64>,
    /// Whose plugins are taken.
    pub plugins: PluginSettings,
}

/// What is made before the use cases, and given to them.
#[derive(Debug)]
pub struct Parts {
    /// Time, identifiers, randomness.
    pub context: Context,
    /// A migrated store.
    pub store: Store,
    /// Accounts, sessions, keys and tokens.
    pub identity: Identity,
    /// Bundles' bytes.
    pub storage: BundleStorage,
    /// What is counted.
    pub metrics: Metrics,
    /// What the settings say.
    pub settings: AppSettings,
}

/// Everything that the use cases work with.
#[derive(Debug)]
pub struct App {
    /// Time, identifiers, randomness.
    pub context: Context,
    /// All state but bundles' bytes.
    pub store: Store,
    /// The active policies.
    pub policies: Policies,
    /// Asks the authorization policy.
    pub gatekeeper: Gatekeeper,
    /// Decisions on their way to the store.
    pub decisions: DecisionLog,
    /// Accounts, sessions, keys and tokens.
    pub identity: Identity,
    /// Devices in memory.
    pub fleet: Fleet,
    /// Bundles' bytes.
    pub storage: BundleStorage,
    /// What bundles are called.
    pub bundle_names: BundleNames,
    /// What is counted.
    pub metrics: Metrics,
    /// What the settings say.
    pub settings: AppSettings,
    pulse: Pulse,
    readiness: LastReadiness,
    /// Since when this process sees heartbeats.
    started_at: Timestamp,
    reports: Group<ReportJob, ()>,
    beats: Group<BeatJob, ()>,
    wake: Arc<Notify>,
    held: Mutex<HashSet<DeploymentId>>,
    /// Of deployments that wait for approval. Forgotten by a restart: it is asked again at once.
    asked: Mutex<HashMap<DeploymentId, LastAsked>>,
    /// Deployments that nobody joins, because no targeting policy decides about them: each is told of once, and looks at
    /// all devices when one decides again.
    untargeted: News<DeploymentId>,
    shadows: Shadows,
    /// Replays that may run at once.
    replays: Arc<Semaphore>,
}

/// What the workers take work out of.
#[derive(Debug)]
pub struct Inboxes {
    /// Reports to write.
    pub reports: GroupInbox<ReportJob, ()>,
    /// Heartbeats to write through.
    pub beats: GroupInbox<BeatJob, ()>,
    /// Policies that failed too often.
    pub alarms: Alarms,
    /// Questions for revisions that look on.
    pub shadows: ShadowInbox,
}

/// Why the use cases could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum AppStartError {
    /// A policy is missing or broken.
    #[error(transparent)]
    Policies(#[from] PolicyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] kernex_store::StoreError),
    /// What was in flight could not be read back.
    #[error("cannot restore the commands in flight: {0}")]
    Commands(String),
}

impl App {
    /// Makes the use cases ready over a migrated store: policies, devices, presence and pending commands
    /// are read back.
    ///
    /// # Errors
    /// [`AppStartError`]; nothing may be served then.
    pub async fn start(parts: Parts, engine: &Engine) -> Result<(Self, Inboxes), AppStartError> {
        let Parts { context, store, identity, storage, metrics, settings } = parts;
        let started_at = context.now();
        let (policies, alarms) = Policies::load(engine, &store, &context).await?;
        let decisions = DecisionLog::default();
        let (shadows, shadow_inbox) = shadows();
        let (reports, report_inbox) = group();
        let (beats, beat_inbox) = group();
        let fleet = Fleet::load(&store).await?;
        let pulse = Pulse::default();
        metrics.observe(Arc::new(Gauges {
            fleet: fleet.clone(),
            decisions: decisions.clone(),
            pulse: pulse.clone(),
            reports: reports.length(),
            beats: beats.length(),
            shadows: shadows.clone(),
        }));
        let app = Self {
            gatekeeper: Gatekeeper::new(
                policies.clone(),
                context.clone(),
                decisions.clone(),
                metrics.clone(),
                shadows.clone(),
                settings.read_decisions_percent,
            ),
            fleet,
            bundle_names: BundleNames::load(&store).await?,
            context,
            store,
            policies,
            decisions,
            identity,
            storage,
            metrics,
            settings,
            pulse,
            readiness: LastReadiness::default(),
            started_at,
            reports,
            beats,
            wake: Arc::default(),
            held: Mutex::default(),
            asked: Mutex::default(),
            untargeted: News::default(),
            shadows,
            replays: Arc::new(Semaphore::new(replay::MAX_AT_ONCE)),
        };
        app.restore_commands().await.map_err(|error| AppStartError::Commands(format!("{error:?}")))?;
        Ok((app, Inboxes { reports: report_inbox, beats: beat_inbox, alarms, shadows: shadow_inbox }))
    }

    /// Lets the driver look at once instead of at its next turn.
    pub fn wake_driver(&self) {
        self.wake.notify_one();
    }

    /// Waits until somebody wakes the driver.
    pub async fn driver_woken(&self) {
        self.wake.notified().await;
    }

    /// Name and version of a bundle.
    #[must_use]
    pub fn bundle_name(&self, bundle: BundleId) -> Option<(BundleName, BundleVersion)> {
        self.bundle_names.get(bundle)
    }

    /// Whether the rollback policy's last word on a deployment was to hold. Forgotten by a restart: it is
    /// asked again before the next offer.
    fn holds(&self, deployment: DeploymentId) -> bool {
        self.held.lock().contains(&deployment)
    }

    fn note_hold(&self, deployment: DeploymentId, hold: bool) {
        let mut held = self.held.lock();
        if hold {
            held.insert(deployment);
        } else {
            held.remove(&deployment);
        }
    }
}
