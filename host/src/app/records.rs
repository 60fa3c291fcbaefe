//! Owns what can be read of what was done and decided: audit records and the decision log.

use kernex_model::action::Action;
use kernex_model::id::DecisionId;
use kernex_model::name::PolicyName;
use kernex_model::principal::Principal;
use kernex_model::record::{AuditRecord, Decision, DecisionGate, DecisionOutcome};
use kernex_model::time::Timestamp;
use kernex_store::{AuditFilter, DecisionFilter, Listed, MAX_PAGE, Page};

use super::filling::Filling;
use super::{App, AppError, Caller};

const MILLIS_PER_DAY: i64 = 24 * 60 * 60 * 1_000;

/// Which audit records a list shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuditQuery {
    /// Those of this principal.
    pub principal: Option<Principal>,
    /// Those on this thing, by its identifier.
    pub resource: Option<String>,
    /// Those on things of this kind.
    pub resource_kind: Option<String>,
    /// Those of this action.
    pub action: Option<Action>,
}

/// Which decisions a list shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DecisionQuery {
    /// Those of this gate.
    pub gate: Option<DecisionGate>,
    /// Those of this policy.
    pub policy: Option<PolicyName>,
    /// Those about this principal, deployment or device.
    pub subject: Option<String>,
    /// Those that came out like this.
    pub outcome: Option<DecisionOutcome>,
}

impl App {
    /// Lists audit records, newest first.
    ///
    /// # Errors
    /// Denied, or a cursor of another list.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn list_audit_records(
        &self,
        caller: &Caller,
        query: &AuditQuery,
        page: Page,
    ) -> Result<Listed<AuditRecord>, AppError> {
        self.gatekeeper.authorize(caller, Action::AuditList, "audit", None, Vec::new())?;
        let filter = AuditFilter {
            principal: query.principal,
            resource_kind: query.resource_kind.as_deref(),
            resource_id: query.resource.as_deref(),
        };
        let mut filling = Filling::new(page);
        while let Some(page) = filling.wanted() {
            let listed = self.store.list_audit(filter, &page).await?;
            filling.take(listed, |record| query.action.is_none_or(|action| record.action == action));
        }
        Ok(filling.listed())
    }

    /// What the server counts, in the text format of Prometheus.
    ///
    /// # Errors
    /// Denied.
    pub fn metrics_text(&self, caller: &Caller) -> Result<String, AppError> {
        self.gatekeeper.authorize(caller, Action::MetricsRead, "metrics", None, Vec::new())?;
        self.metrics.text().map_err(|error| AppError::Internal(error.to_string()))
    }

    /// Removes decisions whose time is over, at most 1,000; tells how many went.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn prune_decisions(&self) -> Result<usize, AppError> {
        let kept = i64::from(self.settings.keep_decisions_days) * MILLIS_PER_DAY;
        let moment = Timestamp::from_millis(self.context.now().as_millis().saturating_sub(kept));
        Ok(self.store.prune_decisions(moment, usize::from(MAX_PAGE)).await?)
    }

    /// Lists decisions, newest first.
    ///
    /// # Errors
    /// Denied, or a cursor of another list.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn list_decisions(
        &self,
        caller: &Caller,
        query: &DecisionQuery,
        page: Page,
    ) -> Result<Listed<Decision>, AppError> {
        self.gatekeeper.authorize(caller, Action::DecisionList, "decision", None, Vec::new())?;
        let filter = DecisionFilter {
            gate: query.gate,
            policy: query.policy.as_ref(),
            subject: query.subject.as_deref(),
            outcome: query.outcome,
        };
        let mut filling = Filling::new(page);
        while let Some(page) = filling.wanted() {
            let listed = self.store.list_decisions(filter, &page).await?;
            filling.take(listed, |_| true);
        }
        Ok(filling.listed())
    }

    /// One decision, with all that the policy was asked and answered.
    ///
    /// # Errors
    /// Denied or not found.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn get_decision(&self, caller: &Caller, id: DecisionId) -> Result<Decision, AppError> {
        self.gatekeeper.authorize(caller, Action::DecisionRead, "decision", Some(id.to_string()), Vec::new())?;
        self.store.decision(id).await?.ok_or(AppError::NotFound("decision"))
    }
}
