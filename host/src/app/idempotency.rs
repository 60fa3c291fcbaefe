//! Owns idempotency keys: a call that is sent again is not done again, whatever became of its first answer.

use kernex_model::digest::Digest;
use kernex_model::principal::Principal;

use super::{App, AppError, Caller};

/// For how long a key is remembered, in seconds.
pub const KEY_LIFETIME_S: u32 = 24 * 3_600;
/// A call that has not ended after so long never will, in milliseconds: it takes half of this at most.
const INTERRUPTED_AFTER_MS: i64 = 180_000;

/// What becomes of a call with a key.
#[derive(Debug)]
pub enum Claim {
    /// It runs; the name is for [`App::answer_key`] or [`App::release_key`].
    Runs(Digest),
    /// It was answered before, like this.
    Answered(String),
}

impl App {
    /// Claims `key` for a call of `caller` that is known by `fingerprint`.
    ///
    /// # Errors
    /// A conflict where the key was used for another call, where the first one still runs, and where it was
    /// interrupted by a crash, so that nobody knows what it did.
    pub async fn claim_key(&self, caller: &Caller, key: &str, fingerprint: Digest) -> Result<Claim, AppError> {
        let now = self.context.now();
        let owner = match caller.address.filter(|_| caller.principal == Principal::Anonymous) {
            Some(address) => format!("anonymous/{address}"),
            None => caller.principal.to_string(),
        };
        let name = Digest::of_parts(&[owner.as_bytes(), key.as_bytes()]);
        let Some(known) = self.store.claim_key(name, fingerprint, now, now.plus_secs(KEY_LIFETIME_S)).await? else {
            return Ok(Claim::Runs(name));
        };
        if known.fingerprint != fingerprint {
            return Err(AppError::conflict("idempotency-key-reused", "this key was used for another call before"));
        }
        match known.answer {
            Some(answer) => Ok(Claim::Answered(answer)),
            None if now.since(known.began_at) < INTERRUPTED_AFTER_MS => {
                Err(AppError::conflict("idempotency-in-progress", "the first call with this key still runs"))
            }
            None => Err(AppError::conflict(
                "idempotency-interrupted",
                "the first call with this key was interrupted: look whether it was done before you use another key",
            )),
        }
    }

    /// Keeps the answer of a call that was done.
    pub async fn answer_key(&self, name: Digest, answer: String) {
        if let Err(error) = self.store.answer_key(name, answer).await {
            // The call was done; who sends it again is told that nobody knows.
            tracing::warn!(error = %error, "an answer could not be kept for its idempotency key");
        }
    }

    /// Gives back the key of a call that was refused: it may be sent again, mended.
    pub async fn release_key(&self, name: Digest) {
        if let Err(error) = self.store.release_key(name).await {
            tracing::warn!(error = %error, "an idempotency key could not be given back");
        }
    }
}
