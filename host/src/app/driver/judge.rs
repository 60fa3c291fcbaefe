//! Owns asking the rollback policy how a deployment goes on, and doing what it says, under the host's own floor.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernex_model::assignment::AssignmentState;
use kernex_model::deployment::{AcceptedFailures, Deployment, DeploymentKind, RollbackExtent, StateReason};
use kernex_model::id::DeploymentId;
use kernex_model::policy::{Counts, FailureSample, Fault, RollbackAction, RollbackOutcome, Window};
use kernex_model::record::{Decision, DecisionGate, DecisionOutcome};
use kernex_store::Due;

use super::{Progress, UNKNOWN_POLICY, host_reason};
use crate::app::execution::Work;
use crate::app::verdict::{Asked, Verdict, fault_reason, json};
use crate::app::{App, AppError};

/// The host's floor: a larger failure share of the executed devices of a wave always stops new offers.
/// Policies may only be stricter.
const FLOOR_FAILURE_SHARE: f64 = 0.5;
/// Executed devices below which the floor does not act.
const FLOOR_MIN_EXECUTED: u32 = 10;
/// Failed assignments that are read for the policy's list of failures.
const FAILURES_READ: usize = 200;
/// Kinds of failure that the policy is shown.
const FAILURE_KINDS: usize = 16;

impl App {
    /// Asks, and does what was said: go on, open the next wave, hold, halt or send devices back.
    pub(super) async fn judge(&self, id: DeploymentId) -> Result<Progress, AppError> {
        let deployment = self.load_deployment(id).await?;
        if deployment.kind == DeploymentKind::Direct
            || deployment.state != kernex_model::deployment::DeploymentState::Running
        {
            return Ok(Progress::Idle);
        }
        let now = self.context.now();
        if let Some(open) = deployment.waves.get(usize::from(deployment.wave))
            && open.counts.total() == open.counts.cancelled
            && (usize::from(deployment.wave) + 1 < deployment.waves.len() || deployment.counts().active() == 0)
        {
            let mut passed = deployment.clone();
            passed.advance(host_reason("wave-empty", format!("wave `{}` has no devices", open.name)), now);
            let mut work = Work::new(now, [passed]);
            work.deployment_mut(id);
            return self.finish(work, id, "advance").await;
        }
        let policy = self
            .policies
            .deciding(DecisionGate::Rollback, &deployment)
            .await?
            .ok_or_else(|| AppError::invalid(UNKNOWN_POLICY, "no revision of its rollback policy decides"))?;
        let window = self.window(&deployment).await?;
        let state = STANDARD.decode(&deployment.judge_state).unwrap_or_default();
        let input = serde_json::json!({ "window": window, "state": deployment.judge_state });
        let mut asked = Asked::new(id, "judge", &input);
        let outcome = asked.spent(policy.judge(&window, &state));
        let decision = self.decided(&policy, &asked, verdict(&outcome));
        self.show(&policy, &asked, &decision);
        self.act(deployment, &window, outcome, decision).await
    }

    async fn window(&self, deployment: &Deployment) -> Result<Window, AppError> {
        let open = deployment.waves.get(usize::from(deployment.wave));
        let in_wave = open.map(|wave| wave.counts).unwrap_or_default();
        let millis = |time: i64| u64::try_from(time).unwrap_or(0);
        Ok(Window {
            deployment: deployment.id.to_string(),
            facts: self.deployment_facts(deployment).await?,
            now_ms: millis(self.context.now().as_millis()),
            wave: u32::from(deployment.wave),
            waves: u32::try_from(deployment.waves.len()).unwrap_or(u32::MAX),
            wave_opened_at_ms: open.and_then(|wave| wave.opened_at).map_or(0, |time| millis(time.as_millis())),
            in_wave: in_wave.to_policy(),
            overall: deployment.counts().to_policy(),
            failures: self.failures(deployment).await?,
        })
    }

    /// What failed, most frequent first.
    async fn failures(&self, deployment: &Deployment) -> Result<Vec<FailureSample>, AppError> {
        let mut kinds: BTreeMap<String, FailureSample> = BTreeMap::new();
        for (wave, counts) in (0_u16..).zip(deployment.waves.iter().map(|wave| wave.counts)) {
            for state in [AssignmentState::Failed, AssignmentState::Rejected, AssignmentState::TimedOut] {
                if counts.at(state) == 0 {
                    continue;
                }
                let failed = self
                    .store
                    .assignments_in_state(Due { deployment: deployment.id, state, wave }, FAILURES_READ)
                    .await?;
                for error in failed.into_iter().filter_map(|assignment| assignment.error) {
                    let kind = kinds.entry(error.code.clone()).or_insert(FailureSample {
                        code: error.code,
                        count: 0,
                        sample: error.message,
                    });
                    kind.count += 1;
                }
            }
        }
        let mut failures: Vec<_> = kinds.into_values().collect();
        failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
        failures.truncate(FAILURE_KINDS);
        Ok(failures)
    }

