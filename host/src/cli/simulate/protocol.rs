//! Owns the device protocol as a device speaks it: enrolment, signed assertions, heartbeats, downloads, reports.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::{Signer, SigningKey};
use futures_util::TryStreamExt;
use kernex_client::types::{
    CommandBundle, Device, DeviceTokenRequest, DeviceTokenRequestGrantType, EnrolmentRequest,
    EnrolmentRequestFactsValue, Heartbeat, HeartbeatReply, Report,
};
use kernex_client::{Bearer, Client};
use kernex_model::digest::Digest;
use sha2::{Digest as _, Sha256};

use super::World;
use crate::cli::ApiError;

/// How long an assertion is good for, in seconds.
const ASSERTION_LIFE_S: i64 = 120;
/// A token is renewed this long before it expires.
const RENEW_BEFORE: Duration = Duration::from_secs(60);
/// How long a download may stand still.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a device's calls are made with, and when it needs another one.
pub(crate) struct Session {
    client: Client,
    renew: Instant,
}

/// The public key as it is sent.
pub(crate) fn public_key(key: &SigningKey) -> Result<String, ApiError> {
    key.verifying_key().to_public_key_pem(LineEnding::LF).map_err(|error| ApiError::Unreadable(error.to_string()))
}

/// Enrols, or finds again what the same key enrolled before.
pub(crate) async fn enrol(world: &World, number: u32, key: &SigningKey) -> Result<Device, ApiError> {
    let body = EnrolmentRequest {
        public_key: public_key(key)?,
        name: Some(format!("simulated {number}")),
        model: Some(model(number).to_owned()),
        facts: Some(
            facts(number).map(|(name, text)| (name.to_owned(), EnrolmentRequestFactsValue::String(text))).into(),
        ),
        key_id: None,
    };
    let client = world.api.client(Bearer::nobody());
    let _permit = world.permit().await;
    world.api.patiently(|| async { Ok(client.enrol_device(None, &body).await?.into_inner()) }).await
}

/// The hardware of a simulated device: one in ten is of an older kind.
pub(crate) fn model(number: u32) -> &'static str {
    if number.is_multiple_of(10) { "sim-1" } else { "sim-2" }
}

/// What a simulated device says about itself.
pub(crate) fn facts(number: u32) -> [(&'static str, String); 3] {
    [("os", "linux".to_owned()), ("arch", "aarch64".to_owned()), ("serial", format!("SIM-{number:06}"))]
}

/// Gets a token for an assertion that is signed with the device's key.
pub(crate) async fn log_in(world: &World, device: &str, key: &SigningKey) -> Result<Session, ApiError> {
    let now = chrono::Utc::now().timestamp();
    let claims = serde_json::json!({
        "iss": device, "sub": device, "aud": world.options.audience,
        "iat": now, "exp": now + ASSERTION_LIFE_S, "jti": ulid::Ulid::new().to_string(),
    });
    let grant_type = DeviceTokenRequestGrantType::UrnIetfParamsOauthGrantTypeJwtBearer;
    let body = DeviceTokenRequest { grant_type, assertion: sign(key, &claims) };
    let client = world.api.client(Bearer::nobody());
    let _permit = world.permit().await;
    let answer = world.api.patiently(|| async { Ok(client.issue_device_token(&body).await?.into_inner()) }).await?;
    let life = Duration::from_secs(answer.expires_in.into()).saturating_sub(RENEW_BEFORE);
    let bearer = Bearer::new(&answer.access_token).map_err(|error| ApiError::Unreadable(error.to_string()))?;
    Ok(Session { client: world.api.client(bearer), renew: Instant::now() + life })
}

/// A compact JWS with EdDSA (RFC 8037).
fn sign(key: &SigningKey, claims: &serde_json::Value) -> String {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let signed = format!("{}.{}", part(r#"{"alg":"EdDSA","typ":"JWT"}"#), part(&claims.to_string()));
    let signature = key.sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

impl Session {
    /// Whether its token is good for a while yet.
    pub(crate) fn is_fresh(&self) -> bool {
        Instant::now() < self.renew
    }

    /// One heartbeat.
    pub(crate) async fn heartbeat(&self, world: &World, beat: &Heartbeat) -> Result<HeartbeatReply, ApiError> {
        let _permit = world.permit().await;
        world.api.patiently(|| async { Ok(self.client.heartbeat(beat).await?.into_inner()) }).await
    }

    /// One report. What the answer says does not matter to a device.
    pub(crate) async fn report(&self, world: &World, report: &Report) -> Result<(), ApiError> {
        let _permit = world.permit().await;
        world.api.patiently(|| async { Ok(self.client.report(report).await.map(|_| ())?) }).await
    }

    /// Downloads a bundle and forgets its bytes; gives their number and digest.
    pub(crate) async fn download(&self, world: &World, bundle: &CommandBundle) -> Result<(u64, Digest), ApiError> {
        let _permit = world.permit().await;
        let asked = self.client.download_bundle_as_device(&bundle.id, None, None, None, None);
        let mut content = moving(IDLE_TIMEOUT, asked).await??.into_inner_stream();
        let mut hasher = Sha256::new();
        let mut size = 0_u64;
        while let Some(chunk) =
            moving(IDLE_TIMEOUT, content.try_next()).await?.map_err(|error| ApiError::Transport(error.to_string()))?
        {
            hasher.update(&chunk);
            size += chunk.len() as u64;
        }
        Ok((size, Digest(hasher.finalize().into())))
    }
}

/// The next step of a download. All of it may take as long as it takes, but a server that says nothing more must not
/// keep one of the calls that may be under way at the same time.
async fn moving<T>(patience: Duration, step: impl Future<Output = T>) -> Result<T, ApiError> {
    let waited = tokio::time::timeout(patience, step).await;
    waited.map_err(|_| ApiError::Transport(format!("the download stood still for {} seconds", patience.as_secs())))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::Verifier;

    use super::*;

    #[tokio::test]
    async fn a_download_that_stands_still_is_given_up() {
        let patience = Duration::from_millis(1);
        let error = moving(patience, std::future::pending::<()>()).await.expect_err("it never moves");
        assert!(error.to_string().contains("stood still") && error.passing().is_some(), "{error}");
        assert_eq!(moving(IDLE_TIMEOUT, std::future::ready(7)).await.expect("it moves"), 7);
    }

    #[test]
    fn an_assertion_is_signed_with_the_device_key() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let token = sign(&key, &serde_json::json!({ "sub": "dev" }));
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        let signature = ed25519_dalek::Signature::from_slice(&signature).expect("64 bytes");
        assert!(key.verifying_key().verify(signed.as_bytes(), &signature).is_ok());
        assert!(key.verifying_key().verify(b"something else", &signature).is_err());
        assert!(public_key(&key).expect("PEM").starts_with("-----BEGIN PUBLIC KEY-----"));
    }
}
