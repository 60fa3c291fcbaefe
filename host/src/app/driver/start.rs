//! Owns the start of a planned deployment: the authorization policies are asked in its creator's name, and it waits
//! where they refuse.

use kernex_model::action::Action;
use kernex_model::deployment::{Deployment, DeploymentState, StateReason};
use kernex_model::id::DeploymentId;
use kernex_model::record::Decision;
use kernex_model::time::Timestamp;

use super::{Progress, host_reason};
use crate::app::execution::Work;
use crate::app::gatekeeper::Refusal;
use crate::app::{App, AppError};

/// Seconds until the policies are asked again about a deployment that nobody approved meanwhile: policies change, and
/// so does the time of day.
const ASK_AGAIN_S: u32 = 60;

/// When the policies were asked about a deployment that waits, and how many had approved it then.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct LastAsked {
    at: Timestamp,
    approvals: usize,
}

/// What the policies said to a start.
struct Answer {
    /// Why not.
    refused: Option<StateReason>,
    decisions: Vec<Decision>,
}

impl App {
    /// Opens the first wave of a planned deployment where its creator may start it; else it waits for approval. What
    /// was decided is written down where it is news.
    pub(super) async fn begin(&self, mut deployment: Deployment, started: StateReason) -> Result<Progress, AppError> {
        let id = deployment.id;
        let waits = deployment.state == DeploymentState::AwaitingApproval;
        if !waits && deployment.state != DeploymentState::Draft {
            return Err(AppError::Stale);
        }
        let now = self.context.now();
        let asked = LastAsked { at: now, approvals: deployment.approved_by.len() };
        let Answer { refused, decisions } = self.may_start(&deployment).await?;
        let (news, step) = match &refused {
            Some(reason) => (!waits || deployment.reason.as_ref() != Some(reason), "await-approval"),
            None => (true, "start"),
        };
        let progress = if news {
            match refused {
                Some(reason) => deployment.await_approval(reason, now),
                None => deployment.start(now).map(|()| deployment.reason = Some(started)),
            }
            .map_err(|_| AppError::Stale)?;
            let mut work = Work::new(now, [deployment]);
            work.deployment_mut(id);
            decisions.into_iter().for_each(|decision| work.decided(decision));
            self.finish(work, id, step).await?
        } else {
            Progress::Idle
        };
        self.asked.lock().insert(id, asked);
        Ok(progress)
    }

    /// Asks again about a deployment that waits, where somebody has approved it since or a while has passed.
    pub(super) async fn begin_again(&self, id: DeploymentId) -> Result<Progress, AppError> {
        let deployment = self.load_deployment(id).await?;
        let last = self.asked.lock().get(&id).copied();
        let due = last.is_none_or(|last| {
            last.approvals != deployment.approved_by.len() || self.context.now() >= last.at.plus_secs(ASK_AGAIN_S)
        });
        if deployment.state != DeploymentState::AwaitingApproval || !due {
            return Ok(Progress::Idle);
        }
        self.begin(deployment, host_reason("started", "the authorization policies let it start")).await
    }

    /// Asks in the creator's name, with the roles that the creator has now.
    async fn may_start(&self, deployment: &Deployment) -> Result<Answer, AppError> {
        let refused = |reason| Answer { refused: Some(reason), decisions: Vec::new() };
        let creator = match self.creator(deployment.created_by).await? {
            Ok(creator) => creator,
            Err(gone) => return Ok(refused(host_reason(&gone.code, gone.message))),
        };
        let facts = self.authorization_facts(deployment).await?;
        let (action, id) = (Action::DeploymentStart, deployment.id.to_string());
        Ok(match self.gatekeeper.consult(&creator, action, "deployment", Some(id), facts) {
            Ok(grant) => Answer { refused: None, decisions: grant.decisions() },
            Err(Refusal::Decided(decision)) => {
                let by = format!("policy:{}", decision.policy);
                let reason = StateReason { code: decision.code.clone(), message: decision.message.clone(), by };
                Answer { refused: Some(reason), decisions: vec![*decision] }
            }
            Err(Refusal::Uncovered) => {
                let message = format!("no authorization policy is asked about `{action}`, so that nobody may do it");
                refused(host_reason("not-covered", message))
            }
        })
    }

    /// A deployment that does not wait is not asked about.
    pub(super) fn forget_asked(&self, id: DeploymentId) {
        self.asked.lock().remove(&id);
    }
}
