//! Owns logins: opening a session with a password, renewing it with a refresh token that works once, ending it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kernex_model::action::Action;
use kernex_model::digest::Digest;
use kernex_model::id::SessionId;
use kernex_model::principal::Principal;
use kernex_model::time::Timestamp;
use kernex_model::user::Session;
use kernex_store::{CommitError, Page};
use moka::sync::Cache;
use secrecy::SecretString;

use super::access::ACCESS_LIFETIME_S;
use super::attempts::{account_key, address_key};
use super::secret::{REFRESH_PREFIX, SECRET_BYTES, fresh, presented, same};
use super::sessions::own;
use crate::app::{App, AppError, Caller};

/// How long a refresh token works, in seconds: 30 days.
pub const REFRESH_LIFETIME_S: u32 = 30 * 24 * 3_600;
/// How long a session can be renewed at all, in seconds: 180 days.
pub const SESSION_LIFETIME_S: u32 = 180 * 24 * 3_600;
/// Sessions of one account; one more ends the oldest.
pub const MAX_SESSIONS: usize = 50;
/// Longest user name or e-mail address that is looked up, in bytes.
pub const MAX_LOGIN_BYTES: usize = 254;
/// Refresh tokens whose end is remembered, and for how long, in seconds: only as long as a call may take.
const MAX_SUPERSEDED: u64 = 10_000;
const SUPERSEDED_S: u64 = 60;

/// What a login or its renewal gives.
#[derive(Debug)]
pub struct Tokens {
    /// For `Authorization: Bearer`.
    pub access_token: SecretString,
    /// How long it works, in seconds.
    pub expires_in: u32,
    /// For the next renewal; works once.
    pub refresh_token: SecretString,
    /// How long that works, in seconds.
    pub refresh_expires_in: u32,
}

/// Refresh tokens that were renewed a moment ago. Whoever presented one before its renewal was done was too
/// late, not a thief; whoever presents it afterwards ends the session. Only this host's own: where two hosts
/// get the same token at once, the loser ends the session, which is safe and no more than a new login.
#[derive(Debug)]
pub struct Superseded {
    order: AtomicU64,
    ended: Cache<Digest, u64>,
}

impl Default for Superseded {
    fn default() -> Self {
        let ended =
            Cache::builder().max_capacity(MAX_SUPERSEDED).time_to_live(Duration::from_secs(SUPERSEDED_S)).build();
        Self { order: AtomicU64::new(0), ended }
    }
}

impl Superseded {
    fn arrive(&self) -> u64 {
        self.order.fetch_add(1, Ordering::AcqRel)
    }

    /// From here until it is known how the renewal went, everybody who presents the token is too late.
    fn renewing(&self, old: Digest) {
        self.ended.insert(old, u64::MAX);
    }

    fn renewed(&self, old: Digest) {
        self.ended.insert(old, self.arrive());
    }

    fn not_renewed(&self, old: &Digest) {
        self.ended.invalidate(old);
    }

    fn was_good_at(&self, arrived: u64, digest: &Digest) -> bool {
        self.ended.get(digest).is_some_and(|ended| arrived < ended)
    }
}

