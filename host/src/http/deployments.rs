//! Owns the deployment operations on the wire.

use std::sync::Arc;

use kernex_model::assignment::{Assignment, AssignmentState};
use kernex_model::deployment::{Deployment, DeploymentKind, DeploymentState, Plan, RollbackExtent};
use kernex_model::id::{BundleId, DeploymentId};
use kernex_model::name::{DeploymentName, Remark};
use kernex_model::selector::Selector;
use kernex_model::wave::{ExclusionCount, Wave};
use kernex_store::DeploymentFilter;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::Any;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::body::Json;
use super::caller::Bearer;
use super::page::{CursorQuery, LimitQuery, Paged, page};
use super::problem::Problem;
use super::revision::{Tagged, tagged};
use super::tag::Tag;
use crate::app::App;
use crate::app::deployments::{Control, NewDeployment, Target};

/// The deployment operations.
pub struct DeploymentApi {
    app: Arc<App>,
}

impl DeploymentApi {
    /// On top of the use cases.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// A deployment that somebody wants: of a bundle or of a config, not both.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct DeploymentRequest {
    /// Name for people.
    name: DeploymentName,
    /// The bundle to install.
    bundle_id: Option<BundleId>,
    /// The config document to apply.
    config: Option<Any<serde_json::Value>>,
    /// Which devices it is for; `*` for every device.
    selector: Selector,
    /// How it is carried out.
    #[oai(default)]
    plan: Plan,
}

impl DeploymentRequest {
    fn parse(self) -> Result<NewDeployment, Problem> {
        let target = match (self.bundle_id, self.config) {
            (Some(bundle), None) => Target::Bundle(bundle),
            (None, Some(document)) => Target::Config(document.0),
            (Some(_), Some(_)) | (None, None) => {
                let detail = "give either `bundle_id` or `config`";
                return Err(Problem::invalid(
                    "invalid-body",
                    detail,
                    vec![super::problem::FieldProblem { pointer: "/bundle_id".to_owned(), detail: detail.to_owned() }],
                ));
            }
        };
        Ok(NewDeployment { name: self.name, target, selector: self.selector, plan: self.plan })
    }
}

/// What a deployment would do.
#[derive(Debug, Object)]
struct PreviewAnswer {
    /// Its waves; every device counted as queued.
    waves: Vec<Wave>,
    /// Devices that would be left out, by reason, with a few of each.
    exclusions: Vec<ExclusionCount>,
    /// How many devices would get it.
    devices: u64,
    /// What the targeting policy said.
    message: String,
}

/// Why a person takes a step.
#[derive(Debug, Default, Object)]
#[oai(deny_unknown_fields)]
struct StepRequest {
    /// Kept in the audit record, and with the deployment where it says why that stands as it does.
    reason: Option<Remark>,
}

/// Why a person sends devices back, and which.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct RollbackRequest {
    /// Kept with the deployment and in the audit record.
    reason: Option<Remark>,
    /// Which devices; every exposed one, where absent.
    extent: Option<RollbackExtent>,
}

#[derive(ApiResponse)]
enum Created {
    /// The deployment; its devices are chosen next.
    #[oai(status = 201)]
    Deployment(
        Json<Deployment>,
        /// Where it is.
        #[oai(header = "Location")]
        String,
    ),
}

type Answer<T> = Result<T, Problem>;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Deployments")]
impl DeploymentApi {
    /// Preview a deployment
    ///
    /// Asks the targeting policy without creating anything: how many devices in which wave, and who is left out why.
    #[oai(path = "/deployments/preview", method = "post", operation_id = "preview_deployment")]
    async fn preview_deployment(&self, caller: Bearer, body: Json<DeploymentRequest>) -> Answer<Json<PreviewAnswer>> {
        let preview = self.app.preview_deployment(&caller.0, body.0.parse()?).await?;
        let devices = preview.waves.iter().map(|wave| wave.counts.total()).sum();
        Ok(Json(PreviewAnswer {
            waves: preview.waves,
            exclusions: preview.exclusions,
            devices,
            message: preview.decision.message,
        }))
    }

    /// Create a deployment
    ///
    /// It begins at once: the targeting policy chooses its devices, the first wave opens, offers are made. Where the
    /// authorization policies do not let its creator start it (`deployment:start`), it waits for approval before that.
    #[oai(path = "/deployments", method = "post", operation_id = "create_deployment")]
    async fn create_deployment(&self, caller: Bearer, body: Json<DeploymentRequest>) -> Answer<Created> {
        let deployment = self.app.create_deployment(&caller.0, body.0.parse()?).await?;
        let location = format!("/api/v1/deployments/{}", deployment.id);
        Ok(Created::Deployment(Json(deployment), location))
    }

    /// List deployments
    ///
    /// Newest first. Deployments to a single device, made by config writes and rollbacks, are left out
    /// unless `kind=direct` asks for them.
    #[oai(path = "/deployments", method = "get", operation_id = "list_deployments")]
    async fn list_deployments(
        &self,
        caller: Bearer,
        /// Only those that stand there.
        state: Query<Option<DeploymentState>>,
        /// `fleet` where absent.
        kind: Query<Option<DeploymentKind>>,
        limit: LimitQuery,
        cursor: CursorQuery,
    ) -> Answer<Paged<Deployment>> {
        let filter = DeploymentFilter { kind: Some(kind.0.unwrap_or(DeploymentKind::Fleet)), state: state.0 };
        let listed = self.app.list_deployments(&caller.0, filter, &page(limit, cursor)?).await?;
        Ok(listed.into())
    }

