//! Owns the audit operations on the wire.

use std::sync::Arc;

use kernex_model::action::Action;
use kernex_model::principal::Principal;
use kernex_model::record::AuditRecord;
use poem_openapi::OpenApi;
use poem_openapi::param::Query;

use super::caller::Bearer;
use super::page::{CursorQuery, LimitQuery, Paged, page};
use super::problem::Problem;
use super::tag::Tag;
use crate::app::App;
use crate::app::records::AuditQuery;

/// The audit operations.
pub struct AuditApi {
    app: Arc<App>,
}

impl AuditApi {
    /// On top of the use cases.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Audit")]
impl AuditApi {
    /// List who did what, newest first
    ///
    /// A page may be short and have a next one.
    #[oai(path = "/audit", method = "get", operation_id = "list_audit_records")]
    #[expect(clippy::too_many_arguments, reason = "each is one parameter of the operation")]
    async fn list_audit_records(
        &self,
        caller: Bearer,
        /// Those of this user, API key or device; `anonymous` and `system` are principals, too.
        principal: Query<Option<Principal>>,
        /// Those on this thing, by its identifier.
        #[oai(validator(max_length = 128))]
        resource: Query<Option<String>>,
        /// Those on things of this kind, such as `device`.
        #[oai(validator(max_length = 64))]
        resource_kind: Query<Option<String>>,
        /// Those of this action, such as `device:update`.
        action: Query<Option<Action>>,
        limit: LimitQuery,
        cursor: CursorQuery,
    ) -> Result<Paged<AuditRecord>, Problem> {
        let page = page(limit, cursor)?;
        let query = AuditQuery {
            principal: principal.0,
            resource: resource.0,
            resource_kind: resource_kind.0,
            action: action.0,
        };
        Ok(self.app.list_audit_records(&caller.0, &query, page).await?.into())
    }
}
