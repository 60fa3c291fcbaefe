//! Owns the first account: the set-up token that makes it an admin, once, however many try.

use std::sync::atomic::{AtomicBool, Ordering};

use kernex_model::digest::Digest;
use kernex_store::{Store, StoreError};
use parking_lot::Mutex;
use secrecy::SecretString;

use super::secret::{SECRET_BYTES, SETUP_PREFIX, fresh, presented, same};
use crate::app::{AppError, Context};

/// A record in the store that the first account uses up, in the transaction that makes it: of two who try
/// at once, on one host or two, one finds it gone.
pub const SETUP_GUARD: &str = "set-up";

/// Whether there is an account, and the set-up token while there is none.
#[derive(Debug)]
pub struct SetUp {
    done: AtomicBool,
    /// Only the digest is kept; a restart makes another token.
    token: Option<Digest>,
    text: Mutex<Option<SecretString>>,
}

impl SetUp {
    /// Makes a token where there is no account yet.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn open(store: &Store, context: &Context) -> Result<Self, StoreError> {
        if store.any_user().await? {
            return Ok(Self { done: AtomicBool::new(true), token: None, text: Mutex::new(None) });
        }
        store.create_server_secret(SETUP_GUARD, b"open").await?;
        let fresh = fresh(SETUP_PREFIX, context.ulid(), context.bytes::<SECRET_BYTES>());
        Ok(Self { done: AtomicBool::new(false), token: Some(fresh.digest), text: Mutex::new(Some(fresh.text)) })
    }

    /// Whether there is an account. Accounts are never removed, so that once is for ever.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn is_done(&self, store: &Store) -> Result<bool, StoreError> {
        if !self.done.load(Ordering::Acquire) && store.any_user().await? {
            self.done.store(true, Ordering::Release);
        }
        Ok(self.done.load(Ordering::Acquire))
    }

    /// Whether this is the set-up token.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] where it is missing or another.
    pub fn check(&self, token: Option<&SecretString>) -> Result<(), AppError> {
        let refused = |code, detail: &str| Err(AppError::Forbidden { code, detail: detail.to_owned() });
        let Some(token) = token else {
            return refused(
                "setup-token-required",
                "the first account needs the set-up token that the server printed when it started",
            );
        };
        let fits = match (presented(SETUP_PREFIX, token), &self.token) {
            (Some(presented), Some(digest)) => same(&presented.digest, digest),
            (Some(_) | None, _) => false,
        };
        if fits {
            Ok(())
        } else {
            refused("setup-token-wrong", "this is not the set-up token that the server printed when it started")
        }
    }

    /// The token's text, once.
    #[must_use]
    pub fn take(&self) -> Option<SecretString> {
        self.text.lock().take()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn only_the_printed_token_is_taken() {
        let one = fresh(SETUP_PREFIX, kernex_model::id::Ulid(1), [1; SECRET_BYTES]);
        let two = fresh(SETUP_PREFIX, kernex_model::id::Ulid(1), [2; SECRET_BYTES]);
        let setup =
            SetUp { done: AtomicBool::new(false), token: Some(one.digest), text: Mutex::new(Some(one.text.clone())) };
        assert!(setup.check(Some(&one.text)).is_ok());
        assert!(setup.check(Some(&two.text)).is_err());
        assert!(setup.check(Some(&SecretString::from(""))).is_err());
        assert!(setup.check(None).is_err());
        let printed = setup.take().expect("not taken yet");
        assert_eq!(printed.expose_secret(), one.text.expose_secret());
        assert!(setup.take().is_none());
        let shut = SetUp { done: AtomicBool::new(true), token: None, text: Mutex::new(None) };
        assert!(shut.check(Some(&one.text)).is_err());
    }
}
