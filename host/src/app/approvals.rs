//! Owns the approval of deployments: who approves one, and what the authorization policies are told of it.

use kernex_model::action::Action;
use kernex_model::deployment::{ApprovalRefused, Deployment, StateReason};
use kernex_model::id::DeploymentId;
use kernex_model::name::Remark;
use kernex_model::policy::Fact;

use super::deployments::MAX_TRIES;
use super::{App, AppError, Caller};

impl App {
    /// Approves a deployment that waits, once for each caller. The policies are asked again whether it may start.
    ///
    /// # Errors
    /// Denied; not found; a conflict where it does not wait (`not-awaiting-approval`), where the caller has approved it
    /// before (`already-approved`), and where it has as many approvals as there may be (`too-many-approvals`).
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn approve_deployment(
        &self,
        caller: &Caller,
        id: DeploymentId,
        remark: Option<Remark>,
    ) -> Result<Deployment, AppError> {
        for _ in 0..MAX_TRIES {
            match self.try_approve(caller, id, remark.as_ref()).await {
                Err(AppError::Stale) => {}
                answer => {
                    self.wake_driver();
                    return answer;
                }
            }
        }
        Err(AppError::Busy)
    }

    /// Asks with each try: the answer may depend on who has approved it meanwhile.
    async fn try_approve(
        &self,
        caller: &Caller,
        id: DeploymentId,
        remark: Option<&Remark>,
    ) -> Result<Deployment, AppError> {
        let found = self.store.deployment(id).await?;
        let facts = match &found {
            Some(deployment) => self.authorization_facts(deployment).await?,
            None => Vec::new(),
        };
        let grant =
            self.gatekeeper.authorize(caller, Action::DeploymentApprove, "deployment", Some(id.to_string()), facts)?;
        let mut deployment = found.ok_or(AppError::NotFound("deployment"))?;
        let reason = StateReason {
            code: "approved".to_owned(),
            message: remark.map_or("the authorization policies are asked again", Remark::as_str).to_owned(),
            by: caller.principal.to_string(),
        };
        deployment.approve(caller.principal, reason, self.context.now()).map_err(not_counted)?;
        let approvals = deployment.approved_by.len();
        let mut changes = grant.changes(Some(serde_json::json!({ "reason": remark, "approvals": approvals })));
        changes.update(&deployment);
        self.store.commit(changes).await?;
        Ok(Deployment { revision: deployment.revision + 1, ..deployment })
    }

    /// What the authorization policies may know of a deployment that is there.
    pub(super) async fn authorization_facts(&self, deployment: &Deployment) -> Result<Vec<Fact>, AppError> {
        let approved_by = deployment.approved_by.iter().map(ToString::to_string).collect();
        let mut facts = vec![
            Fact::text("name", deployment.name.as_str()),
            Fact::text("selector", deployment.selector.to_string()),
            Fact::boolean("frozen", deployment.plan.frozen),
            Fact::integer("devices", i64::try_from(deployment.counts().total()).unwrap_or(i64::MAX)),
            Fact::text("created_by", deployment.created_by.to_string()),
            Fact::texts("approved_by", approved_by),
        ];
        let Some(id) = deployment.bundle_id else {
            facts.push(Fact::text("target", "config"));
            return Ok(facts);
        };
        facts.push(Fact::text("bundle", id.to_string()));
        if let Some(bundle) = self.store.bundle(id).await? {
            facts.push(Fact::text("bundle.name", bundle.name.as_str()));
            facts.push(Fact::text("bundle.version", bundle.version.as_str()));
        }
        Ok(facts)
    }
}

fn not_counted(refused: ApprovalRefused) -> AppError {
    let code = match refused {
        ApprovalRefused::NotAwaited { .. } => "not-awaiting-approval",
        ApprovalRefused::Repeated => "already-approved",
        ApprovalRefused::TooMany => "too-many-approvals",
    };
    AppError::conflict(code, refused.to_string())
}
