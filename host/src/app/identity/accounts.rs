//! Owns accounts: made by registration, invitation or an admin, and changed by admins; one of these stays enabled.

use kernex_model::action::Action;
use kernex_model::id::UserId;
use kernex_model::name::{Email, RoleName, Username};
use kernex_model::policy::Fact;
use kernex_model::time::Timestamp;
use kernex_model::user::{Password, User};
use kernex_store::{Changes, CommitError, Listed, Page};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::attempts::{account_key, address_key};
use super::login::own_session;
use super::password::NewPassword;
use super::roles::{admin_role, given, is_enabled_admin, roles_at};
use super::setup::SETUP_GUARD;
use crate::app::{App, AppError, Caller};
use crate::config::Registration;

/// How long an invitation is good, in seconds: 7 days.
pub const INVITATION_LIFETIME_S: u32 = 7 * 24 * 3_600;
/// Accounts that are looked through for another admin, at most.
const MAX_SEARCHED: usize = 100_000;

const KIND: &str = "user";

/// An account to be made.
#[derive(Debug)]
pub struct NewUser {
    /// Unique without regard to case.
    pub username: Username,
    /// Unique without regard to case.
    pub email: Email,
    /// Checked against its rule when it is used.
    pub password: SecretString,
}

/// What lets somebody register.
#[derive(Debug, Default)]
pub struct Ticket {
    /// What the server printed when it started.
    pub setup_token: Option<SecretString>,
    /// What an admin gave out.
    pub invitation: Option<SecretString>,
}

/// What an admin changes; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct UserPatch {
    /// All roles.
    pub roles: Option<Vec<RoleName>>,
    /// Whether the account is shut.
    pub disabled: Option<bool>,
}

/// What an invitation says. It is good for one account: the address can be taken only once.
#[derive(Debug, Serialize, Deserialize)]
struct Invitation {
    iss: String,
    aud: String,
    exp: i64,
    email: Email,
    roles: Vec<RoleName>,
}

