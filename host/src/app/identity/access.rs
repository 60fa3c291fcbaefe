//! Owns access tokens: JWTs signed with the server's own Ed25519 key, checked against a time that the caller gives.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use kernex_model::digest::Digest;
use kernex_model::id::{SessionId, Ulid};
use kernex_model::principal::Principal;
use kernex_model::time::Timestamp;
use poem_openapi::Object;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How long an access token works, in seconds.
pub const ACCESS_LIFETIME_S: u32 = 3_600;
/// Longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 4_096;
/// What kind of JWT an access token is (RFC 9068); nothing else that this key signs is taken for one.
const ACCESS_TYPE: &str = "at+jwt";
/// What kind of JWT an invitation is.
const INVITATION_TYPE: &str = "invitation+jwt";

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// It was never ours, or not for this.
    #[error("the token is not valid")]
    Invalid,
    /// It was.
    #[error("the token has expired")]
    Expired,
}

/// What an access token says, once its signature is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Whose it is.
    pub principal: Principal,
    /// The login it belongs to, for a user.
    pub session: Option<SessionId>,
    /// From then on it does not work.
    pub expires_at: Timestamp,
}

/// The public keys of access tokens, as RFC 7517 writes them.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub struct Jwks {
    /// One for now.
    pub keys: Vec<Jwk>,
}

/// The public half of an Ed25519 key, as RFC 8037 writes it.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub struct Jwk {
    /// Always `OKP`.
    pub kty: String,
    /// Always `Ed25519`.
    pub crv: String,
    /// Always `EdDSA`.
    pub alg: String,
    /// Always `sig`.
    #[oai(rename = "use")]
    pub purpose: String,
    /// Names the key, as the headers of tokens do.
    pub kid: String,
    /// The key's 32 bytes in base64url.
    pub x: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<SessionId>,
    jti: String,
    iat: i64,
    exp: i64,
}

/// The server's key for tokens, and what is said in them.
pub struct AccessTokens {
    server: String,
    kid: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    public: [u8; 32],
}

