//! Owns the steps of a deployment: from where each may be taken, and what it changes.

use super::{AcceptedFailures, Deployment, DeploymentState, MAX_APPROVALS, RollbackExtent, StateReason};
use crate::assignment::AssignmentState;
use crate::count::StateCounts;
use crate::principal::Principal;
use crate::time::Timestamp;
use crate::wave::WaveState;

/// A step is not possible from where the deployment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a deployment that is {} cannot be {step}", from.as_str())]
pub struct StepRefused {
    /// Where it stands.
    pub from: DeploymentState,
    /// What was asked for: `paused`, `resumed`, ...
    pub step: &'static str,
}

/// An approval does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalRefused {
    /// The deployment does not wait for one.
    #[error("a deployment that is {} does not wait for approval", .from.as_str())]
    NotAwaited {
        /// Where it stands.
        from: DeploymentState,
    },
    /// Whoever approves has done so before.
    #[error("the caller has approved this deployment before")]
    Repeated,
    /// There are as many as there may be.
    #[error("a deployment has at most {max} approvals", max = MAX_APPROVALS)]
    TooMany,
}

impl Deployment {
    fn step(&mut self, to: DeploymentState, reason: Option<StateReason>, now: Timestamp) {
        self.state = to;
        self.reason = reason;
        self.updated_at = now;
    }

    fn refuse(&self, step: &'static str) -> StepRefused {
        StepRefused { from: self.state, step }
    }

    /// draft or awaiting_approval -> running: all its devices are chosen; the first wave opens.
    ///
    /// # Errors
    /// From any other state.
    pub fn start(&mut self, now: Timestamp) -> Result<(), StepRefused> {
        match self.state {
            DeploymentState::Draft | DeploymentState::AwaitingApproval => {
                self.step(DeploymentState::Running, None, now);
                self.wave = 0;
                if let Some(first) = self.waves.first_mut() {
                    first.open(now);
                }
                Ok(())
            }
            _ => Err(self.refuse("started")),
        }
    }

    /// draft -> awaiting_approval: all its devices are chosen, and it may not start yet. One that waits goes on
    /// waiting, for this reason.
    ///
    /// # Errors
    /// From any other state.
    pub fn await_approval(&mut self, reason: StateReason, now: Timestamp) -> Result<(), StepRefused> {
        match self.state {
            DeploymentState::Draft | DeploymentState::AwaitingApproval => {
                self.step(DeploymentState::AwaitingApproval, Some(reason), now);
                Ok(())
            }
            _ => Err(self.refuse("kept waiting")),
        }
    }

    /// Counts somebody's approval. It goes on waiting: whether that was enough is the policies' to say.
    ///
    /// # Errors
    /// Where it does not wait, where they have approved it before, and where there are [`MAX_APPROVALS`].
    pub fn approve(&mut self, by: Principal, reason: StateReason, now: Timestamp) -> Result<(), ApprovalRefused> {
        if self.state != DeploymentState::AwaitingApproval {
            return Err(ApprovalRefused::NotAwaited { from: self.state });
        }
        if self.approved_by.contains(&by) {
            return Err(ApprovalRefused::Repeated);
        }
        if self.approved_by.len() >= MAX_APPROVALS {
            return Err(ApprovalRefused::TooMany);
        }
        self.approved_by.push(by);
        self.step(DeploymentState::AwaitingApproval, Some(reason), now);
        Ok(())
    }

    /// running or awaiting_approval -> paused, by a person. A paused one stays as it is.
    ///
    /// # Errors
    /// From any other state.
    pub fn pause(&mut self, reason: StateReason, now: Timestamp) -> Result<(), StepRefused> {
        match self.state {
            DeploymentState::AwaitingApproval
            | DeploymentState::Running
            | DeploymentState::Halted
            | DeploymentState::Paused => {
                self.step(DeploymentState::Paused, Some(reason), now);
                Ok(())
            }
            _ => Err(self.refuse("paused")),
        }
    }

    /// running -> halted, by the policy, the floor or a fault.
    ///
    /// # Errors
    /// Unless it runs, or its planning failed before it did.
    pub fn halt(&mut self, reason: StateReason, now: Timestamp) -> Result<(), StepRefused> {
        match self.state {
            DeploymentState::Draft | DeploymentState::AwaitingApproval | DeploymentState::Running => {
                self.step(DeploymentState::Halted, Some(reason), now);
                Ok(())
            }
            _ => Err(self.refuse("halted")),
        }
    }