impl App {
    /// Makes an account for the caller: the very first with the set-up token, as an admin; others as the
    /// setting `registration` says.
    ///
    /// # Errors
    /// Forbidden where registration is closed or the token is not the right one; a conflict where the name
    /// or address is taken, or somebody else was the first.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn register_user(&self, caller: &Caller, new: NewUser, ticket: Ticket) -> Result<User, AppError> {
        let done = self.identity.setup.is_done(&self.store).await?;
        let facts = vec![Fact::boolean("first", !done)];
        let grant = self.gatekeeper.authorize(caller, Action::UserRegister, KIND, None, facts)?;
        self.identity.logins_by_address.count(&address_key(caller.address))?;
        let roles = if done {
            self.roles_by_registration(&new.email, &ticket)?
        } else {
            self.identity.setup.check(ticket.setup_token.as_ref())?;
            vec![admin_role()?]
        };
        let user = self.account(&new, roles);
        let detail = serde_json::json!({ "username": user.username, "roles": user.roles });
        self.keep_account(grant.on(user.id).changes(Some(detail)), user, new.password, !done).await
    }

    fn roles_by_registration(&self, email: &Email, ticket: &Ticket) -> Result<Vec<RoleName>, AppError> {
        let forbidden = |code, detail: &str| Err(AppError::Forbidden { code, detail: detail.to_owned() });
        if ticket.setup_token.is_some() {
            return Err(AppError::conflict(
                "already-set-up",
                "there is an account already; the set-up token is no longer good",
            ));
        }
        match (self.identity.settings.registration, &ticket.invitation) {
            (Registration::Open, None) => Ok(self.identity.settings.default_roles.clone()),
            (Registration::Open | Registration::Invitation, Some(invitation)) => self.invited_roles(email, invitation),
            (Registration::Invitation, None) => forbidden("invitation-required", "registration needs an invitation"),
            (Registration::Closed, _) => {
                forbidden("registration-closed", "registration is closed; ask an administrator for an account")
            }
        }
    }

    fn invited_roles(&self, email: &Email, invitation: &SecretString) -> Result<Vec<RoleName>, AppError> {
        use secrecy::ExposeSecret;
        let read: Option<Invitation> = self.identity.access.read_invitation(invitation.expose_secret()).ok();
        read.filter(|read| read.email.folded() == email.folded() && self.context.now().as_secs() < read.exp)
            .map(|read| read.roles)
            .ok_or(AppError::Forbidden {
                code: "invitation-wrong",
                detail: "the invitation has expired or is for another address".to_owned(),
            })
    }

    /// An invitation to register with this address, with these roles, within a week.
    ///
    /// # Errors
    /// Denied.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn invite_user(
        &self,
        caller: &Caller,
        email: Email,
        roles: Vec<RoleName>,
    ) -> Result<(SecretString, Timestamp), AppError> {
        let roles = roles_at("/roles", roles)?;
        let grant = self.gatekeeper.authorize(caller, Action::UserUpdate, KIND, None, vec![given(&roles)])?;
        let expires_at = self.context.now().plus_secs(INVITATION_LIFETIME_S);
        let server = &self.identity.server_name;
        let invitation =
            Invitation { iss: server.clone(), aud: server.clone(), exp: expires_at.as_secs(), email, roles };
        let signed =
            self.identity.access.sign_invitation(&invitation).map_err(|error| AppError::Internal(error.to_string()))?;
        let detail =
            serde_json::json!({ "invited": invitation.email, "roles": invitation.roles, "expires_at": expires_at });
        self.store.commit(grant.changes(Some(detail))).await?;
        Ok((signed.into(), expires_at))
    }

    /// Makes an account with roles, as an admin does.
    ///
    /// # Errors
    /// Denied; a conflict where the name or address is taken.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn create_user(&self, caller: &Caller, new: NewUser, roles: Vec<RoleName>) -> Result<User, AppError> {
        let roles = roles_at("/roles", roles)?;
        let grant = self.gatekeeper.authorize(caller, Action::UserUpdate, KIND, None, vec![given(&roles)])?;
        let user = self.account(&new, roles);
        let detail = serde_json::json!({ "username": user.username, "roles": user.roles });
        let first = !self.identity.setup.is_done(&self.store).await?;
        self.keep_account(grant.on(user.id).changes(Some(detail)), user, new.password, first).await
    }

    /// Makes the first account, an admin, from the machine itself, where the set-up token is not needed.
    ///
    /// # Errors
    /// A conflict where there is an account already.
    pub async fn create_first_admin(&self, new: NewUser) -> Result<User, AppError> {
        if self.identity.setup.is_done(&self.store).await? {
            return Err(AppError::conflict("already-set-up", "there is an account already"));
        }
        self.create_user(&Caller::system(), new, vec![admin_role()?]).await
    }

    fn account(&self, new: &NewUser, roles: Vec<RoleName>) -> User {
        let now = self.context.now();
        let (username, email) = (new.username.clone(), new.email.clone());
        User {
            id: UserId(self.context.ulid()),
            username,
            email,
            roles,
            disabled: false,
            created_at: now,
            updated_at: now,
            revision: 1,
        }
    }

    async fn keep_account(
        &self,
        mut changes: Changes,
        user: User,
        password: SecretString,
        first: bool,
    ) -> Result<User, AppError> {
        let password = NewPassword::new(password, &user.username, &user.email, "/password")?;
        let phc = self.identity.hasher.hash(&password).await?;
        changes.create(&user).create(&Password { user_id: user.id, phc, updated_at: user.created_at });
        if first {
            changes.consume_secret(SETUP_GUARD);
        }
        match self.store.commit(changes).await {
            Ok(()) => Ok(user),
            Err(CommitError::Conflict { .. }) => {
                Err(AppError::conflict("already-set-up", "somebody else made the first account"))
            }
            Err(CommitError::Exists { index }) if index.contains("username") => {
                Err(AppError::conflict("username-taken", "the user name is taken"))
            }
            Err(CommitError::Exists { index }) if index.contains("email") => {
                Err(AppError::conflict("email-taken", "the e-mail address is taken"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The caller's own account.
    ///
    /// # Errors
    /// Forbidden for callers that are no user.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn current_user(&self, caller: &Caller) -> Result<User, AppError> {
        let (user, _) = own_session(caller)?;
        self.user(caller, user).await
    }

    /// One account.
    ///
    /// # Errors
    /// Denied, whether it exists or not; not found.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn user(&self, caller: &Caller, id: UserId) -> Result<User, AppError> {
        self.gatekeeper.authorize(caller, Action::UserRead, KIND, Some(id.to_string()), Vec::new())?;
        self.store.user(id).await?.ok_or(AppError::NotFound("user"))
    }

    /// Accounts, oldest first.
    ///
    /// # Errors
    /// Denied.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn list_users(&self, caller: &Caller, page: &Page) -> Result<Listed<User>, AppError> {
        self.gatekeeper.authorize(caller, Action::UserList, KIND, None, Vec::new())?;
        Ok(self.store.list_users(page).await?)
    }

    /// Changes roles or standing. A disabled account's sessions end. `revision` is the one that the caller read.
    ///
    /// # Errors
    /// Denied, not found, [`AppError::PreconditionRequired`], [`AppError::Stale`]; a conflict (`last-admin`) where no
    /// enabled admin would be left.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn update_user(
        &self,
        caller: &Caller,
        id: UserId,
        patch: UserPatch,
        revision: Option<u64>,
    ) -> Result<User, AppError> {
        let roles = patch.roles.map(|roles| roles_at("/roles", roles)).transpose()?;
        let facts = roles.iter().map(|roles| given(roles)).collect();
        let grant = self.gatekeeper.authorize(caller, Action::UserUpdate, KIND, Some(id.to_string()), facts)?;
        let _one_at_a_time = self.identity.admins.lock().await;
        let user = self.store.user(id).await?.ok_or(AppError::NotFound("user"))?;
        if revision.ok_or(AppError::PreconditionRequired)? != user.revision {
            return Err(AppError::Stale);
        }
        let changed = User {
            roles: roles.unwrap_or_else(|| user.roles.clone()),
            disabled: patch.disabled.unwrap_or(user.disabled),
            updated_at: self.context.now(),
            ..user.clone()
        };
        if is_enabled_admin(&user) && !is_enabled_admin(&changed) && !self.has_other_admin(id).await? {
            return Err(AppError::conflict(
                "last-admin",
                "the last enabled administrator cannot be disabled or lose the role",
            ));
        }
        let ended = if changed.disabled { self.session_ids(id, None).await? } else { Vec::new() };
        let mut changes =
            grant.changes(Some(serde_json::json!({ "roles": changed.roles, "disabled": changed.disabled })));
        changes.update(&changed);
        let outcome = self.end_sessions(changes, &ended).await;
        self.identity.users.forget(&id);
        outcome?;
        Ok(User { revision: user.revision + 1, ..changed })
    }

    async fn has_other_admin(&self, but: UserId) -> Result<bool, AppError> {
        let mut page = Page::first(kernex_store::MAX_PAGE);
        for _ in 0..MAX_SEARCHED / usize::from(kernex_store::MAX_PAGE) {
            let listed = self.store.list_users(&page).await?;
            if listed.items.iter().any(|user| user.id != but && is_enabled_admin(user)) {
                return Ok(true);
            }
            match listed.next {
                Some(next) => page.after = Some(next),
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Changes the caller's password and ends their other sessions.
    ///
    /// # Errors
    /// Forbidden (`wrong-password`) where the current one is not given; invalid where the new one breaks the rule.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn change_password(
        &self,
        caller: &Caller,
        current: SecretString,
        new: SecretString,
    ) -> Result<(), AppError> {
        let (id, session) = own_session(caller)?;
        let grant =
            self.gatekeeper.authorize(caller, Action::PasswordChange, KIND, Some(id.to_string()), Vec::new())?;
        let user = self.store.user(id).await?.ok_or(AppError::NotFound("user"))?;
        self.identity.logins_by_account.count(&account_key(user.username.as_str()))?;
        let new = NewPassword::new(new, &user.username, &user.email, "/new_password")?;
        let stored = self.store.password(id).await?.map(|password| password.phc);
        if !self.identity.hasher.verify(&current, stored).await? {
            return Err(AppError::Forbidden {
                code: "wrong-password",
                detail: "the current password is wrong".to_owned(),
            });
        }
        let phc = self.identity.hasher.hash(&new).await?;
        let others = self.session_ids(id, Some(session)).await?;
        let mut changes = grant.changes(Some(serde_json::json!({ "ended_sessions": others.len() })));
        changes.put(&Password { user_id: id, phc, updated_at: self.context.now() });
        self.end_sessions(changes, &others).await
    }
}
