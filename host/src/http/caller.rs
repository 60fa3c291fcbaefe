//! Owns who calls: reads the credentials of a request and where it came from, and asks the use cases who that is.

use std::net::IpAddr;
use std::sync::Arc;

use kernex_model::id::RequestId;
use kernex_model::trace::TraceId;
use poem::web::RemoteAddr;
use poem::{Addr, FromRequest, Request, RequestBody};
use poem_openapi::SecurityScheme;

use super::problem::Problem;
use crate::app::{App, Caller};

/// What the envelope gives every call.
#[derive(Debug, Clone)]
pub(super) struct CallContext {
    pub(super) id: RequestId,
    pub(super) trace_id: Option<TraceId>,
    pub(super) app: Arc<App>,
}

// Take it as the first argument of a handler, so that an unknown caller learns nothing about the other arguments.
/// A user's access token (from `login`), an API key (`kx_…`) or a device's token (from `issue_device_token`).
#[derive(SecurityScheme)]
#[oai(ty = "bearer", rename = "bearer", bearer_format = "JWT or kx_ key", checker = "authenticate")]
pub struct Bearer(pub Caller);

async fn authenticate(request: &Request, token: poem_openapi::auth::Bearer) -> poem::Result<Caller> {
    let CallContext { id, trace_id, app } = request.data().ok_or_else(Problem::internal)?;
    let caller = app.authenticate(&token.token, Some(*id), address(request)).await.map_err(Problem::from)?;
    tracing::Span::current().record("principal", tracing::field::display(caller.principal));
    Ok(caller.traced(*trace_id))
}

/// A caller that needs no credentials: known only by its address.
#[derive(Debug)]
pub struct Anyone(pub Caller);

impl<'a> FromRequest<'a> for Anyone {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let trace_id = request.data::<CallContext>().and_then(|context| context.trace_id);
        Ok(Self(Caller::anonymous(request_id(request), address(request)).traced(trace_id)))
    }
}

/// The request's own identifier, given by the envelope.
#[must_use]
pub fn request_id(request: &Request) -> Option<RequestId> {
    request.data::<CallContext>().map(|context| context.id)
}

/// The address at the other end of the connection. Forwarding headers are not believed.
#[must_use]
pub fn address(request: &Request) -> Option<IpAddr> {
    match request.remote_addr() {
        RemoteAddr(Addr::SocketAddr(address)) => Some(address.ip().to_canonical()),
        RemoteAddr(_) => None,
    }
}