    /// paused or halted -> running; one that has never run is planned again.
    ///
    /// # Errors
    /// From any other state.
    pub fn resume(&mut self, reason: StateReason, now: Timestamp) -> Result<(), StepRefused> {
        match self.state {
            DeploymentState::Paused | DeploymentState::Halted => {
                if self.state == DeploymentState::Halted
                    && let Some(open) = self.waves.get(usize::from(self.wave))
                {
                    let counts = open.counts.to_policy();
                    self.accepted = Some(AcceptedFailures {
                        wave: self.wave,
                        failed: counts.failures(),
                        executed: counts.executed(),
                    });
                }
                let planned = self.waves.iter().any(|wave| wave.state != WaveState::Waiting);
                let to = if planned { DeploymentState::Running } else { DeploymentState::Draft };
                self.step(to, Some(reason), now);
                Ok(())
            }
            _ => Err(self.refuse("resumed")),
        }
    }

    /// Ends it: nobody new is offered anything, what is in flight comes to its end.
    ///
    /// # Errors
    /// Where it has ended already or goes back.
    pub fn cancel(&mut self, reason: StateReason, now: Timestamp) -> Result<(), StepRefused> {
        match self.state {
            DeploymentState::Draft
            | DeploymentState::AwaitingApproval
            | DeploymentState::Running
            | DeploymentState::Paused
            | DeploymentState::Halted => {
                self.step(DeploymentState::Cancelled, Some(reason), now);
                Ok(())
            }
            _ => Err(self.refuse("cancelled")),
        }
    }

    /// Begins to send exposed devices back. Once only: a rollback is never rolled back.
    ///
    /// # Errors
    /// From one that has not started, or where a rollback was begun before.
    pub fn roll_back(
        &mut self,
        extent: RollbackExtent,
        reason: StateReason,
        now: Timestamp,
    ) -> Result<(), StepRefused> {
        match self.state {
            DeploymentState::Draft
            | DeploymentState::AwaitingApproval
            | DeploymentState::RollingBack
            | DeploymentState::RolledBack => Err(self.refuse("rolled back")),
            DeploymentState::Running
            | DeploymentState::Paused
            | DeploymentState::Halted
            | DeploymentState::Completed
            | DeploymentState::Cancelled => {
                self.rollback = Some(extent);
                self.settled = false;
                if let Some(wave) = self.waves.get_mut(usize::from(self.wave)) {
                    wave.close(WaveState::Failed, now);
                }
                self.step(DeploymentState::RollingBack, Some(reason), now);
                Ok(())
            }
        }
    }

    /// Passes the open wave and opens the next; after the last one the deployment is completed.
    /// Nothing happens unless it runs.
    pub fn advance(&mut self, reason: StateReason, now: Timestamp) {
        if self.state != DeploymentState::Running {
            return;
        }
        if let Some(open) = self.waves.get_mut(usize::from(self.wave)) {
            open.close(WaveState::Passed, now);
        }
        match self.waves.get_mut(usize::from(self.wave) + 1) {
            Some(next) => {
                next.open(now);
                self.wave += 1;
                self.step(DeploymentState::Running, Some(reason), now);
            }
            None => self.step(DeploymentState::Completed, Some(reason), now),
        }
    }

    /// Notices that nothing more happens by itself. Returns whether that is news.
    pub fn settle(&mut self, now: Timestamp) -> bool {
        let counts = self.counts();
        let to_send = |wave: u16, counts: &StateCounts| {
            AssignmentState::ALL.into_iter().any(|state| counts.at(state) > 0 && self.sends_back(wave, state))
        };
        let left = (0_u16..).zip(&self.waves).any(|(number, wave)| to_send(number, &wave.counts));
        let idle = counts.active() == 0 && !left;
        match self.state {
            DeploymentState::RollingBack if idle => {
                self.step(DeploymentState::RolledBack, self.reason.clone(), now);
                self.settled = true;
                true
            }
            DeploymentState::Completed | DeploymentState::Cancelled if idle && !self.settled => {
                self.settled = true;
                self.updated_at = now;
                true
            }
            _ => false,
        }
    }
}
