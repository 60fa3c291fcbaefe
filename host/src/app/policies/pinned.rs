//! Owns the revisions that deployments are pinned to: made ready when one is asked for, and a few of them kept ready.

use std::collections::VecDeque;
use std::sync::Arc;

use kernex_engine::PrepareError;
use kernex_model::deployment::Deployment;
use kernex_model::id::DeploymentId;
use kernex_model::name::PolicyName;
use kernex_model::pin::PolicyPin;
use kernex_model::policy::Blame;
use kernex_model::record::DecisionGate;
use parking_lot::Mutex;

use super::{ActivePolicy, Policies, PolicyError};
use crate::app::AppError;
use crate::app::news::News;

/// Revisions that are kept although they are not active. Further ones are made ready anew, from compiled code.
const KEPT: usize = 32;

/// What came of making a revision ready.
#[derive(Debug, Clone)]
enum Made {
    Ready(Arc<ActivePolicy>),
    /// It decides nothing, for this reason.
    Unusable(Arc<str>),
}

/// The revisions that were asked for last, the latest at the back.
#[derive(Debug, Default)]
pub(super) struct PinnedRevisions {
    kept: Mutex<VecDeque<(PolicyPin, Made)>>,
    told: News<(DeploymentId, PolicyPin)>,
}

impl PinnedRevisions {
    fn find(&self, pin: &PolicyPin) -> Option<Made> {
        let mut kept = self.kept.lock();
        let place = kept.iter().position(|(known, _)| known == pin)?;
        let found = kept.remove(place)?;
        let made = found.1.clone();
        kept.push_back(found);
        Some(made)
    }

    fn keep(&self, pin: &PolicyPin, made: Made) {
        let mut kept = self.kept.lock();
        kept.retain(|(known, _)| known != pin);
        kept.push_back((pin.clone(), made));
        while kept.len() > KEPT {
            kept.pop_front();
        }
    }

    fn forget(&self, pin: &PolicyPin) {
        self.kept.lock().retain(|(known, _)| known != pin);
    }
}

/// The policy that a deployment's plan names at a gate.
fn named(deployment: &Deployment, gate: DecisionGate) -> Option<&PolicyName> {
    match gate {
        DecisionGate::Authorization => None,
        DecisionGate::Targeting => deployment.plan.targeting_policy.as_ref(),
        DecisionGate::Rollback => deployment.plan.rollback_policy.as_ref(),
    }
}

impl Policies {
    /// The revision that decides about a deployment at a gate: the one that it is pinned to; where there is no pin, the
    /// active one of the policy that it names. In the place of a pinned revision that is quarantined, or that this
    /// program cannot run at all, its policy's active one decides. `None` where there is none.
    ///
    /// # Errors
    /// Where the store fails, or the machine is too busy to make the pinned revision ready: another one would decide by
    /// chance.
    pub async fn deciding(
        &self,
        gate: DecisionGate,
        deployment: &Deployment,
    ) -> Result<Option<Arc<ActivePolicy>>, AppError> {
        let Some(pin) = deployment.pinned.as_ref().and_then(|pinned| pinned.at(gate)) else {
            return Ok(self.of(gate, named(deployment, gate)));
        };
        let why = match self.pinned(pin).await? {
            Made::Ready(policy) => return Ok(Some(policy)),
            Made::Unusable(why) => why,
        };
        let active = self.of(gate, Some(&pin.name));
        if self.shared.pinned.told.is_news((deployment.id, pin.clone())) {
            let number = active.as_ref().map(|policy| policy.revision.revision);
            tracing::error!(deployment.id = %deployment.id, policy = %pin.name, revision = pin.revision, active = ?number, %why, "a deployment is pinned to a revision that is not used; the active one decides in its place");
        }
        Ok(active)
    }

    async fn pinned(&self, pin: &PolicyPin) -> Result<Made, AppError> {
        let active = self.active();
        if active.quarantined.contains(pin) {
            // Where somebody lifts the quarantine its failures are counted from the beginning.
            self.shared.pinned.forget(pin);
            return Ok(Made::Unusable("it failed too often".into()));
        }
        let present = active.policies.get(&pin.name).filter(|policy| policy.revision.revision == pin.revision);
        if let Some(present) = present {
            return Ok(Made::Ready(present.clone()));
        }
        if let Some(made) = self.shared.pinned.find(pin) {
            return Ok(made);
        }
        let made = match self.prepare_number(&pin.name, pin.revision).await {
            Ok(policy) => Made::Ready(Arc::new(policy)),
            Err(PolicyError::Store(error)) => return Err(error.into()),
            Err(PolicyError::Prepare { policy, cause: PrepareError::Fault(fault) }) if fault.blame() == Blame::Host => {
                tracing::warn!(%policy, revision = pin.revision, %fault, "a pinned revision is not ready");
                return Err(AppError::Busy);
            }
            Err(error) => Made::Unusable(error.to_string().into()),
        };
        self.shared.pinned.keep(pin, made.clone());
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(revision: u64) -> PolicyPin {
        PolicyPin { name: "guardian".parse().expect("a name"), revision }
    }

    fn unusable(revision: u64) -> Made {
        Made::Unusable(format!("{revision}").into())
    }

    fn why(made: Option<Made>) -> Option<String> {
        match made? {
            Made::Ready(_) => None,
            Made::Unusable(why) => Some(why.to_string()),
        }
    }

    #[test]
    fn the_last_ones_that_were_asked_for_are_kept() {
        let pinned = PinnedRevisions::default();
        let most = u64::try_from(KEPT).expect("a few");
        for revision in 1..=most {
            pinned.keep(&pin(revision), unusable(revision));
        }
        assert_eq!(why(pinned.find(&pin(1))).as_deref(), Some("1"), "asked for, so that it stays");
        pinned.keep(&pin(most + 1), unusable(most + 1));
        pinned.keep(&pin(most + 1), unusable(most + 1));
        assert_eq!(pinned.kept.lock().len(), KEPT);
        assert_eq!((why(pinned.find(&pin(2))), why(pinned.find(&pin(1))).as_deref()), (None, Some("1")));
        pinned.forget(&pin(1));
        assert_eq!(why(pinned.find(&pin(1))), None);
    }
}
