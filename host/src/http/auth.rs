//! Owns logging in and out on the wire: registration, tokens, password, sessions.

use std::sync::Arc;

use kernex_model::id::{SessionId, UserId};
use kernex_model::name::{Email, Username};
use kernex_model::time::Timestamp;
use kernex_model::user::{Session, User};
use kernex_store::Listed;
use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::ExposeSecret;

use super::body::Json;
use super::caller::{Anyone, Bearer};
use super::page::{CursorQuery, LimitQuery, Paged, page};
use super::problem::Problem;
use super::revision::{Tagged, tagged};
use super::secret_text::SecretText;
use super::tag::Tag;
use crate::app::App;
use crate::app::identity::accounts::{NewUser, Ticket};
use crate::app::identity::login::Tokens;

/// Logging in and out.
pub struct AuthApi {
    app: Arc<App>,
}

impl AuthApi {
    /// On top of the use cases.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// An account to be made for oneself.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct Registration {
    /// Short name, unique without regard to case.
    username: Username,
    /// E-mail address, unique without regard to case.
    email: Email,
    /// 12 to 256 bytes; neither the user name nor the address.
    password: SecretText,
    /// For the very first account: what the server printed when it started.
    setup_token: Option<SecretText>,
    /// Where registration is by invitation: what an administrator gave out for this address.
    invitation: Option<SecretText>,
}

/// Who wants to log in.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct Login {
    /// User name or e-mail address.
    username: String,
    /// The password.
    password: SecretText,
}

/// A session to renew.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct Renewal {
    /// The refresh token of the last login or renewal; it works once.
    refresh_token: SecretText,
}

/// A new password.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct PasswordChange {
    /// The one in force.
    current_password: SecretText,
    /// 12 to 256 bytes; neither the user name nor the address.
    new_password: SecretText,
}

/// What a login gives.
#[derive(Object)]
struct TokenAnswer {
    /// For `Authorization: Bearer`.
    access_token: String,
    /// Always `Bearer`.
    token_type: String,
    /// How long the access token works, in seconds.
    expires_in: u32,
    /// For the next renewal; works once. Used again it ends the session.
    refresh_token: String,
    /// How long the refresh token works, in seconds.
    refresh_expires_in: u32,
}

impl From<Tokens> for TokenAnswer {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access_token.expose_secret().to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: tokens.expires_in,
            refresh_token: tokens.refresh_token.expose_secret().to_owned(),
            refresh_expires_in: tokens.refresh_expires_in,
        }
    }
}

