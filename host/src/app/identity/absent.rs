//! Owns callers who are not calling: what somebody created goes on in their name, with the roles that they have now.

use std::sync::Arc;

use kernex_model::device::DeviceStatus;
use kernex_model::name::RoleName;
use kernex_model::policy::Reason;
use kernex_model::principal::Principal;

use crate::app::{App, AppError, Caller};

impl App {
    /// Who created something, as if they called now; where they could not call any more, why.
    ///
    /// # Errors
    /// Where the store fails.
    pub(in crate::app) async fn creator(&self, principal: Principal) -> Result<Result<Caller, Reason>, AppError> {
        let gone = |code: &str, message: &str| Ok(Err(Reason::new(code, message)));
        let roles: Arc<[RoleName]> = match principal {
            Principal::User(user) => match self.user_standing(user).await? {
                None => return gone("creator-gone", "the account that created it is gone"),
                Some(standing) if standing.disabled => {
                    return gone("creator-disabled", "the account that created it is disabled");
                }
                Some(standing) => standing.roles,
            },
            Principal::Service(key) => {
                let standing = self.key_standing(key).await?;
                match standing.filter(|standing| !standing.has_expired(self.context.now())) {
                    None => return gone("creator-gone", "the API key that created it was revoked or has expired"),
                    Some(standing) => standing.roles,
                }
            }
            Principal::Device(device) if self.fleet.status(device) != Some(DeviceStatus::Active) => {
                return gone("creator-gone", "the device that created it is not active");
            }
            Principal::Device(_) | Principal::Anonymous | Principal::System => Arc::from([]),
        };
        Ok(Ok(Caller { principal, roles, session: None, request_id: None, trace_id: None, address: None }))
    }
}
