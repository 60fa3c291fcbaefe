//! Owns taking out revisions that failed too often, the active one or one that deployments are pinned to.

use kernex_model::action::Action;
use kernex_model::name::PolicyName;
use kernex_model::record::{AuditRecord, DecisionGate};
use kernex_store::{Changes, CommitError};
use poem_openapi::types::Any;

use super::FailedRevision;
use super::lifecycle::by_the_host;
use crate::app::{App, AppError};

impl App {
    /// Takes out a revision that failed too often: in the place of the active one the last good one decides, in the
    /// place of one that deployments are pinned to the active one. Done by the host itself.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn quarantine_policy(&self, failed: &FailedRevision) -> Result<(), AppError> {
        let (name, revision) = failed;
        let Some(mut head) = self.store.policy(name).await? else { return Ok(()) };
        let (authorizes, now) = (head.gate == DecisionGate::Authorization, self.context.now());
        if head.active == Some(*revision) {
            let Some(good) = head.quarantine(now) else {
                tracing::error!(policy = %name, revision, "a policy keeps failing, and no revision decided before it: its gate stays shut");
                return Ok(());
            };
            if authorizes && !self.covers_all(name, good).await? {
                tracing::error!(policy = %name, revision, good, "a policy keeps failing, and without it nobody would be asked about some actions: its gate stays shut");
                return Ok(());
            }
        } else if authorizes || !head.quarantine_inactive(*revision, now) {
            // A person or another host was first. No deployment is pinned to an authorization policy.
            return Ok(self.policies.refresh().await?);
        }
        let audit = AuditRecord {
            action: Action::PolicyQuarantine,
            detail: Some(Any(serde_json::json!({ "failed": revision, "active": head.active }))),
            ..by_the_host(&self.context, name, "")
        };
        let mut changes = Changes::new(&audit);
        changes.update(&head);
        match self.store.commit(changes).await {
            Ok(()) => {
                tracing::error!(policy = %name, revision, active = ?head.active, "a revision of a policy failed too often; the active one decides in its place");
            }
            // Somebody changed it at the same moment. If it goes on failing, it is told of again.
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.policies.refresh().await?)
    }

    /// Whether every action is covered if a revision decides.
    async fn covers_all(&self, name: &PolicyName, revision: u64) -> Result<bool, AppError> {
        let Some(found) = self.store.policy_revision(name, revision).await? else { return Ok(false) };
        Ok(self.policies.uncovered(name, Some(&self.prepared(found).await?)).is_empty())
    }
}