#[derive(ApiResponse)]
enum Issued {
    /// Tokens. They are shown here only.
    #[oai(status = 200)]
    Tokens(
        Json<TokenAnswer>,
        /// `no-store`: the answer holds a secret.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

impl From<Tokens> for Issued {
    fn from(tokens: Tokens) -> Self {
        Self::Tokens(Json(tokens.into()), "no-store".to_owned())
    }
}

/// The account was made.
#[derive(ApiResponse)]
pub(super) enum CreatedUser {
    /// The account.
    #[oai(status = 201)]
    User(
        Json<User>,
        /// Where it is.
        #[oai(header = "Location")]
        String,
    ),
}

impl From<User> for CreatedUser {
    fn from(user: User) -> Self {
        let location = format!("/api/v1/users/{}", user.id);
        Self::User(Json(user), location)
    }
}

#[derive(ApiResponse)]
pub(super) enum Done {
    /// Done.
    #[oai(status = 204)]
    Done,
}

/// A session, as its user sees it.
#[derive(Debug, Object)]
pub(super) struct SessionAnswer {
    /// Identifier.
    id: SessionId,
    /// Whose login it is.
    user_id: UserId,
    /// Whether it is the one that asks.
    current: bool,
    /// Where the login came from.
    address: Option<String>,
    /// When the user logged in.
    created_at: Timestamp,
    /// When it was last renewed.
    refreshed_at: Timestamp,
    /// When it ends, unless it is renewed.
    expires_at: Timestamp,
}

impl SessionAnswer {
    fn new(session: Session, current: Option<SessionId>) -> Self {
        let Session { id, user_id, address, created_at, refreshed_at, expires_at, .. } = session;
        Self { id, user_id, current: current == Some(id), address, created_at, refreshed_at, expires_at }
    }
}

type Answer<T> = Result<T, Problem>;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Auth")]
impl AuthApi {
    /// Make an account
    ///
    /// The very first account needs the set-up token and is an administrator's; afterwards the setting `registration` decides.
    #[oai(path = "/auth/register", method = "post", operation_id = "register_user")]
    async fn register_user(&self, caller: Anyone, body: Json<Registration>) -> Answer<CreatedUser> {
        let Registration { username, email, password, setup_token, invitation } = body.0;
        let new = NewUser { username, email, password: password.0 };
        let ticket = Ticket { setup_token: setup_token.map(|text| text.0), invitation: invitation.map(|text| text.0) };
        Ok(self.app.register_user(&caller.0, new, ticket).await?.into())
    }

    /// Log in
    ///
    /// Gives an access token for the `Authorization` header and a refresh token for the next one. Too many attempts from one
    /// address or to one account are refused for a while.
    #[oai(path = "/auth/login", method = "post", operation_id = "login")]
    async fn login(&self, caller: Anyone, body: Json<Login>) -> Answer<Issued> {
        Ok(self.app.login(&caller.0, &body.0.username, body.0.password.0).await?.into())
    }

    /// Renew a login
    ///
    /// Gives a new access token and a new refresh token. A refresh token that was used before ends its session.
    #[oai(path = "/auth/refresh", method = "post", operation_id = "refresh_session")]
    async fn refresh_session(&self, caller: Anyone, body: Json<Renewal>) -> Answer<Issued> {
        Ok(self.app.refresh_session(&caller.0, body.0.refresh_token.0).await?.into())
    }

    /// Log out
    ///
    /// The access token stops working at once.
    #[oai(path = "/auth/logout", method = "post", operation_id = "logout")]
    async fn logout(&self, caller: Bearer) -> Answer<Done> {
        self.app.logout(&caller.0).await?;
        Ok(Done::Done)
    }

    /// See one's own account
    ///
    /// Whose access token it is.
    #[oai(path = "/auth/me", method = "get", operation_id = "get_current_user")]
    async fn get_current_user(&self, caller: Bearer) -> Answer<Tagged<User>> {
        let user = self.app.current_user(&caller.0).await?;
        let revision = user.revision;
        Ok(tagged(user, revision))
    }

    /// Change one's password
    ///
    /// Ends all other sessions of the account.
    #[oai(path = "/auth/password", method = "put", operation_id = "change_password")]
    async fn change_password(&self, caller: Bearer, body: Json<PasswordChange>) -> Answer<Done> {
        self.app.change_password(&caller.0, body.0.current_password.0, body.0.new_password.0).await?;
        Ok(Done::Done)
    }

    /// List one's sessions
    ///
    /// Each is one login on one machine, newest first; the one that asks is marked.
    #[oai(path = "/auth/sessions", method = "get", operation_id = "list_sessions")]
    async fn list_sessions(
        &self,
        caller: Bearer,
        limit: LimitQuery,
        cursor: CursorQuery,
    ) -> Answer<Paged<SessionAnswer>> {
        let listed = self.app.list_sessions(&caller.0, &page(limit, cursor)?).await?;
        let items = listed.items.into_iter().map(|session| SessionAnswer::new(session, caller.0.session)).collect();
        Ok(Listed { items, next: listed.next }.into())
    }

    /// End one session
    ///
    /// Its access token stops working at once. Only one's own sessions are found.
    #[oai(path = "/auth/sessions/:id", method = "delete", operation_id = "revoke_session")]
    async fn revoke_session(&self, caller: Bearer, id: Path<SessionId>) -> Answer<Done> {
        self.app.revoke_session(&caller.0, id.0).await?;
        Ok(Done::Done)
    }

    /// End all of one's sessions
    ///
    /// This one included.
    #[oai(path = "/auth/sessions", method = "delete", operation_id = "revoke_all_sessions")]
    async fn revoke_all_sessions(&self, caller: Bearer) -> Answer<Done> {
        self.app.revoke_all_sessions(&caller.0).await?;
        Ok(Done::Done)
    }
}
