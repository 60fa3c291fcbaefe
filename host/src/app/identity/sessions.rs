//! Owns sessions as their users see them: listed, and ended one by one or all at once.

use kernex_model::action::Action;
use kernex_model::id::{SessionId, UserId};
use kernex_model::policy::Fact;
use kernex_model::user::Session;
use kernex_store::{Changes, Listed, Page};

use super::login::own_session;
use crate::app::{App, AppError, Caller};

/// What a policy knows of something that belongs to an account.
pub(super) fn own(user: UserId) -> Vec<Fact> {
    vec![Fact::text("owner", user.to_string())]
}

impl App {
    /// The caller's own sessions, newest first; expired ones are left out.
    ///
    /// # Errors
    /// Denied; forbidden for callers that are no user.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn list_sessions(&self, caller: &Caller, page: &Page) -> Result<Listed<Session>, AppError> {
        let (user, _) = own_session(caller)?;
        self.gatekeeper.authorize(caller, Action::SessionList, "session", None, own(user))?;
        let now = self.context.now();
        let mut listed = self.store.list_sessions(user, page).await?;
        listed.items.retain(|session| now < session.expires_at);
        Ok(listed)
    }

    /// Ends one session.
    ///
    /// # Errors
    /// Not found, also where it is another's and the caller may not end it.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn revoke_session(&self, caller: &Caller, id: SessionId) -> Result<(), AppError> {
        let session = self.store.session(id).await?;
        let facts = session.as_ref().map(|session| own(session.user_id)).unwrap_or_default();
        let grant = self.gatekeeper.authorize(caller, Action::SessionRevoke, "session", Some(id.to_string()), facts);
        let grant = grant.map_err(|denied| hidden(denied, "session"))?;
        let session = session.ok_or(AppError::NotFound("session"))?;
        self.end_sessions(grant.changes(Some(serde_json::json!({ "user_id": session.user_id }))), &[id]).await
    }

    /// Ends all of the caller's sessions, this one included.
    ///
    /// # Errors
    /// Denied; forbidden for callers that are no user.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn revoke_all_sessions(&self, caller: &Caller) -> Result<(), AppError> {
        let (user, _) = own_session(caller)?;
        self.revoke_sessions_of(caller, user).await
    }

    /// Ends all sessions of an account.
    ///
    /// # Errors
    /// Denied; not found.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn revoke_user_sessions(&self, caller: &Caller, user: UserId) -> Result<(), AppError> {
        self.revoke_sessions_of(caller, user).await
    }

    async fn revoke_sessions_of(&self, caller: &Caller, user: UserId) -> Result<(), AppError> {
        let grant = self.gatekeeper.authorize(caller, Action::SessionRevoke, "session", None, own(user))?;
        self.store.user(user).await?.ok_or(AppError::NotFound("user"))?;
        let ids = self.session_ids(user, None).await?;
        self.end_sessions(grant.changes(Some(serde_json::json!({ "user_id": user, "sessions": ids.len() }))), &ids)
            .await
    }

    /// The sessions of an account, but for one.
    pub(super) async fn session_ids(&self, user: UserId, but: Option<SessionId>) -> Result<Vec<SessionId>, AppError> {
        // An account has fewer than fit on a page: see `MAX_SESSIONS`.
        let listed = self.store.list_sessions(user, &Page::first(kernex_store::MAX_PAGE)).await?;
        Ok(listed.items.into_iter().map(|session| session.id).filter(|id| Some(*id) != but).collect())
    }

    /// Commits `changes` and the end of these sessions.
    pub(super) async fn end_sessions(&self, mut changes: Changes, ids: &[SessionId]) -> Result<(), AppError> {
        for id in ids {
            changes.delete::<Session>(id);
        }
        let ended = self.store.commit(changes).await;
        // Also after a failure: the outcome may be unknown, and reading again costs little.
        ids.iter().for_each(|id| self.identity.sessions.forget(id));
        Ok(ended?)
    }
}

/// Who may not touch something must not learn whether it exists.
pub(super) fn hidden(denied: AppError, noun: &'static str) -> AppError {
    match denied {
        AppError::Denied { reason, .. } if reason.code != crate::app::verdict::POLICY_FAULT => AppError::NotFound(noun),
        other => other,
    }
}
