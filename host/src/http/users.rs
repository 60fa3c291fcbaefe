//! Owns accounts on the wire, as administrators see them.

use std::sync::Arc;

use kernex_model::id::UserId;
use kernex_model::name::{Email, RoleName, Username};
use kernex_model::time::Timestamp;
use kernex_model::user::User;
use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::ExposeSecret;

use super::auth::{CreatedUser, Done};
use super::body::Json;
use super::caller::Bearer;
use super::page::{CursorQuery, LimitQuery, Paged, page};
use super::problem::Problem;
use super::revision::{IfMatch, Tagged, tagged};
use super::secret_text::SecretText;
use super::tag::Tag;
use crate::app::App;
use crate::app::identity::accounts::{NewUser, UserPatch};

/// Accounts.
pub struct UserApi {
    app: Arc<App>,
}

impl UserApi {
    /// On top of the use cases.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// An account to be made for somebody.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct UserRequest {
    /// Short name, unique without regard to case.
    username: Username,
    /// E-mail address, unique without regard to case.
    email: Email,
    /// 12 to 256 bytes; neither the user name nor the address.
    password: SecretText,
    /// Its roles.
    #[oai(default)]
    roles: Vec<RoleName>,
}

/// What to change of an account. What is left out stays.
#[derive(Debug, Object)]
#[oai(rename = "UserPatch", deny_unknown_fields)]
struct UserPatchBody {
    /// All its roles.
    roles: Option<Vec<RoleName>>,
    /// Whether it is shut: its sessions end, and nobody can log in.
    disabled: Option<bool>,
}

/// Somebody to be invited.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct InvitationRequest {
    /// The address that the account must have.
    email: Email,
    /// The roles that it will have.
    #[oai(default)]
    roles: Vec<RoleName>,
}

/// An invitation.
#[derive(Object)]
struct InvitationAnswer {
    /// For `register_user`; good for one account with this address.
    invitation: String,
    /// Until when it is good.
    expires_at: Timestamp,
}

#[derive(ApiResponse)]
enum Invited {
    /// The invitation. It is shown here only.
    #[oai(status = 201)]
    Invitation(
        Json<InvitationAnswer>,
        /// `no-store`: the answer holds a secret.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

type Answer<T> = Result<T, Problem>;

fn shown(user: User) -> Tagged<User> {
    let revision = user.revision;
    tagged(user, revision)
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Users")]
impl UserApi {
    /// Make an account for somebody
    ///
    /// With a password that an administrator chooses; whoever gets it changes it. An invitation needs none.
    #[oai(path = "/users", method = "post", operation_id = "create_user")]
    async fn create_user(&self, caller: Bearer, body: Json<UserRequest>) -> Answer<CreatedUser> {
        let UserRequest { username, email, password, roles } = body.0;
        let new = NewUser { username, email, password: password.0 };
        Ok(self.app.create_user(&caller.0, new, roles).await?.into())
    }

    /// Invite somebody
    ///
    /// For servers whose `registration` is `invitation` or `open`.
    #[oai(path = "/users/invitations", method = "post", operation_id = "invite_user")]
    async fn invite_user(&self, caller: Bearer, body: Json<InvitationRequest>) -> Answer<Invited> {
        let (invitation, expires_at) = self.app.invite_user(&caller.0, body.0.email, body.0.roles).await?;
        let invitation = invitation.expose_secret().to_owned();
        Ok(Invited::Invitation(Json(InvitationAnswer { invitation, expires_at }), "no-store".to_owned()))
    }

    /// List accounts
    ///
    /// In the order in which they were made.
    #[oai(path = "/users", method = "get", operation_id = "list_users")]
    async fn list_users(&self, caller: Bearer, limit: LimitQuery, cursor: CursorQuery) -> Answer<Paged<User>> {
        Ok(self.app.list_users(&caller.0, &page(limit, cursor)?).await?.into())
    }

    /// See an account
    ///
    /// Anybody's, with the ETag that an edit has to name.
    #[oai(path = "/users/:id", method = "get", operation_id = "get_user")]
    async fn get_user(&self, caller: Bearer, id: Path<UserId>) -> Answer<Tagged<User>> {
        Ok(shown(self.app.user(&caller.0, id.0).await?))
    }

    /// Change an account's roles or standing
    ///
    /// `If-Match` must name the ETag that was read. The last enabled administrator stays one (409, `last-admin`).
    #[oai(path = "/users/:id", method = "patch", operation_id = "update_user")]
    async fn update_user(
        &self,
        caller: Bearer,
        id: Path<UserId>,
        #[oai(name = "If-Match")] if_match: IfMatch,
        body: Json<UserPatchBody>,
    ) -> Answer<Tagged<User>> {
        let patch = UserPatch { roles: body.0.roles, disabled: body.0.disabled };
        Ok(shown(self.app.update_user(&caller.0, id.0, patch, if_match.0.map(|tag| tag.0)).await?))
    }

    /// End all sessions of an account
    ///
    /// Its access tokens stop working at once; it can log in again.
    #[oai(path = "/users/:id/sessions", method = "delete", operation_id = "revoke_user_sessions")]
    async fn revoke_user_sessions(&self, caller: Bearer, id: Path<UserId>) -> Answer<Done> {
        self.app.revoke_user_sessions(&caller.0, id.0).await?;
        Ok(Done::Done)
    }
}
