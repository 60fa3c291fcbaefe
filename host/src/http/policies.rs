//! Owns the operations on policies on the wire.

use std::sync::Arc;

use kernex_model::digest::Digest;
use kernex_model::document::{ActionPattern, Instances, Policy, PolicyRevision};
use kernex_model::name::PolicyName;
use kernex_model::record::DecisionGate;
use kernex_model::redaction::SecretFact;
use kernex_model::time::Timestamp;
use poem_openapi::param::Path;
use poem_openapi::types::Any;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};

use super::body::Json;
use super::caller::Bearer;
use super::page::{CursorQuery, LimitQuery, Listing, Paged, page};
use super::problem::Problem;
use super::revision::{ETag, IfMatch, Tagged, tagged};
use super::tag::Tag;
use crate::app::App;
use crate::app::policies::revisions::{NewRevision, Standing};

/// The operations on policies.
pub struct PolicyApi {
    app: Arc<App>,
}

impl PolicyApi {
    /// On top of the use cases.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// What a new revision does at first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum PolicyMode {
    /// Nothing, until it is activated.
    #[default]
    Enforce,
    /// It looks on: it is asked beside the one that decides, all that one is asked, and only compared with it. Whoever
    /// writes it has to be allowed to activate revisions, too.
    Shadow,
}

/// A new revision of a policy.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct RevisionRequest {
    /// The plugin, by its digest.
    plugin: Digest,
    /// The gate that it is to serve; a policy keeps the gate of its first revision.
    gate: DecisionGate,
    /// What the plugin's schema asks for.
    settings: Any<serde_json::Value>,
    /// How often one instance of the plugin is asked.
    #[oai(default)]
    instances: Instances,
    /// Which actions an authorization policy is asked about; every one, where empty. Of several policies that are
    /// asked about an action every one has to allow it.
    #[oai(default, validator(max_items = 100))]
    actions: Vec<ActionPattern>,
    /// Facts whose values are not written down with its decisions: each by its name, such as `fact.serial`, or by where
    /// it stands in the question (`principal`, `resource` or `context`) and its name, such as `context.address`.
    #[oai(default, validator(max_items = 64))]
    secret_facts: Vec<SecretFact>,
    /// What it does at first.
    #[oai(default)]
    mode: PolicyMode,
}

/// Which revision is meant.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct RevisionChoice {
    /// Its number.
    revision: u64,
}

/// A policy as it stands.
#[derive(Debug, Object)]
pub(super) struct PolicyAnswer {
    /// Its name.
    name: PolicyName,
    /// Which decisions it makes.
    gate: DecisionGate,
    /// The revision that decides, whole; absent where none does.
    active: Option<PolicyRevision>,
    /// The number of the revision that looks on.
    shadow: Option<u64>,
    /// Numbers of the revisions that decided before, the latest first, at most 50.
    history: Vec<u64>,
    /// Numbers of the revisions that failed too often. They decide again only where somebody activates them.
    quarantined: Vec<u64>,
    /// How often in a row the revision that decides has failed on this host, by its own fault; five times take it out.
    /// One answer, or a restart, begins anew.
    faults_in_a_row: u32,
    /// Counted with every change of which revision decides or looks on; the ETag.
    revision: u64,
    /// When that changed last.
    updated_at: Timestamp,
}

impl From<Standing> for PolicyAnswer {
    fn from(Standing { policy, active, faults_in_a_row }: Standing) -> Self {
        let Policy { name, gate, shadow, history, quarantined, revision, updated_at, .. } = policy;
        Self { name, gate, active, shadow, history, quarantined, faults_in_a_row, revision, updated_at }
    }
}

#[derive(ApiResponse)]
enum WrittenRevision {
    /// The revision. It decides nothing yet.
    #[oai(status = 201)]
    Written(Json<PolicyRevision>),
}

pub(super) fn answer(standing: Standing) -> Tagged<PolicyAnswer> {
    let revision = standing.policy.revision;
    tagged(standing.into(), revision)
}

pub(super) fn expected(if_match: &IfMatch) -> Option<u64> {
    if_match.0.map(|ETag(revision)| revision)
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Policies")]
impl PolicyApi {
    /// List the policies
    ///
    /// All of them at once: `next` is always absent.
    #[oai(path = "/policies", method = "get", operation_id = "list_policies")]
    async fn list_policies(&self, caller: Bearer) -> Result<Json<Listing<PolicyAnswer>>, Problem> {
        let items = self.app.list_policies(&caller.0).await?.into_iter().map(PolicyAnswer::from).collect();
        Ok(Json(Listing { items, next: None }))
    }

    /// Get a policy
    ///
    /// With the revision that decides: which plugin, and with which settings.
    #[oai(path = "/policies/:name", method = "get", operation_id = "get_policy")]
    async fn get_policy(&self, caller: Bearer, name: Path<PolicyName>) -> Result<Tagged<PolicyAnswer>, Problem> {
        Ok(answer(self.app.get_policy(&caller.0, &name.0).await?))
    }

    /// Write a new revision of a policy
    ///
    /// The first one makes the policy. The settings are checked by the plugin's JSON Schema, then by the plugin; what
    /// is wrong is pointed at. The revision decides nothing before it is activated.
    #[oai(path = "/policies/:name", method = "put", operation_id = "put_policy")]
    async fn put_policy(
        &self,
        caller: Bearer,
        name: Path<PolicyName>,
        body: Json<RevisionRequest>,
    ) -> Result<WrittenRevision, Problem> {
        let RevisionRequest { plugin, gate, settings, instances, actions, secret_facts, mode } = body.0;
        let shadow = mode == PolicyMode::Shadow;
        let new = NewRevision { plugin, gate, settings: settings.0, instances, actions, secret_facts, shadow };
        Ok(WrittenRevision::Written(Json(self.app.put_policy(&caller.0, &name.0, new).await?)))
    }

    /// List a policy's revisions, newest first
    ///
    /// Those that never decided, too. A revision never changes.
    #[oai(path = "/policies/:name/revisions", method = "get", operation_id = "list_policy_revisions")]
    async fn list_policy_revisions(
        &self,
        caller: Bearer,
        name: Path<PolicyName>,
        limit: LimitQuery,
        cursor: CursorQuery,
    ) -> Result<Paged<PolicyRevision>, Problem> {
        Ok(self.app.list_policy_revisions(&caller.0, &name.0, page(limit, cursor)?).await?.into())
    }

    /// Activate a revision
    ///
    /// It decides every call that comes after the answer; none sees a mixture. With `If-Match` only where the policy
    /// is as you have seen it. Refused where you could not take it back.
    #[oai(path = "/policies/:name/activate", method = "post", operation_id = "activate_policy")]
    async fn activate_policy(
        &self,
        caller: Bearer,
        name: Path<PolicyName>,
        /// The policy's ETag.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: Json<RevisionChoice>,
    ) -> Result<Tagged<PolicyAnswer>, Problem> {
        let expected = expected(&if_match);
        Ok(answer(self.app.activate_policy(&caller.0, &name.0, body.0.revision, expected).await?))
    }

    /// Go back to the revision that decided before
    ///
    /// Where there was none the policy decides no more. Calling it again goes back further.
    #[oai(path = "/policies/:name/rollback", method = "post", operation_id = "rollback_policy")]
    async fn rollback_policy(
        &self,
        caller: Bearer,
        name: Path<PolicyName>,
        /// The policy's ETag.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
    ) -> Result<Tagged<PolicyAnswer>, Problem> {
        let expected = expected(&if_match);
        Ok(answer(self.app.rollback_policy(&caller.0, &name.0, expected).await?))
    }
}