    /// Get a deployment
    ///
    /// Where it stands and why, with its waves and how many devices stand where in each.
    #[oai(path = "/deployments/:id", method = "get", operation_id = "get_deployment")]
    async fn get_deployment(&self, caller: Bearer, id: Path<DeploymentId>) -> Answer<Tagged<Deployment>> {
        let deployment = self.app.get_deployment(&caller.0, id.0).await?;
        let revision = deployment.revision;
        Ok(tagged(deployment, revision))
    }

    /// List a deployment's assignments
    ///
    /// One for each of its devices: where it stands, and what went wrong.
    #[oai(path = "/deployments/:id/assignments", method = "get", operation_id = "list_assignments")]
    async fn list_assignments(
        &self,
        caller: Bearer,
        id: Path<DeploymentId>,
        /// Only those that stand there.
        state: Query<Option<AssignmentState>>,
        limit: LimitQuery,
        cursor: CursorQuery,
    ) -> Answer<Paged<Assignment>> {
        let listed = self.app.list_assignments(&caller.0, id.0, state.0, &page(limit, cursor)?).await?;
        Ok(listed.into())
    }

    /// Approve a deployment
    ///
    /// One that waits for approval: the authorization policies are asked again whether its creator may start it.
    /// Everybody counts once; whose approval counts is the policies' to say.
    #[oai(path = "/deployments/:id/approve", method = "post", operation_id = "approve_deployment")]
    async fn approve_deployment(
        &self,
        caller: Bearer,
        id: Path<DeploymentId>,
        body: Json<StepRequest>,
    ) -> Answer<Json<Deployment>> {
        Ok(Json(self.app.approve_deployment(&caller.0, id.0, body.0.reason).await?))
    }

    /// Pause a deployment
    ///
    /// No new offers are made; what is in flight goes on.
    #[oai(path = "/deployments/:id/pause", method = "post", operation_id = "pause_deployment")]
    async fn pause_deployment(
        &self,
        caller: Bearer,
        id: Path<DeploymentId>,
        body: Json<StepRequest>,
    ) -> Answer<Json<Deployment>> {
        self.step(caller, id, Control::Pause, body.0.reason).await
    }

    /// Resume a deployment
    ///
    /// Also one that a policy or the host's floor halted. One that has never run is planned again, and the
    /// authorization policies are asked whether it may start.
    #[oai(path = "/deployments/:id/resume", method = "post", operation_id = "resume_deployment")]
    async fn resume_deployment(
        &self,
        caller: Bearer,
        id: Path<DeploymentId>,
        body: Json<StepRequest>,
    ) -> Answer<Json<Deployment>> {
        self.step(caller, id, Control::Resume, body.0.reason).await
    }

    /// Cancel a deployment
    ///
    /// Nobody new is offered anything; what is in flight comes to its end.
    #[oai(path = "/deployments/:id/cancel", method = "post", operation_id = "cancel_deployment")]
    async fn cancel_deployment(
        &self,
        caller: Bearer,
        id: Path<DeploymentId>,
        body: Json<StepRequest>,
    ) -> Answer<Json<Deployment>> {
        self.step(caller, id, Control::Cancel, body.0.reason).await
    }

    /// Pin a deployment to the active revisions
    ///
    /// A deployment is planned and judged by the revisions that were active when it was created, whatever is activated
    /// meanwhile. From here on those decide about it that are active now.
    #[oai(path = "/deployments/:id/repin", method = "post", operation_id = "repin_deployment")]
    async fn repin_deployment(
        &self,
        caller: Bearer,
        id: Path<DeploymentId>,
        body: Json<StepRequest>,
    ) -> Answer<Json<Deployment>> {
        Ok(Json(self.app.repin_deployment(&caller.0, id.0, body.0.reason).await?))
    }

    /// Roll a deployment back
    ///
    /// Every exposed device is sent back to what it ran before, as fast as the plan's slots allow. The
    /// bundle is marked bad, unless only failed devices go back.
    #[oai(path = "/deployments/:id/rollback", method = "post", operation_id = "rollback_deployment")]
    async fn rollback_deployment(
        &self,
        caller: Bearer,
        id: Path<DeploymentId>,
        body: Json<RollbackRequest>,
    ) -> Answer<Json<Deployment>> {
        let extent = body.0.extent.unwrap_or(RollbackExtent::Everyone);
        self.step(caller, id, Control::RollBack(extent), body.0.reason).await
    }
}

impl DeploymentApi {
    async fn step(
        &self,
        caller: Bearer,
        id: Path<DeploymentId>,
        control: Control,
        reason: Option<Remark>,
    ) -> Answer<Json<Deployment>> {
        Ok(Json(self.app.control_deployment(&caller.0, id.0, control, reason).await?))
    }
}
