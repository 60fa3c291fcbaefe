//! Owns who calls: an authenticated principal with its roles, and where the request came from.

use std::net::IpAddr;
use std::sync::Arc;

use kernex_model::id::{RequestId, SessionId};
use kernex_model::name::RoleName;
use kernex_model::policy::{Fact, PolicyPrincipal};
use kernex_model::principal::Principal;
use kernex_model::trace::TraceId;

/// The caller of one use case.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// What the authorization policy grants actions to.
    pub roles: Arc<[RoleName]>,
    /// The login, for a user.
    pub session: Option<SessionId>,
    /// The request.
    pub request_id: Option<RequestId>,
    /// The trace that the request belongs to, where somebody records it.
    pub trace_id: Option<TraceId>,
    /// Where it came from.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// The host itself: its workers and its command line. No policy is asked about it.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Principal::System, None, None)
    }

    /// A caller without credentials.
    #[must_use]
    pub fn anonymous(request_id: Option<RequestId>, address: Option<IpAddr>) -> Self {
        Self::new(Principal::Anonymous, request_id, address)
    }

    fn new(principal: Principal, request_id: Option<RequestId>, address: Option<IpAddr>) -> Self {
        Self { principal, roles: Arc::from([]), session: None, request_id, trace_id: None, address }
    }

    /// The same caller, whose request belongs to a trace.
    #[must_use]
    pub fn traced(self, trace_id: Option<TraceId>) -> Self {
        Self { trace_id, ..self }
    }

    pub(super) fn to_policy(&self) -> PolicyPrincipal {
        PolicyPrincipal {
            kind: self.principal.kind(),
            id: self.principal.to_string(),
            roles: self.roles.iter().map(|role| role.as_str().to_owned()).collect(),
            facts: Vec::new(),
        }
    }

    pub(super) fn context_facts(&self) -> Vec<Fact> {
        self.address.map(|address| Fact::text("address", address.to_string())).into_iter().collect()
    }
}
