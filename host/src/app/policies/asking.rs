//! Owns asking a policy: every call of a plugin goes through here, and its failures are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kernex_engine::{Policy, Run};
use kernex_model::action::Action;
use kernex_model::document::PolicyRevision;
use kernex_model::name::PolicyName;
use kernex_model::policy::{
    AuthorizationDecision, AuthorizationRequest, Batch, Blame, Permission, Reason, RollbackOutcome, RollbackRequest,
    ScopeRequest, TargetingDeployment, TargetingPlan, Visible, Window,
};
use tokio::sync::mpsc;

/// Failures in a row, all of them the plugin's own, after which a revision is taken out.
const FAULTS_TO_QUARANTINE: u32 = 5;
/// Revisions that wait to be taken out, at most; a further one rings again later.
const WAITING: usize = 64;

/// A revision that has failed too often.
pub type FailedRevision = (PolicyName, u64);

/// Where a failing revision is told of.
pub type Alarm = mpsc::Sender<FailedRevision>;

/// The other end of it.
pub type Alarms = mpsc::Receiver<FailedRevision>;

pub(super) fn alarms() -> (Alarm, Alarms) {
    mpsc::channel(WAITING)
}

/// A revision of a policy, ready to be asked.
#[derive(Debug)]
pub struct ActivePolicy {
    /// What was configured.
    pub revision: PolicyRevision,
    /// Its name, for metrics.
    pub label: Arc<str>,
    pub(super) engine: Policy,
    faults_in_a_row: AtomicU32,
    alarm: Alarm,
}

impl ActivePolicy {
    pub(super) fn new(revision: PolicyRevision, engine: Policy, alarm: Alarm) -> Self {
        Self { label: revision.name.as_str().into(), revision, engine, faults_in_a_row: AtomicU32::new(0), alarm }
    }

    /// Whether it is asked about the action.
    #[must_use]
    pub fn covers(&self, action: Action) -> bool {
        self.revision.actions.iter().any(|pattern| pattern.covers(action))
    }

    /// How often in a row it has failed, by its own fault.
    #[must_use]
    pub fn faults_in_a_row(&self) -> u32 {
        self.faults_in_a_row.load(Ordering::Relaxed)
    }

    /// Asks the authorization gate one question.
    pub fn check(&self, request: &AuthorizationRequest) -> Run<Vec<AuthorizationDecision>> {
        let _span = tracing::debug_span!("policy.check", policy = &*self.label).entered();
        self.noted(self.engine.check(std::slice::from_ref(request), &[]))
    }

    /// Asks the authorization gate what a list shows.
    pub fn scope(&self, request: &ScopeRequest) -> Run<Visible> {
        self.noted(self.engine.scope(&request.principal, &request.action, &request.resource_kind, &[]))
    }

    /// Asks the targeting gate how to classify.
    pub fn survey(&self, deployment: &TargetingDeployment) -> Run<Result<TargetingPlan, Reason>> {
        self.noted(self.engine.survey(deployment, &[]))
    }

    /// Asks the targeting gate for classes.
    pub fn classify(&self, deployment: &TargetingDeployment, plan: &TargetingPlan, batch: &Batch) -> Run<Vec<u16>> {
        self.noted(self.engine.classify(deployment, plan, batch, &[]))
    }

    /// Asks the rollback gate how a deployment goes on.
    pub fn judge(&self, window: &Window, state: &[u8]) -> Run<RollbackOutcome> {
        self.noted(self.engine.judge(window, state, &[]))
    }

    /// Asks the rollback gate whether a person may send a device back.
    pub fn permit(&self, request: &RollbackRequest) -> Run<Permission> {
        self.noted(self.engine.permit(request, &[]))
    }

    /// Counts failures in a row; what the host is to blame for counts neither way.
    fn noted<T>(&self, run: Run<T>) -> Run<T> {
        match &run.outcome {
            Ok(_) => {
                // Read first: nearly always it is 0 already, and all threads share it.
                if self.faults_in_a_row.load(Ordering::Relaxed) != 0 {
                    self.faults_in_a_row.store(0, Ordering::Relaxed);
                }
            }
            Err(fault) if fault.blame() == Blame::Plugin => {
                let faults = self.faults_in_a_row.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
                if rings(faults) {
                    // Full: a later failure tells it again.
                    let _ = self.alarm.try_send((self.revision.name.clone(), self.revision.revision));
                }
            }
            Err(_) => {}
        }
        run
    }
}

/// Whether so many failures in a row are told of: 5, 10, 20, 40 and so on. One that nothing can replace fails with
/// every call, and neither the log nor the store must be kept busy by that.
fn rings(faults: u32) -> bool {
    faults.is_multiple_of(FAULTS_TO_QUARANTINE) && (faults / FAULTS_TO_QUARANTINE).is_power_of_two()
}

#[test]
fn failures_are_told_of_ever_more_rarely() {
    let told: Vec<u32> = (0..=100).filter(|faults| rings(*faults)).collect();
    assert_eq!(told, [5, 10, 20, 40, 80]);
}
