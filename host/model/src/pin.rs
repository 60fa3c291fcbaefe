//! Owns pins: which revisions of which policies decide about a deployment, from its creation until somebody re-pins it.

use poem_openapi::Object;
use serde::{Deserialize, Serialize};

use crate::deployment::{Deployment, DeploymentState, StepRefused};
use crate::document::PolicyRevision;
use crate::name::PolicyName;
use crate::record::DecisionGate;
use crate::time::Timestamp;

/// One revision of one policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Object)]
pub struct PolicyPin {
    /// The policy.
    pub name: PolicyName,
    /// The revision's number.
    pub revision: u64,
}

/// The revisions that decide about one deployment, whatever is activated meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct Pinned {
    /// It chooses the devices, those that join late, too.
    pub targeting: PolicyPin,
    /// It judges how the deployment goes on.
    pub rollback: PolicyPin,
}

impl Pinned {
    /// The revision that decides at a gate; who may do what is no deployment's matter.
    #[must_use]
    pub fn at(&self, gate: DecisionGate) -> Option<&PolicyPin> {
        match gate {
            DecisionGate::Authorization => None,
            DecisionGate::Targeting => Some(&self.targeting),
            DecisionGate::Rollback => Some(&self.rollback),
        }
    }
}

impl PolicyRevision {
    /// What a deployment is pinned to by this revision.
    #[must_use]
    pub fn pin(&self) -> PolicyPin {
        PolicyPin { name: self.name.clone(), revision: self.revision }
    }
}

impl Deployment {
    /// Lets other revisions decide about it from here on.
    ///
    /// # Errors
    /// Where no policy is asked about it any more.
    pub fn repin(&mut self, pinned: Pinned, now: Timestamp) -> Result<(), StepRefused> {
        let over = matches!(
            self.state,
            DeploymentState::Completed
                | DeploymentState::Cancelled
                | DeploymentState::RollingBack
                | DeploymentState::RolledBack
        );
        if over {
            return Err(StepRefused { from: self.state, step: "re-pinned" });
        }
        // What one policy keeps in mind means nothing to another; to another revision of the same it does.
        if self.pinned.as_ref().is_some_and(|before| before.rollback.name != pinned.rollback.name) {
            self.judge_state.clear();
        }
        self.pinned = Some(pinned);
        self.updated_at = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(state: &str) -> Deployment {
        let moment = Timestamp::from_millis(0);
        serde_json::from_value(json!({
            "id": crate::id::DeploymentId(crate::id::Ulid(1)), "name": "a", "kind": "fleet", "bundle_id": null,
            "config": {}, "selector": "*", "plan": crate::plan::Plan::default(), "state": state, "reason": null,
            "waves": [], "exclusions": [], "wave": 0, "rollback": null, "accepted": null, "settled": false,
            "judge_state": "AQ==", "created_by": "system", "created_at": moment, "updated_at": moment, "revision": 1,
        }))
        .expect("a deployment")
    }

    fn pinned(rollback: &str, revision: u64) -> Pinned {
        let pin = |name: &str, revision| PolicyPin { name: name.parse().expect("a name"), revision };
        Pinned { targeting: pin("rings", 1), rollback: pin(rollback, revision) }
    }

    #[test]
    fn a_deployment_from_before_there_were_pins_has_none() {
        let mut old = deployment("running");
        assert_eq!(old.pinned, None);
        let later = Timestamp::from_millis(7);
        assert_eq!(old.repin(pinned("guardian", 2), later), Ok(()));
        assert_eq!((old.pinned, old.updated_at), (Some(pinned("guardian", 2)), later));
    }

    #[test]
    fn what_is_kept_in_mind_stays_with_its_policy() {
        let mut deployment = deployment("paused");
        for (rollback, revision, kept) in [("guardian", 1, "AQ=="), ("guardian", 2, "AQ=="), ("ramp", 1, "")] {
            assert_eq!(deployment.repin(pinned(rollback, revision), Timestamp::from_millis(1)), Ok(()));
            assert_eq!(deployment.judge_state, kept, "{rollback} {revision}");
        }
    }

    #[test]
    fn what_has_ended_is_not_pinned_again() {
        for state in ["draft", "awaiting_approval", "running", "paused", "halted"] {
            assert!(deployment(state).repin(pinned("guardian", 2), Timestamp::from_millis(1)).is_ok(), "{state}");
        }
        for state in ["completed", "cancelled", "rolling_back", "rolled_back"] {
            let mut ended = deployment(state);
            let refused = ended.repin(pinned("guardian", 2), Timestamp::from_millis(1));
            assert_eq!(refused, Err(StepRefused { from: ended.state, step: "re-pinned" }), "{state}");
            assert_eq!(ended.pinned, None, "{state}");
        }
    }

    #[test]
    fn each_gate_has_its_own() {
        let pinned = pinned("guardian", 2);
        let at = |gate| pinned.at(gate).map(|pin| pin.name.as_str());
        assert_eq!(at(DecisionGate::Targeting), Some("rings"));
        assert_eq!(at(DecisionGate::Rollback), Some("guardian"));
        assert_eq!(at(DecisionGate::Authorization), None);
    }
}
