//! Owns who callers are: accounts, logins, API keys and tokens, and what is remembered of them between two requests.

mod absent;
pub mod access;
pub mod accounts;
pub mod api_keys;
pub mod attempts;
pub mod login;
pub mod password;
pub mod remembered;
pub mod roles;
pub mod secret;
pub mod sessions;
pub mod setup;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kernex_model::device::DeviceStatus;
use kernex_model::digest::Digest;
use kernex_model::id::{ApiKeyId, DeviceId, RequestId, SessionId, UserId};
use kernex_model::name::RoleName;
use kernex_model::principal::Principal;
use kernex_model::time::Timestamp;
use kernex_store::{Store, StoreError};
use moka::sync::Cache;
use secrecy::SecretString;
use zeroize::Zeroizing;

use access::{ACCESS_LIFETIME_S, AccessTokens, TokenRefusal, Verified};
use attempts::Attempts;
use login::Superseded;
use password::Hasher;
use remembered::Remembered;
use secret::{API_KEY_PREFIX, SECRET_BYTES, presented, same};
use setup::SetUp;

use super::{App, AppError, Caller, Context};
use crate::config::{AdmissionRule, Registration};

/// Verified tokens that are remembered, so that a signature is checked once and not with every call.
pub const MAX_VERIFIED: u64 = 250_000;
/// The name under which the key of access tokens is kept.
const ACCESS_KEY: &str = "access-token-key";

/// What an operator sets about identity.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// Who may make an account.
    pub registration: Registration,
    /// The roles of accounts that people make themselves.
    pub default_roles: Vec<RoleName>,
    /// How devices are admitted.
    pub admission: AdmissionRule,
    /// Attempts to log in, from one address in a minute.
    pub logins_per_address_minute: u32,
    /// Attempts to log in to one account in a minute.
    pub logins_per_account_minute: u32,
    /// Enrolments from one address in a minute.
    pub enrolments_per_address_minute: u32,
}

/// Why identity could not be made ready; the server does not start then.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored key is not one.
    #[error("the key of access tokens in the store cannot be used")]
    Key,
    /// Passwords cannot be hashed.
    #[error(transparent)]
    Hasher(#[from] AppError),
}

/// What is remembered of an account.
#[derive(Debug, Clone)]
pub(super) struct UserStanding {
    roles: Arc<[RoleName]>,
    disabled: bool,
}

/// What is remembered of an API key.
#[derive(Debug, Clone)]
pub(super) struct KeyStanding {
    digest: Digest,
    roles: Arc<[RoleName]>,
    expires_at: Option<Timestamp>,
}

impl KeyStanding {
    fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| now >= expires_at)
    }
}

/// Keys, caches and limits of identity.
#[derive(Debug)]
pub struct Identity {
    /// Issuer and audience of tokens, audience of device assertions.
    pub server_name: String,
    pub(super) settings: IdentitySettings,
    pub(super) access: AccessTokens,
    pub(super) hasher: Hasher,
    pub(super) setup: SetUp,
    pub(super) superseded: Superseded,
    pub(super) users: Remembered<UserId, UserStanding>,
    /// Whose a session is, and until when. One that is not in the store has ended.
    pub(super) sessions: Remembered<SessionId, (UserId, Timestamp)>,
    pub(super) api_keys: Remembered<ApiKeyId, KeyStanding>,
    pub(super) logins_by_address: Attempts<u128>,
    pub(super) logins_by_account: Attempts<Digest>,
    pub(super) enrolments: Attempts<u128>,
    /// Held while the admins change: that one of them stays enabled is a rule over all accounts.
    pub(super) admins: tokio::sync::Mutex<()>,
    verified: Cache<[u8; 32], Verified>,
    no_roles: Arc<[RoleName]>,
}

impl Identity {
    /// Reads the key of access tokens, or makes it on the first start, and a set-up token while there is
    /// no account.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn open(
        store: &Store,
        context: &Context,
        server_name: &str,
        settings: IdentitySettings,
    ) -> Result<Self, IdentityError> {
        let fresh = Zeroizing::new(context.bytes::<SECRET_BYTES>());
        let seed = Zeroizing::new(store.create_server_secret(ACCESS_KEY, &*fresh).await?);
        let seed: &[u8; 32] = seed.as_slice().try_into().map_err(|_| IdentityError::Key)?;
        let hashing = context.clone();
        let hasher =
            tokio::task::spawn_blocking(move || Hasher::new(hashing)).await.map_err(|_| IdentityError::Key)??;
        let lifetime = Duration::from_secs(u64::from(ACCESS_LIFETIME_S));
        Ok(Self {
            server_name: server_name.to_owned(),
            access: AccessTokens::new(server_name, seed).map_err(|_| IdentityError::Key)?,
            hasher,
            setup: SetUp::open(store, context).await?,
            superseded: Superseded::default(),
            users: Remembered::default(),
            sessions: Remembered::default(),
            api_keys: Remembered::default(),
            logins_by_address: Attempts::new(settings.logins_per_address_minute, context.clone()),
            logins_by_account: Attempts::new(settings.logins_per_account_minute, context.clone()),
            enrolments: Attempts::new(settings.enrolments_per_address_minute, context.clone()),
            admins: tokio::sync::Mutex::new(()),
            verified: Cache::builder().max_capacity(MAX_VERIFIED).time_to_live(lifetime).build(),
            no_roles: Arc::from([]),
            settings,
        })
    }

    /// The set-up token, once, while there is no account: for whoever reads the server's first output.
    #[must_use]
    pub fn take_setup_token(&self) -> Option<SecretString> {
        self.setup.take()
    }

    /// The public keys of access tokens (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> access::Jwks {
        self.access.jwks()
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, TokenRefusal> {
        if token.len() > access::MAX_TOKEN_BYTES {
            return Err(TokenRefusal::Invalid);
        }
        let key = Digest::of(token.as_bytes()).0;
        if let Some(verified) = self.verified.get(&key) {
            return if now < verified.expires_at { Ok(verified) } else { Err(TokenRefusal::Expired) };
        }
        let verified = self.access.verify(token, now)?;
        self.verified.insert(key, verified);
        Ok(verified)
    }
}