    async fn act(
        &self,
        before: Deployment,
        window: &Window,
        outcome: Result<RollbackOutcome, Fault>,
        decision: Decision,
    ) -> Result<Progress, AppError> {
        let id = before.id;
        let now = self.context.now();
        let mut after = before.clone();
        let by = format!("policy:{}", decision.policy);
        let reason = StateReason { code: decision.code.clone(), message: decision.message.clone(), by };
        let floor = breaches_floor(&window.in_wave, before.accepted.filter(|accepted| accepted.wave == before.wave));
        // A fault holds: nothing new is offered, and nothing is taken back.
        let (action, state) = match outcome {
            Ok(outcome) => (outcome.action, STANDARD.encode(outcome.state)),
            Err(_) => (RollbackAction::Hold, before.judge_state.clone()),
        };
        after.judge_state = state;
        match action {
            RollbackAction::RollBack(extent) => {
                let extent = RollbackExtent::from(extent);
                after.roll_back(extent, reason, now).map_err(|_| AppError::Stale)?;
            }
            RollbackAction::Pause => after.halt(reason, now).map_err(|_| AppError::Stale)?,
            RollbackAction::Proceed | RollbackAction::Advance | RollbackAction::Hold if floor => {
                let message =
                    format!("more than {} % of the executed devices of this wave failed", FLOOR_FAILURE_SHARE * 100.0);
                after.halt(host_reason("floor", message), now).map_err(|_| AppError::Stale)?;
            }
            RollbackAction::Advance => {
                let last = usize::from(after.wave) + 1 >= after.waves.len();
                // The last wave passes when everybody has come to an end: devices that are away get it later.
                if !last || after.counts().active() == 0 {
                    after.advance(reason, now);
                } else {
                    after.reason = Some(reason);
                }
            }
            RollbackAction::Proceed | RollbackAction::Hold => after.reason = Some(reason),
        }
        self.note_hold(id, action == RollbackAction::Hold);
        let news = after.state != before.state || after.wave != before.wave || code(&after) != code(&before);
        if !news && after.judge_state == before.judge_state {
            return Ok(Progress::Idle);
        }
        let back = after.rollback.is_some() && before.rollback.is_none();
        let mut work = Work::new(now, [after]);
        work.deployment_mut(id);
        if news {
            work.decided(decision);
        }
        if back {
            self.mark_bad(&mut work, &before).await?;
        }
        self.finish(work, id, "judge").await
    }
}

fn verdict(outcome: &Result<RollbackOutcome, Fault>) -> Verdict {
    match outcome {
        Ok(judged) => {
            Verdict { outcome: judged.action.into(), reason: judged.reason.clone(), output: Some(json(judged)) }
        }
        Err(fault) => {
            Verdict { outcome: DecisionOutcome::Fault, reason: fault_reason("rollback", fault), output: None }
        }
    }
}

fn code(deployment: &Deployment) -> Option<&str> {
    deployment.reason.as_ref().map(|reason| reason.code.as_str())
}

/// Failures among *executed* devices, not among all: of 20,000 devices of which 15 tried and 10 failed, two
/// thirds have failed. What a person has accepted is not counted again.
fn breaches_floor(counts: &Counts, accepted: Option<AcceptedFailures>) -> bool {
    let (known_failed, known) = accepted.map_or((0, 0), |accepted| (accepted.failed, accepted.executed));
    let failed = counts.failures().saturating_sub(known_failed);
    let executed = counts.executed().saturating_sub(known);
    executed >= FLOOR_MIN_EXECUTED && f64::from(failed) > f64::from(executed) * FLOOR_FAILURE_SHARE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_counts_the_executed_only() {
        let counts = |failed, verified| Counts { assigned: 20_000, failed, verified, ..Counts::default() };
        assert!(breaches_floor(&counts(10, 5), None));
        assert!(!breaches_floor(&counts(5, 10), None));
        assert!(!breaches_floor(&counts(9, 0), None), "below the minimum");
        assert!(!breaches_floor(&counts(5, 5), None), "half is not more than half");
        let accepted = Some(AcceptedFailures { wave: 0, failed: 10, executed: 15 });
        assert!(!breaches_floor(&counts(10, 5), accepted), "a person has seen these");
        assert!(!breaches_floor(&counts(19, 5), accepted), "too few since then");
        assert!(breaches_floor(&counts(20, 5), accepted), "ten more, and all of them failed");
    }
}
