//! Owns taking out revisions that failed too often, the active one or one that deployments are pinned to.

use kernex_model::action::Action;
use kernex_model::record::AuditRecord;
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
        let now = self.context.now();
        if head.active == Some(*revision) {
            if head.quarantine(now).is_none() {
                tracing::error!(policy = %name, revision, "a policy keeps failing, and no revision decided before it: its gate stays shut");
                return Ok(());
            }
        } else if !head.quarantine_inactive(*revision, now) {
            return Ok(());
        }
        let audit = AuditRecord {
            action: Action::PolicyQuarantine,
            detail: Some(Any(serde_json::json!({ "failed": revision, "active": head.active }))),
            ..by_the_host(&self.context, name, "")
        };
        let mut changes = Changes::new(&audit);
        changes.update(&head);
        match self.store.commit(changes).await {
            Ok(()) | Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        tracing::error!(policy = %name, revision, active = ?head.active, "a revision of a policy failed too often; the active one decides in its place");
        Ok(self.policies.refresh().await?)
    }
}