impl App {
    /// Who presents `token`: an access token of a user or device, or an API key.
    ///
    /// # Errors
    /// [`AppError::Unauthenticated`] where it is not, or no longer, good.
    pub async fn authenticate(
        &self,
        token: &str,
        request_id: Option<RequestId>,
        address: Option<IpAddr>,
    ) -> Result<Caller, AppError> {
        let now = self.context.now();
        let (principal, roles, session) = if token
            .strip_prefix(API_KEY_PREFIX)
            .is_some_and(|rest| rest.starts_with('_'))
        {
            self.service(&SecretString::from(token), now).await?
        } else {
            let verified = self.identity.verify(token, now).map_err(|refusal| match refusal {
                TokenRefusal::Expired => {
                    AppError::unauthenticated("token-expired", "the access token has expired; renew it")
                }
                TokenRefusal::Invalid => AppError::unauthenticated("invalid-token", "the access token is not valid"),
            })?;
            match (verified.principal, verified.session) {
                (Principal::User(user), Some(session)) => {
                    (verified.principal, self.user_roles(user, session, now).await?, Some(session))
                }
                (Principal::Device(device), None) => {
                    self.require_active(device)?;
                    (verified.principal, self.identity.no_roles.clone(), None)
                }
                (
                    Principal::User(_)
                    | Principal::Device(_)
                    | Principal::Service(_)
                    | Principal::Anonymous
                    | Principal::System,
                    _,
                ) => {
                    return Err(AppError::unauthenticated("invalid-token", "the access token is not valid"));
                }
            }
        };
        Ok(Caller { principal, roles, session, request_id, trace_id: None, address })
    }

    /// A device's standing comes from memory: a blocked one is refused with its very next call.
    fn require_active(&self, device: DeviceId) -> Result<(), AppError> {
        if self.fleet.status(device) == Some(DeviceStatus::Active) {
            return Ok(());
        }
        Err(AppError::unauthenticated("device-not-active", "the device is blocked, retired or not yet admitted"))
    }

    async fn user_roles(&self, user: UserId, session: SessionId, now: Timestamp) -> Result<Arc<[RoleName]>, AppError> {
        let ended = || AppError::unauthenticated("session-ended", "the session has ended; log in again");
        let read = async {
            self.store.session(session).await.map(|found| found.map(|found| (found.user_id, found.expires_at)))
        };
        let (owner, expires_at) = self.identity.sessions.get(session, read).await?.ok_or_else(ended)?;
        if owner != user || now >= expires_at {
            return Err(ended());
        }
        let standing = self.user_standing(user).await?.ok_or_else(ended)?;
        if standing.disabled {
            return Err(AppError::unauthenticated("account-disabled", "the account is disabled"));
        }
        Ok(standing.roles)
    }

    async fn service(
        &self,
        key: &SecretString,
        now: Timestamp,
    ) -> Result<(Principal, Arc<[RoleName]>, Option<SessionId>), AppError> {
        let refused =
            || AppError::unauthenticated("invalid-api-key", "the API key is not valid, was revoked or has expired");
        let presented = presented(API_KEY_PREFIX, key).ok_or_else(refused)?;
        let id = ApiKeyId(presented.id);
        let standing = self.key_standing(id).await?.ok_or_else(refused)?;
        if standing.has_expired(now) || !same(&standing.digest, &presented.digest) {
            return Err(refused());
        }
        Ok((Principal::Service(id), standing.roles, None))
    }

    async fn user_standing(&self, user: UserId) -> Result<Option<UserStanding>, StoreError> {
        let read = async {
            let found = self.store.user(user).await?;
            Ok::<_, StoreError>(found.map(|found| UserStanding { roles: found.roles.into(), disabled: found.disabled }))
        };
        self.identity.users.get(user, read).await
    }

    async fn key_standing(&self, key: ApiKeyId) -> Result<Option<KeyStanding>, StoreError> {
        let read = async {
            let found = self.store.api_key(key).await?;
            Ok::<_, StoreError>(found.and_then(|found| {
                Some(KeyStanding {
                    digest: found.secret_digest?,
                    roles: found.roles.into(),
                    expires_at: found.expires_at,
                })
            }))
        };
        self.identity.api_keys.get(key, read).await
    }
}
