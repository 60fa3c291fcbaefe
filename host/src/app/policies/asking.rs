//! Owns asking a policy: every call of a plugin goes through here, and its failures are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kernex_engine::{Policy, Run};
use kernex_model::action::Action;
use kernex_model::document::PolicyRevision;
use kernex_model::name::PolicyName;
use kernex_model::policy::{
    AuthorizationDecision, AuthorizationRequest, Batch, Blame, Fact, Fault, Permission, Reason, RollbackOutcome,
    RollbackRequest, ScopeRequest, TargetingDeployment, TargetingPlan, Visible, Window,
};
use kernex_model::selector::Selector;
use tokio::sync::mpsc;

use crate::app::Scope;
use crate::app::gatekeeper::selected;

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

/// What a list shows: in the policy's words, and what they mean.
pub(in crate::app) type Scoped = (Visible, Scope);
/// What a survey comes to: the plan with its candidates as the host selects them, or why there is none.
pub(super) type Surveyed = Result<(TargetingPlan, Selector), Reason>;

pub(super) fn alarms() -> (Alarm, Alarms) {
    mpsc::channel(WAITING)
}

/// What a policy is asked: the functions of the contract's gates.
#[derive(Debug, Clone, Copy)]
enum Function {
    Check,
    Scope,
    Survey,
    Classify,
    Judge,
    Permit,
}

impl Function {
    const COUNT: usize = 6;

    fn span(self) -> &'static str {
        match self {
            Self::Check => "policy.check",
            Self::Scope => "policy.scope",
            Self::Survey => "policy.survey",
            Self::Classify => "policy.classify",
            Self::Judge => "policy.judge",
            Self::Permit => "policy.permit",
        }
    }
}

/// A revision of a policy, ready to be asked.
#[derive(Debug)]
pub struct ActivePolicy {
    /// What was configured.
    pub revision: PolicyRevision,
    /// Its name, for metrics.
    pub label: Arc<str>,
    pub(super) engine: Policy,
    /// Of each function by itself: one that always fails is often asked right behind one that never does.
    faults_in_a_row: [AtomicU32; Function::COUNT],
    alarm: Alarm,
}

impl ActivePolicy {
    pub(super) fn new(revision: PolicyRevision, engine: Policy, alarm: Alarm) -> Self {
        Self { label: revision.name.as_str().into(), revision, engine, faults_in_a_row: Default::default(), alarm }
    }

    /// Whether it is asked about the action.
    #[must_use]
    pub fn covers(&self, action: Action) -> bool {
        self.revision.actions.iter().any(|pattern| pattern.covers(action))
    }

    /// How often in a row it has failed, by its own fault, at the function where that is most.
    #[must_use]
    pub fn faults_in_a_row(&self) -> u32 {
        self.faults_in_a_row.iter().map(|faults| faults.load(Ordering::Relaxed)).max().unwrap_or_default()
    }

    /// Asks the authorization gate one question.
    pub fn check(&self, request: &AuthorizationRequest) -> Run<AuthorizationDecision> {
        self.ask(Function::Check, || {
            read(self.engine.check(std::slice::from_ref(request), &[]), |mut answers| {
                answers.pop().ok_or_else(|| Fault::BadOutput("it gave no answer".to_owned()))
            })
        })
    }

    /// Asks the authorization gate what a list shows.
    pub fn scope(&self, request: &ScopeRequest) -> Run<Scoped> {
        self.ask(Function::Scope, || scope(&self.engine, request, &[]))
    }

    /// Asks the targeting gate how to classify.
    pub fn survey(&self, deployment: &TargetingDeployment) -> Run<Surveyed> {
        self.ask(Function::Survey, || survey(&self.engine, deployment, &[]))
    }

    /// Asks the targeting gate for classes.
    pub fn classify(&self, deployment: &TargetingDeployment, plan: &TargetingPlan, batch: &Batch) -> Run<Vec<u16>> {
        self.ask(Function::Classify, || self.engine.classify(deployment, plan, batch, &[]))
    }

    /// Asks the rollback gate how a deployment goes on.
    pub fn judge(&self, window: &Window, state: &[u8]) -> Run<RollbackOutcome> {
        self.ask(Function::Judge, || self.engine.judge(window, state, &[]))
    }

    /// Asks the rollback gate whether a person may send a device back.
    pub fn permit(&self, request: &RollbackRequest) -> Run<Permission> {
        self.ask(Function::Permit, || self.engine.permit(request, &[]))
    }

    /// Asks, in a span of its own where the request is traced, and counts a failure.
    fn ask<T>(&self, function: Function, ask: impl FnOnce() -> Run<T>) -> Run<T> {
        let name = function.span();
        let span =
            tracing::debug_span!("policy", otel.name = name, policy = &*self.label, fault = tracing::field::Empty);
        let run = span.in_scope(ask);
        if let Err(fault) = &run.outcome {
            span.record("fault", fault.code());
        }
        self.noted(function, run)
    }

    /// Counts failures in a row; what the host is to blame for counts neither way.
    fn noted<T>(&self, function: Function, run: Run<T>) -> Run<T> {
        let in_a_row = &self.faults_in_a_row[function as usize];
        match &run.outcome {
            Ok(_) => {
                // Read first: nearly always it is 0 already, and all threads share it.
                if in_a_row.load(Ordering::Relaxed) != 0 {
                    in_a_row.store(0, Ordering::Relaxed);
                }
            }
            Err(fault) if fault.blame() == Blame::Plugin => {
                let faults = in_a_row.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
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

/// What a list shows; for whoever asks once more, too: without a span, and no failure counts.
pub(super) fn scope(policy: &Policy, request: &ScopeRequest, facts: &[Fact]) -> Run<Scoped> {
    read(policy.scope(&request.principal, &request.action, &request.resource_kind, facts), |visible| {
        let scope = Scope::of(&visible)?;
        Ok((visible, scope))
    })
}

/// How to classify; for whoever asks once more, too.
pub(super) fn survey(policy: &Policy, deployment: &TargetingDeployment, facts: &[Fact]) -> Run<Surveyed> {
    read(policy.survey(deployment, facts), |answer| match answer {
        Ok(plan) => selected(plan.candidates.clone()).map(|candidates| Ok((plan, candidates))),
        Err(reason) => Ok(Err(reason)),
    })
}

/// Reads an answer before it counts: what the contract lets pass and the host cannot use is the plugin's failure, too.
fn read<T, U>(run: Run<T>, read: impl FnOnce(T) -> Result<U, Fault>) -> Run<U> {
    let Run { outcome, fuel, duration, facts_read, log } = run;
    Run { outcome: outcome.and_then(read), fuel, duration, facts_read, log }
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
