//! Owns taking out revisions that failed too often, the active one or one that deployments are pinned to.

use kernex_model::action::Action;
use kernex_model::document::Policy;
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
    /// Where the store fails, or the machine is too busy to make the last good one ready.
    pub async fn quarantine_policy(&self, failed: &FailedRevision) -> Result<(), AppError> {
        let (name, revision) = failed;
        // Nobody takes another policy out between the look at what stays covered and the commit.
        let _change = self.policies.changing().await?;
        let Some(mut head) = self.store.policy(name).await? else { return Ok(()) };
        let (authorizes, now) = (head.gate == DecisionGate::Authorization, self.context.now());
        if head.active == Some(*revision) {
            let seen = head.revision;
            let good = head.quarantine(now);
            if let Some(why) = self.why_it_stays(&head, good).await? {
                if self.policies.shared.staying.is_news((name.clone(), *revision, seen)) {
                    tracing::error!(policy = %name, revision, ?good, why, "a policy keeps failing and stays: its gate stays shut");
                }
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

    /// Why a failing revision goes on although it fails, which keeps its gate shut: none decided before it, or the one
    /// that did could not be activated by a person either. `None` where that one may decide again.
    async fn why_it_stays(&self, head: &Policy, good: Option<u64>) -> Result<Option<&'static str>, AppError> {
        let Some(good) = good else { return Ok(Some("no revision decided before it")) };
        let Some(found) = self.store.policy_revision(&head.name, good).await? else {
            return Ok(Some("the revision before it is gone"));
        };
        let candidate = match self.prepared(found).await {
            Ok(candidate) => candidate,
            Err(AppError::Invalid { .. }) => return Ok(Some("the revision before it cannot be made ready")),
            Err(error) => return Err(error),
        };
        let authorizes = head.gate == DecisionGate::Authorization;
        if authorizes && !self.policies.uncovered(&head.name, Some(&candidate)).is_empty() {
            return Ok(Some("with the revision before it nobody would be asked about some actions"));
        }
        Ok(None)
    }
}
