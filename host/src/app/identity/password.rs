//! Owns passwords: their rule, and hashing with argon2id on a bounded number of threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, Salt, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use kernex_model::name::{Email, Username};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::app::{AppError, Context};

/// Shortest password, in bytes.
pub const MIN_PASSWORD_BYTES: usize = 12;
/// Longest password, in bytes.
pub const MAX_PASSWORD_BYTES: usize = 256;
/// Memory of one hash, in KiB (OWASP Password Storage Cheat Sheet, argon2id, second choice: 19 MiB, 2, 1).
pub const HASH_MEMORY_KIB: u32 = 19_456;
/// Passes over that memory.
pub const HASH_PASSES: u32 = 2;
/// Lanes of one hash.
pub const HASH_LANES: u32 = 1;
/// Hashes at the same time: each costs tens of milliseconds of a core and its memory.
pub const HASHES_AT_ONCE: usize = 2;
/// Callers that may wait for their turn.
pub const MAX_WAITING: usize = 64;

const SALT_BYTES: usize = 16;

/// A password that keeps the rule. It is never shown.
#[derive(Clone)]
pub struct NewPassword(SecretString);

impl std::fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewPassword")
    }
}

impl NewPassword {
    /// A password for this account: 12 to 256 bytes, and neither its user name nor its address.
    ///
    /// # Errors
    /// [`AppError::Invalid`] that names `pointer`, never the password.
    pub fn new(
        text: SecretString,
        username: &Username,
        email: &Email,
        pointer: &'static str,
    ) -> Result<Self, AppError> {
        let length = text.expose_secret().len();
        let rule = if length < MIN_PASSWORD_BYTES {
            format!("has at least {MIN_PASSWORD_BYTES} bytes")
        } else if length > MAX_PASSWORD_BYTES {
            format!("has at most {MAX_PASSWORD_BYTES} bytes")
        } else if [username.folded(), email.folded()].contains(&text.expose_secret().to_lowercase()) {
            "is neither the user name nor the e-mail address".to_owned()
        } else {
            return Ok(Self(text));
        };
        Err(AppError::field("weak-password", pointer, format!("a password {rule}")))
    }
}

/// Hashes and verifies passwords. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hasher {
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    context: Context,
    /// The hash of a password that nobody knows: verified for accounts that do not exist.
    nobody: Arc<str>,
}

/// Counts a caller as waiting for as long as it lives.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Hasher {
    /// A hasher; hashes one password, so call it once.
    ///
    /// # Errors
    /// Where the parameters are impossible.
    pub fn new(context: Context) -> Result<Self, AppError> {
        let unknown = SecretString::from(hex::encode(context.bytes::<32>()));
        let nobody = hash_now(&unknown, &context.bytes::<SALT_BYTES>())?.into();
        Ok(Self { turns: Arc::new(Semaphore::new(HASHES_AT_ONCE)), waiting: Arc::default(), context, nobody })
    }

    /// The PHC string to store.
    ///
    /// # Errors
    /// [`AppError::Busy`] where too many wait already.
    pub async fn hash(&self, password: &NewPassword) -> Result<String, AppError> {
        let (password, salt) = (password.0.clone(), self.context.bytes::<SALT_BYTES>());
        self.in_turn(move || hash_now(&password, &salt)).await?
    }

    /// Whether `password` is the one of `stored`. Takes as long where there is none stored.
    ///
    /// # Errors
    /// [`AppError::Busy`] where too many wait already.
    pub async fn verify(&self, password: &SecretString, stored: Option<String>) -> Result<bool, AppError> {
        let (password, exists) = (password.clone(), stored.is_some());
        let stored = stored.unwrap_or_else(|| self.nobody.to_string());
        let fits = self.in_turn(move || verify_now(&password, &stored)).await??;
        Ok(fits && exists)
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, AppError> {
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= MAX_WAITING {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(AppError::Busy);
        }
        let waiting = Waiting(self.waiting.clone());
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| AppError::Busy)?;
        drop(waiting);
        // The turn goes along: a caller that goes away does not free it before the work is done.
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        })
        .await
        .map_err(|error| AppError::Internal(error.to_string()))
    }
}

fn argon2() -> Result<Argon2<'static>, AppError> {
    let params = Params::new(HASH_MEMORY_KIB, HASH_PASSES, HASH_LANES, None).map_err(internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash_now(password: &SecretString, salt: &[u8]) -> Result<String, AppError> {
    let salt = SaltString::encode_b64(salt).map_err(internal)?;
    let salt: Salt<'_> = (&salt).into();
    Ok(argon2()?.hash_password(password.expose_secret().as_bytes(), salt).map_err(internal)?.to_string())
}

fn verify_now(password: &SecretString, stored: &str) -> Result<bool, AppError> {
    let stored = PasswordHash::new(stored).map_err(internal)?;
    match argon2()?.verify_password(password.expose_secret().as_bytes(), &stored) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::Password) => Ok(false),
        Err(error) => Err(internal(error)),
    }
}

fn internal(error: impl std::fmt::Display) -> AppError {
    AppError::Internal(format!("password hashing: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> (Username, Email) {
        ("Ada-Lovelace".parse().expect("a name"), "ada@analytical.example".parse().expect("an address"))
    }

    fn new(text: &str) -> Result<NewPassword, AppError> {
        let (username, email) = account();
        NewPassword::new(SecretString::from(text), &username, &email, "/password")
    }

    #[test]
    fn the_rule_names_the_field_and_not_the_password() {
        for bad in ["hunter2", "eleven-byte", &"x".repeat(257), "ADA-lovelace", "ada@Analytical.example"] {
            let error = new(bad).expect_err(bad);
            assert!(!format!("{error:?} {error}").contains(bad), "{error:?}");
            assert!(format!("{error:?}").contains("/password"));
        }
        assert!(new("twelve-bytes").is_ok() && new(&"x".repeat(256)).is_ok());
        assert_eq!(format!("{:?}", new("twelve-bytes").expect("good")), "NewPassword");
    }

    #[tokio::test]
    async fn only_the_same_password_fits() {
        let hasher = Hasher::new(Context::system()).expect("a hasher");
        let stored = hasher.hash(&new("correct horse battery").expect("good")).await.expect("a hash");
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let verify = |text: &str, stored| {
            let (hasher, text) = (hasher.clone(), SecretString::from(text));
            async move { hasher.verify(&text, stored).await.expect("an answer") }
        };
        assert!(verify("correct horse battery", Some(stored.clone())).await);
        assert!(!verify("correct horse batterz", Some(stored)).await);
        assert!(!verify("correct horse battery", None).await);
    }

    #[tokio::test]
    async fn a_crowd_is_turned_away() {
        let hasher = Hasher::new(Context::system()).expect("a hasher");
        hasher.waiting.store(MAX_WAITING, Ordering::Release);
        let refused = hasher.verify(&SecretString::from("x"), None).await;
        assert!(matches!(refused, Err(AppError::Busy)));
        assert_eq!(hasher.waiting.load(Ordering::Acquire), MAX_WAITING);
    }
}
