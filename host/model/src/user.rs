//! Owns people and services: accounts, their sessions and API keys. Secrets appear as digests only.

use poem_openapi::Object;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{ApiKeyId, SessionId, UserId};
use crate::name::{ApiKeyName, Email, RoleName, Username};
use crate::time::Timestamp;

/// Roles one principal may have.
pub const MAX_ROLES: usize = 16;

/// A person's account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct User {
    /// Identifier.
    pub id: UserId,
    /// Short name, unique without regard to case.
    pub username: Username,
    /// E-mail address, unique without regard to case.
    pub email: Email,
    /// What the authorization policy grants actions to.
    pub roles: Vec<RoleName>,
    /// A disabled account cannot log in and its tokens no longer work.
    pub disabled: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Optimistic-concurrency counter; the ETag.
    pub revision: u64,
}

/// A user's password, apart from [`User`] so that no answer can carry it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Password {
    /// Whose it is.
    pub user_id: UserId,
    /// argon2id in PHC string form.
    pub phc: String,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// One login: an access token and a family of refresh tokens, of which only the newest is good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct Session {
    /// Identifier.
    pub id: SessionId,
    /// Whose login it is.
    pub user_id: UserId,
    /// Digest of the one refresh token that is good. Any other of this session ends it.
    #[oai(skip)]
    pub refresh_digest: Option<Digest>,
    /// Where the login came from, as the connection showed it.
    pub address: Option<String>,
    /// When the user logged in.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub refreshed_at: Timestamp,
    /// When its refresh token expires.
    pub expires_at: Timestamp,
    /// Optimistic-concurrency counter.
    pub revision: u64,
}

/// A key for a service. The key itself is shown once, when it is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct ApiKey {
    /// Identifier; the key's text begins with it.
    pub id: ApiKeyId,
    /// Name for people.
    pub name: ApiKeyName,
    /// What the authorization policy grants actions to.
    pub roles: Vec<RoleName>,
    /// Digest of the key's secret part: it is random, so a plain digest is enough.
    #[oai(skip)]
    pub secret_digest: Option<Digest>,
    /// Who made it.
    pub created_by: crate::principal::Principal,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working; never, where absent.
    pub expires_at: Option<Timestamp>,
    /// Optimistic-concurrency counter.
    pub revision: u64,
}
