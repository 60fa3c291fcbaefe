//! Owns the decision log's operations on the wire.

use std::sync::Arc;

use kernex_model::id::DecisionId;
use kernex_model::name::PolicyName;
use kernex_model::record::{Decision, DecisionGate, DecisionOutcome};
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};

use super::body::Json;
use super::caller::Bearer;
use super::page::{CursorQuery, LimitQuery, Paged, page};
use super::problem::Problem;
use super::tag::Tag;
use crate::app::App;
use crate::app::records::DecisionQuery;
use crate::app::replay::DecisionExplanation;

/// The decision log's operations.
pub struct DecisionApi {
    app: Arc<App>,
}

impl DecisionApi {
    /// On top of the use cases.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Decisions")]
impl DecisionApi {
    /// List decisions, newest first
    ///
    /// Decisions that allowed a change or denied a call, and all of targeting and rollback.
    #[oai(path = "/decisions", method = "get", operation_id = "list_decisions")]
    #[expect(clippy::too_many_arguments, reason = "each is one parameter of the operation")]
    async fn list_decisions(
        &self,
        caller: Bearer,
        /// Those of this gate.
        gate: Query<Option<DecisionGate>>,
        /// Those of this policy.
        policy: Query<Option<PolicyName>>,
        /// Those about this principal, deployment or device.
        #[oai(validator(max_length = 128))]
        subject: Query<Option<String>>,
        /// Those that came out like this.
        outcome: Query<Option<DecisionOutcome>>,
        limit: LimitQuery,
        cursor: CursorQuery,
    ) -> Result<Paged<Decision>, Problem> {
        let page = page(limit, cursor)?;
        let query = DecisionQuery { gate: gate.0, policy: policy.0, subject: subject.0, outcome: outcome.0 };
        Ok(self.app.list_decisions(&caller.0, &query, page).await?.into())
    }

    /// Get a decision, with all that the policy was asked and answered
    ///
    /// All that is needed to make it again, and to see why it came out as it did.
    #[oai(path = "/decisions/:id", method = "get", operation_id = "get_decision")]
    async fn get_decision(&self, caller: Bearer, id: Path<DecisionId>) -> Result<Json<Decision>, Problem> {
        Ok(Json(self.app.get_decision(&caller.0, id.0).await?))
    }

    /// Make a decision again
    ///
    /// By the plugin and settings that made it, with the facts that were looked up then, and of a deployment's plan with
    /// the devices as they were. Nothing is recorded.
    #[oai(path = "/decisions/:id/explain", method = "post", operation_id = "explain_decision")]
    async fn explain_decision(
        &self,
        caller: Bearer,
        id: Path<DecisionId>,
    ) -> Result<Json<DecisionExplanation>, Problem> {
        Ok(Json(self.app.explain_decision(&caller.0, id.0).await?))
    }
}
