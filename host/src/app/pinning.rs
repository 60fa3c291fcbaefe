//! Owns what deployments are pinned to: the revisions that are active when they are created, or when somebody says so.

use kernex_model::action::Action;
use kernex_model::deployment::{Deployment, DeploymentKind, Plan};
use kernex_model::id::DeploymentId;
use kernex_model::name::Remark;
use kernex_model::pin::Pinned;
use kernex_model::policy::Fact;

use super::deployments::MAX_TRIES;
use super::execution::Work;
use super::gatekeeper::Grant;
use super::{App, AppError, Caller};

/// What the authorization policy and the audit trail call it.
const STEP: &str = "repin";

impl App {
    /// The revisions that are active now of the policies that a plan names.
    ///
    /// # Errors
    /// Invalid where there is no such policy.
    pub(super) fn active_pins(&self, plan: &Plan) -> Result<Pinned, AppError> {
        let unknown = |field: &str, gate: &str| {
            let detail = format!("there is no {gate} policy of that name");
            AppError::field("unknown-policy", format!("/plan/{field}"), detail)
        };
        let targeting = self.policies.targeting(plan.targeting_policy.as_ref());
        let rollback = self.policies.rollback(plan.rollback_policy.as_ref());
        Ok(Pinned {
            targeting: targeting.ok_or_else(|| unknown("targeting_policy", "targeting"))?.revision.pin(),
            rollback: rollback.ok_or_else(|| unknown("rollback_policy", "rollback"))?.revision.pin(),
        })
    }

    /// Pins a deployment to the revisions that are active now; those from before decide about it no more.
    ///
    /// # Errors
    /// Denied; not found; a conflict where no policy is asked about it (`no-policies`) or it has ended (`wrong-state`),
    /// and where its plan names a policy that is active no more (`unknown-policy`).
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn repin_deployment(
        &self,
        caller: &Caller,
        id: DeploymentId,
        remark: Option<Remark>,
    ) -> Result<Deployment, AppError> {
        // Read before the policies are asked, because their answer may depend on it.
        let mut facts = match self.store.deployment(id).await? {
            Some(deployment) => self.authorization_facts(&deployment).await?,
            None => Vec::new(),
        };
        facts.push(Fact::text("step", STEP));
        let (action, number) = (Action::DeploymentControl, Some(id.to_string()));
        let grant = self.gatekeeper.authorize(caller, action, "deployment", number, facts)?;
        for _ in 0..MAX_TRIES {
            match self.try_repin(&grant, id, remark.as_ref()).await {
                Err(AppError::Stale) => {}
                Err(error) => return Err(error),
                Ok(deployment) => {
                    // Whom the revision from before left out, the one from now may choose.
                    self.fleet.mark_all_changed();
                    self.wake_driver();
                    return Ok(deployment);
                }
            }
        }
        Err(AppError::Busy)
    }

    async fn try_repin(
        &self,
        grant: &Grant,
        id: DeploymentId,
        remark: Option<&Remark>,
    ) -> Result<Deployment, AppError> {
        let before = self.load_deployment(id).await?;
        if before.kind == DeploymentKind::Direct {
            let detail = "no policy is asked how a deployment to a single device goes on";
            return Err(AppError::conflict("no-policies", detail));
        }
        let pinned = self.active_pins(&before.plan);
        let pinned = pinned.map_err(|error| AppError::conflict("unknown-policy", error.to_string()))?;
        let now = self.context.now();
        let mut after = before.clone();
        after.repin(pinned, now).map_err(|refused| AppError::conflict("wrong-state", refused.to_string()))?;
        let mut work = Work::new(now, [after.clone()]);
        work.deployment_mut(id);
        work.audit(grant.record(Some(serde_json::json!({
            "step": STEP, "reason": remark, "from": before.pinned, "to": after.pinned,
        }))));
        work.commit(self).await?;
        Ok(Deployment { revision: after.revision + 1, ..after })
    }
}
