//! Owns the operations on the wire that try a revision out before it decides: looking on, and replays.

use std::sync::Arc;

use kernex_model::comparison::Difference;
use kernex_model::id::{DeploymentId, OperationId};
use kernex_model::name::PolicyName;
use kernex_model::operation::Operation;
use kernex_model::time::Timestamp;
use poem_openapi::param::{Path, Query};
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::body::Json;
use super::caller::Bearer;
use super::page::{CursorQuery, LimitQuery, Paged, page};
use super::policies::{PolicyAnswer, answer, expected};
use super::problem::Problem;
use super::revision::{IfMatch, Tagged};
use super::tag::Tag;
use crate::app::App;
use crate::app::replay::ReplayRequest;
use crate::app::shadow::{Shadow, ShadowChoice};

/// The operations that compare revisions.
pub struct ComparisonApi {
    app: Arc<App>,
}

impl ComparisonApi {
    /// On top of the use cases.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// Which revision looks on.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct ShadowRequest {
    /// Its number; none looks on, where absent.
    revision: Option<u64>,
    /// The share of questions that it is asked, in percent.
    #[oai(default = "whole", validator(minimum(value = "1"), maximum(value = "100")))]
    sample_percent: u8,
}

/// What is to be replayed.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, rename = "ReplayRequest")]
struct ReplayBody {
    /// The revision that is asked.
    revision: u64,
    /// Decisions about this deployment alone; of a targeting or rollback policy.
    deployment_id: Option<DeploymentId>,
    /// Decisions from this moment on. It may be left out where a deployment is named: its first ones.
    from: Option<Timestamp>,
    /// Decisions before this moment. It may be left out where a deployment is named: up to now.
    to: Option<Timestamp>,
    /// The share of decisions that is asked again, in percent; the same ones every time.
    #[oai(default = "whole", validator(minimum(value = "1"), maximum(value = "100")))]
    sample_percent: u8,
}

fn whole() -> u8 {
    100
}

#[derive(ApiResponse)]
enum BegunReplay {
    /// The operation; `Location` tells how far it has come.
    #[oai(status = 202)]
    Begun(
        Json<Operation>,
        /// Where it is.
        #[oai(header = "Location")]
        String,
    ),
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Policies")]
impl ComparisonApi {
    /// Let a revision look on
    ///
    /// It is asked what the active revision is asked, behind the calls, and only compared with it. What earlier ones
    /// were seen to do is forgotten. Without `revision` none looks on any more. Of a targeting policy it is asked about
    /// each device of a plan that is made, and of those that join one.
    #[oai(path = "/policies/:name/shadow", method = "post", operation_id = "shadow_policy")]
    async fn shadow_policy(
        &self,
        caller: Bearer,
        name: Path<PolicyName>,
        /// The policy's ETag.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: Json<ShadowRequest>,
    ) -> Result<Tagged<PolicyAnswer>, Problem> {
        let choice = ShadowChoice { revision: body.0.revision, percent: body.0.sample_percent };
        Ok(answer(self.app.shadow_policy(&caller.0, &name.0, choice, expected(&if_match)).await?))
    }

    /// Get what a revision that looks on was seen to do
    ///
    /// How often it was asked, how often it differed, and whom and what that is about.
    #[oai(path = "/policies/:name/shadow", method = "get", operation_id = "get_policy_shadow")]
    async fn get_policy_shadow(
        &self,
        caller: Bearer,
        name: Path<PolicyName>,
        /// The revision; the one that looks on now, where absent.
        revision: Query<Option<u64>>,
    ) -> Result<Json<Shadow>, Problem> {
        Ok(Json(self.app.get_shadow(&caller.0, &name.0, revision.0).await?))
    }

    /// List what a revision that looks on would have decided otherwise, newest first
    ///
    /// At most the first 10,000 are kept of a revision; all are counted.
    #[oai(path = "/policies/:name/differences", method = "get", operation_id = "list_policy_differences")]
    async fn list_policy_differences(
        &self,
        caller: Bearer,
        name: Path<PolicyName>,
        /// The revision; the one that looks on now, where absent.
        revision: Query<Option<u64>>,
        limit: LimitQuery,
        cursor: CursorQuery,
    ) -> Result<Paged<Difference>, Problem> {
        let page = page(limit, cursor)?;
        Ok(self.app.list_differences(&caller.0, &name.0, revision.0, page).await?.into())
    }

    /// Replay recorded decisions with a revision
    ///
    /// Asks the revision what the policy decided in a period, or about one deployment. Nothing changes; the operation
    /// tells which decisions would differ and how, for whom, and the fuel.
    ///
    /// A plan is asked for on the devices as they were when it was made, and compared device by device: a device differs
    /// where it would be in another wave, or be left out or not. Of at most 10,000 devices (3 MiB) all are kept, of more an
    /// even sample. A device that the deployment's selector, or the policy's own, had not let be read at the time is not seen.
    #[oai(path = "/policies/:name/replay", method = "post", operation_id = "replay_policy")]
    async fn replay_policy(
        &self,
        caller: Bearer,
        name: Path<PolicyName>,
        body: Json<ReplayBody>,
    ) -> Result<BegunReplay, Problem> {
        let ReplayBody { revision, deployment_id, from, to, sample_percent } = body.0;
        let request = ReplayRequest { revision, deployment_id, from, to, sample_percent };
        let operation = self.app.replay_policy(&caller.0, &name.0, request).await?;
        let location = format!("/api/v1/operations/{}", operation.id);
        Ok(BegunReplay::Begun(Json(operation), location))
    }

    /// Get an operation
    ///
    /// How far work has come that takes longer than a call, and what came of it.
    #[oai(path = "/operations/:id", method = "get", operation_id = "get_operation", tag = "Tag::Operating")]
    async fn get_operation(&self, caller: Bearer, id: Path<OperationId>) -> Result<Json<Operation>, Problem> {
        Ok(Json(self.app.get_operation(&caller.0, id.0).await?))
    }
}