impl App {
    /// Opens a session for whoever knows the password.
    ///
    /// # Errors
    /// Unauthenticated, with one answer for every cause; too many requests; busy.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn login(&self, caller: &Caller, login: &str, password: SecretString) -> Result<Tokens, AppError> {
        let grant = self.gatekeeper.authorize(caller, Action::SessionCreate, "session", None, Vec::new())?;
        self.identity.logins_by_address.count(&address_key(caller.address))?;
        self.identity.logins_by_account.count(&account_key(login))?;
        let user = if login.len() > MAX_LOGIN_BYTES { None } else { self.store.user_by_login(login).await? };
        let stored = match &user {
            Some(user) => self.store.password(user.id).await?.map(|password| password.phc),
            None => None,
        };
        // Always, so that the time does not tell whether there is such an account.
        let fits = self.identity.hasher.verify(&password, stored).await?;
        let Some(user) = user.filter(|user| fits && !user.disabled) else {
            tracing::info!(address = ?caller.address, "a login was refused");
            return Err(AppError::unauthenticated("invalid-credentials", "the user name or password is wrong"));
        };
        let now = self.context.now();
        let id = SessionId(self.context.ulid());
        let refresh = fresh(REFRESH_PREFIX, id.0, self.context.bytes::<SECRET_BYTES>());
        let session = Session {
            id,
            user_id: user.id,
            refresh_digest: Some(refresh.digest),
            address: caller.address.map(|address| address.to_string()),
            created_at: now,
            refreshed_at: now,
            expires_at: now.plus_secs(REFRESH_LIFETIME_S),
            revision: 1,
        };
        let mut changes = grant.on(id).changes(Some(serde_json::json!({ "user_id": user.id })));
        let stale = self.surplus_sessions(&user.id, now).await?;
        for old in &stale {
            changes.delete::<Session>(old);
        }
        changes.create(&session);
        self.store.commit(changes).await?;
        stale.iter().for_each(|old| self.identity.sessions.forget(old));
        self.tokens(&session, refresh.text, now)
    }

    /// The sessions that make room for a new one: expired ones, and the oldest beyond the limit.
    async fn surplus_sessions(
        &self,
        user: &kernex_model::id::UserId,
        now: Timestamp,
    ) -> Result<Vec<SessionId>, AppError> {
        let listed = self.store.list_sessions(*user, &Page::first(kernex_store::MAX_PAGE)).await?;
        let mut live = 0;
        Ok(listed
            .items
            .into_iter()
            .filter(|session| {
                live += usize::from(session.expires_at > now);
                session.expires_at <= now || live >= MAX_SESSIONS
            })
            .map(|session| session.id)
            .collect())
    }

    /// Renews a session: new tokens, and the refresh token that was presented works no more.
    ///
    /// # Errors
    /// Unauthenticated where the token is unknown or expired; where it was used before, the session ends.
    /// A conflict (`refresh-raced`) where another renewal with the same token was under way and won.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn refresh_session(&self, caller: &Caller, token: SecretString) -> Result<Tokens, AppError> {
        let arrived = self.identity.superseded.arrive();
        let grant = self.gatekeeper.authorize(caller, Action::SessionRefresh, "session", None, Vec::new())?;
        let refused =
            || AppError::unauthenticated("invalid-refresh-token", "the refresh token is not valid; log in again");
        let raced =
            || AppError::conflict("refresh-raced", "another renewal with this token was faster; use its tokens");
        let presented = presented(REFRESH_PREFIX, &token).ok_or_else(refused)?;
        let id = SessionId(presented.id);
        let now = self.context.now();
        let session = self.store.session(id).await?.filter(|session| now < session.expires_at).ok_or_else(refused)?;
        let grant = grant.on(id);
        if !session.refresh_digest.is_some_and(|current| same(&current, &presented.digest)) {
            if self.identity.superseded.was_good_at(arrived, &presented.digest) {
                return Err(raced());
            }
            let mut changes = grant.changes(Some(
                serde_json::json!({ "user_id": session.user_id, "ended": "a refresh token was used twice" }),
            ));
            changes.delete::<Session>(&id);
            let ended = self.store.commit(changes).await;
            self.identity.sessions.forget(&id);
            ended?;
            tracing::warn!(session.id = %id, "a refresh token was used twice; the session has ended");
            return Err(AppError::unauthenticated(
                "refresh-token-reused",
                "the refresh token was used before; the session has ended",
            ));
        }
        let account = self.store.user(session.user_id).await?;
        if account.is_none_or(|account| account.disabled) {
            return Err(refused());
        }
        let refresh = fresh(REFRESH_PREFIX, id.0, self.context.bytes::<SECRET_BYTES>());
        let expires_at = now.plus_secs(REFRESH_LIFETIME_S).min(session.created_at.plus_secs(SESSION_LIFETIME_S));
        let renewed = Session { refresh_digest: Some(refresh.digest), refreshed_at: now, expires_at, ..session };
        let mut changes = grant.changes(Some(serde_json::json!({ "user_id": renewed.user_id })));
        changes.update(&renewed);
        self.identity.superseded.renewing(presented.digest);
        match self.store.commit(changes).await {
            Ok(()) => self.identity.superseded.renewed(presented.digest),
            // It was the token of the time; somebody was faster, or ended the session.
            Err(CommitError::Conflict { .. }) => {
                self.identity.superseded.renewed(presented.digest);
                return Err(raced());
            }
            Err(error) => {
                self.identity.superseded.not_renewed(&presented.digest);
                return Err(error.into());
            }
        }
        self.identity.sessions.forget(&id);
        self.tokens(&renewed, refresh.text, now)
    }

    /// Ends the caller's session.
    ///
    /// # Errors
    /// Forbidden for callers that have none.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn logout(&self, caller: &Caller) -> Result<(), AppError> {
        let (user, session) = own_session(caller)?;
        let grant = self.gatekeeper.authorize(
            caller,
            Action::SessionRevoke,
            "session",
            Some(session.to_string()),
            own(user),
        )?;
        let mut changes = grant.changes(None);
        changes.delete::<Session>(&session);
        let ended = self.store.commit(changes).await;
        self.identity.sessions.forget(&session);
        Ok(ended?)
    }

    fn tokens(&self, session: &Session, refresh_token: SecretString, now: Timestamp) -> Result<Tokens, AppError> {
        let expires_at = now.plus_secs(ACCESS_LIFETIME_S).min(session.expires_at);
        let principal = Principal::User(session.user_id);
        let access_token = self
            .identity
            .access
            .issue(principal, Some(session.id), self.context.ulid(), now, expires_at)
            .map_err(|error| AppError::Internal(format!("cannot sign a token: {error}")))?;
        let seconds = |until: Timestamp| u32::try_from(until.since(now) / 1_000).unwrap_or(0);
        Ok(Tokens {
            access_token: access_token.into(),
            expires_in: seconds(expires_at),
            refresh_token,
            refresh_expires_in: seconds(session.expires_at),
        })
    }
}

/// The caller's account and session; services and devices have none.
pub(super) fn own_session(caller: &Caller) -> Result<(kernex_model::id::UserId, SessionId), AppError> {
    match (caller.principal, caller.session) {
        (Principal::User(user), Some(session)) => Ok((user, session)),
        (
            Principal::User(_)
            | Principal::Service(_)
            | Principal::Device(_)
            | Principal::Anonymous
            | Principal::System,
            _,
        ) => {
            Err(AppError::Forbidden { code: "not-a-user", detail: "only a user who logged in can do this".to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_who_came_before_the_renewal_were_late() {
        let superseded = Superseded::default();
        let (old, other) = (Digest::of(b"old"), Digest::of(b"other"));
        let before = superseded.arrive();
        superseded.renewing(old);
        assert!(superseded.was_good_at(superseded.arrive(), &old));
        superseded.renewed(old);
        let after = superseded.arrive();
        assert!(superseded.was_good_at(before, &old));
        assert!(!superseded.was_good_at(after, &old));
        assert!(!superseded.was_good_at(before, &other));
    }
}