impl std::fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessTokens").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl AccessTokens {
    /// From the 32 secret bytes of an Ed25519 key; `server` is issuer and audience.
    ///
    /// # Errors
    /// Where the key has no PKCS #8 form, which every key has.
    pub fn new(server: &str, seed: &[u8; 32]) -> Result<Self, ed25519_dalek::pkcs8::Error> {
        let key = SigningKey::from_bytes(seed);
        let public = key.verifying_key().to_bytes();
        Ok(Self {
            server: server.to_owned(),
            kid: Digest::of(&public).to_string().chars().take(16).collect(),
            signing: EncodingKey::from_ed_der(key.to_pkcs8_der()?.as_bytes()),
            verifying: DecodingKey::from_ed_der(&public),
            public,
        })
    }

    /// A token for `principal`, good until `expires_at`.
    ///
    /// # Errors
    /// Where signing fails.
    pub fn issue(
        &self,
        principal: Principal,
        session: Option<SessionId>,
        jti: Ulid,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = Claims {
            iss: self.server.clone(),
            aud: self.server.clone(),
            sub: principal.to_string(),
            sid: session,
            jti: jti.to_string(),
            iat: now.as_secs(),
            exp: expires_at.as_secs(),
        };
        self.sign(ACCESS_TYPE, &claims)
    }

    /// What `token` says, if we signed it for this and it has not expired.
    ///
    /// # Errors
    /// [`TokenRefusal`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, TokenRefusal> {
        let claims: Claims = self.read(ACCESS_TYPE, token)?;
        let principal: Principal = claims.sub.parse().map_err(|_| TokenRefusal::Invalid)?;
        match (principal, claims.sid) {
            (Principal::User(_), Some(_)) | (Principal::Device(_), None) => {}
            (
                Principal::User(_)
                | Principal::Device(_)
                | Principal::Service(_)
                | Principal::Anonymous
                | Principal::System,
                _,
            ) => {
                return Err(TokenRefusal::Invalid);
            }
        }
        if now.as_secs() >= claims.exp {
            return Err(TokenRefusal::Expired);
        }
        Ok(Verified {
            principal,
            session: claims.sid,
            expires_at: Timestamp::from_millis(claims.exp.saturating_mul(1_000)),
        })
    }

    /// A signed invitation with any claims of the caller's.
    ///
    /// # Errors
    /// Where signing fails.
    pub fn sign_invitation<T: Serialize>(&self, claims: &T) -> Result<String, jsonwebtoken::errors::Error> {
        self.sign(INVITATION_TYPE, claims)
    }

    /// The claims of an invitation that we signed. Its time is the caller's to check.
    ///
    /// # Errors
    /// [`TokenRefusal::Invalid`].
    pub fn read_invitation<T: DeserializeOwned>(&self, token: &str) -> Result<T, TokenRefusal> {
        self.read(INVITATION_TYPE, token)
    }

    fn sign<T: Serialize>(&self, kind: &str, claims: &T) -> Result<String, jsonwebtoken::errors::Error> {
        let header =
            Header { typ: Some(kind.to_owned()), kid: Some(self.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &self.signing)
    }

    fn read<T: DeserializeOwned>(&self, kind: &str, token: &str) -> Result<T, TokenRefusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenRefusal::Invalid);
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&self.server]);
        validation.set_audience(&[&self.server]);
        validation.required_spec_claims = HashSet::from(["iss", "aud", "exp"].map(str::to_owned));
        // Ours to check, against the clock of `Context`.
        validation.validate_exp = false;
        let data = jsonwebtoken::decode::<T>(token, &self.verifying, &validation).map_err(|_| TokenRefusal::Invalid)?;
        let ours = data.header.typ.as_deref() == Some(kind) && data.header.kid.as_deref() == Some(&*self.kid);
        if ours { Ok(data.claims) } else { Err(TokenRefusal::Invalid) }
    }

    /// The public keys.
    #[must_use]
    pub fn jwks(&self) -> Jwks {
        let key = Jwk {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            alg: "EdDSA".to_owned(),
            purpose: "sig".to_owned(),
            kid: self.kid.clone(),
            x: URL_SAFE_NO_PAD.encode(self.public),
        };
        Jwks { keys: vec![key] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernex_model::id::{DeviceId, UserId};
    use poem_openapi::types::ToJSON;

    const NOW: Timestamp = Timestamp::MAX;

    fn now() -> Timestamp {
        "2026-11-21T15:00:00Z".parse().expect("a time")
    }

    fn tokens(server: &str, seed: u8) -> AccessTokens {
        AccessTokens::new(server, &[seed; 32]).expect("a key")
    }

    fn user_token(tokens: &AccessTokens) -> String {
        let (user, session) = (Principal::User(UserId(Ulid(7))), Some(SessionId(Ulid(8))));
        tokens.issue(user, session, Ulid(9), now(), now().plus_secs(ACCESS_LIFETIME_S)).expect("signed")
    }

    fn claims(server: &str) -> serde_json::Value {
        serde_json::json!({"iss": server, "aud": server, "sub": UserId(Ulid(7)), "sid": SessionId(Ulid(8)), "jti": "x", "iat": 0, "exp": 9_999_999_999_i64})
    }

    #[test]
    fn what_was_issued_is_taken_until_it_expires() {
        let tokens = tokens("kernex", 1);
        let token = user_token(&tokens);
        let verified = tokens.verify(&token, now()).expect("ours");
        assert_eq!(verified.principal, Principal::User(UserId(Ulid(7))));
        assert_eq!(verified.session, Some(SessionId(Ulid(8))));
        assert!(tokens.verify(&token, now().plus_secs(ACCESS_LIFETIME_S - 1)).is_ok());
        assert_eq!(tokens.verify(&token, now().plus_secs(ACCESS_LIFETIME_S)), Err(TokenRefusal::Expired));
        assert_eq!(tokens.verify(&token, NOW), Err(TokenRefusal::Expired));
    }

    #[test]
    fn another_key_or_server_is_refused() {
        let token = user_token(&tokens("kernex", 1));
        assert_eq!(tokens("kernex", 2).verify(&token, now()), Err(TokenRefusal::Invalid));
        assert_eq!(tokens("other", 1).verify(&token, now()), Err(TokenRefusal::Invalid));
    }

    #[test]
    fn forged_algorithms_are_refused() {
        let tokens = tokens("kernex", 1);
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let unsigned = |alg: &str| {
            format!(
                "{}.{}.",
                part(serde_json::json!({"alg": alg, "typ": ACCESS_TYPE, "kid": tokens.kid})),
                part(claims("kernex"))
            )
        };
        for alg in ["none", "None", "EdDSA", "HS256"] {
            assert_eq!(tokens.verify(&unsigned(alg), now()), Err(TokenRefusal::Invalid), "{alg}");
        }
        // The public key as an HMAC secret: the oldest trick.
        let header = Header {
            typ: Some(ACCESS_TYPE.to_owned()),
            kid: Some(tokens.kid.clone()),
            ..Header::new(Algorithm::HS256)
        };
        let forged = jsonwebtoken::encode(&header, &claims("kernex"), &EncodingKey::from_secret(&tokens.public))
            .expect("signed");
        assert_eq!(tokens.verify(&forged, now()), Err(TokenRefusal::Invalid));
    }

    #[test]
    fn a_changed_token_is_refused() {
        let tokens = tokens("kernex", 1);
        let token = user_token(&tokens);
        let mut parts: Vec<&str> = token.split('.').collect();
        let other = URL_SAFE_NO_PAD.encode(claims("kernex").to_string());
        parts[1] = &other;
        assert_eq!(tokens.verify(&parts.join("."), now()), Err(TokenRefusal::Invalid));
        assert_eq!(tokens.verify(&"x".repeat(MAX_TOKEN_BYTES + 1), now()), Err(TokenRefusal::Invalid));
    }

    #[test]
    fn other_things_that_the_key_signs_are_no_access_tokens() {
        let tokens = tokens("kernex", 1);
        let invitation = tokens.sign_invitation(&claims("kernex")).expect("signed");
        assert_eq!(tokens.verify(&invitation, now()), Err(TokenRefusal::Invalid));
        assert!(tokens.read_invitation::<serde_json::Value>(&user_token(&tokens)).is_err());
        // Signed by us, but for nobody who can have a token of this form.
        for sub in ["anonymous", "system", "key_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D"] {
            let mut claims = claims("kernex");
            claims["sub"] = sub.into();
            let token = tokens.sign(ACCESS_TYPE, &claims).expect("signed");
            assert_eq!(tokens.verify(&token, now()), Err(TokenRefusal::Invalid), "{sub}");
        }
        let device = tokens
            .issue(Principal::Device(DeviceId(Ulid(1))), None, Ulid(2), now(), now().plus_secs(1))
            .expect("signed");
        assert!(tokens.verify(&device, now()).is_ok());
    }

    #[test]
    fn the_public_key_is_published_and_nothing_else() {
        let tokens = tokens("kernex", 1);
        let jwks = tokens.jwks().to_json_string();
        assert!(jwks.contains(&URL_SAFE_NO_PAD.encode(tokens.public)));
        assert!(!jwks.contains("\"d\"") && !format!("{tokens:?}").contains("signing"));
    }
}
