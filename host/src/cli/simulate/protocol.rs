//! Owns the device protocol as a device speaks it: enrolment, signed assertions, heartbeats, downloads, reports.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::{Signer, SigningKey};
use kernex_model::device::{DeviceStatus, Health};
use kernex_model::digest::Digest;
use kernex_model::id::{BundleId, DeviceId};
use kernex_model::report::{Command, CommandBundle, Report};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::World;
use crate::cli::ApiError;

/// How long an assertion is good for, in seconds.
const ASSERTION_LIFE_S: i64 = 120;
/// A token is renewed this long before it expires.
const RENEW_BEFORE: Duration = Duration::from_secs(60);
/// RFC 7523.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// What enrolment answers, as far as a device cares.
#[derive(Debug, Deserialize)]
pub(crate) struct Enrolled {
    /// Its identifier.
    pub(crate) id: DeviceId,
    /// Whether it may work.
    pub(crate) status: DeviceStatus,
}

/// A token and when to ask for the next.
pub(crate) struct Token {
    text: String,
    renew: Instant,
}

/// What a heartbeat says.
#[derive(Debug, Serialize)]
pub(crate) struct Beat<'a> {
    /// Only when they have changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) facts: Option<&'a serde_json::Value>,
    /// What runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bundle_id: Option<BundleId>,
    /// The config that is applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) config_version: Option<u64>,
    /// How well it is.
    pub(crate) health: Health,
}

/// What a heartbeat is answered.
#[derive(Debug, Deserialize)]
pub(crate) struct Orders {
    /// Seconds until the next heartbeat.
    pub(crate) next_poll_s: f64,
    /// What to do.
    pub(crate) commands: Vec<Command>,
}

/// The public key as it is sent.
pub(crate) fn public_key(key: &SigningKey) -> Result<String, ApiError> {
    key.verifying_key().to_public_key_pem(LineEnding::LF).map_err(|error| ApiError::Unreadable(error.to_string()))
}

/// Enrols, or finds again what the same key enrolled before.
pub(crate) async fn enrol(world: &World, number: u32, key: &SigningKey) -> Result<Enrolled, ApiError> {
    let body = serde_json::json!({
        "public_key": public_key(key)?,
        "name": format!("simulated {number}"),
        "model": model(number),
        "facts": facts(number),
    });
    let _permit = world.permit().await;
    world.api.post("/api/v1/devices", None, &body).await
}

/// The hardware of a simulated device: one in ten is of an older kind.
pub(crate) fn model(number: u32) -> &'static str {
    if number.is_multiple_of(10) { "sim-1" } else { "sim-2" }
}

/// What a simulated device says about itself.
pub(crate) fn facts(number: u32) -> serde_json::Value {
    serde_json::json!({ "os": "linux", "arch": "aarch64", "serial": format!("SIM-{number:06}") })
}

/// Gets a token for an assertion that is signed with the device's key.
pub(crate) async fn token(world: &World, device: DeviceId, key: &SigningKey) -> Result<Token, ApiError> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: String,
        expires_in: u64,
    }
    let now = chrono::Utc::now().timestamp();
    let claims = serde_json::json!({
        "iss": device, "sub": device, "aud": world.options.audience,
        "iat": now, "exp": now + ASSERTION_LIFE_S, "jti": ulid::Ulid::new().to_string(),
    });
    let body = serde_json::json!({ "grant_type": JWT_BEARER, "assertion": sign(key, &claims) });
    let _permit = world.permit().await;
    let answer: Answer = world.api.post("/api/v1/device/token", None, &body).await?;
    let life = Duration::from_secs(answer.expires_in).saturating_sub(RENEW_BEFORE);
    Ok(Token { text: answer.access_token, renew: Instant::now() + life })
}

/// A compact JWS with EdDSA (RFC 8037).
fn sign(key: &SigningKey, claims: &serde_json::Value) -> String {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let signed = format!("{}.{}", part(r#"{"alg":"EdDSA","typ":"JWT"}"#), part(&claims.to_string()));
    let signature = key.sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

impl Token {
    /// What stands behind `Bearer`.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is good for a while yet.
    pub(crate) fn is_fresh(&self) -> bool {
        Instant::now() < self.renew
    }
}

/// One heartbeat.
pub(crate) async fn heartbeat(world: &World, token: &Token, beat: &Beat<'_>) -> Result<Orders, ApiError> {
    let _permit = world.permit().await;
    world.api.post("/api/v1/device/heartbeat", Some(token.as_str()), beat).await
}

/// One report. What the answer says does not matter to a device.
pub(crate) async fn report(world: &World, token: &Token, report: &Report) -> Result<(), ApiError> {
    let _permit = world.permit().await;
    let _: serde::de::IgnoredAny = world.api.post("/api/v1/device/reports", Some(token.as_str()), report).await?;
    Ok(())
}

/// Downloads a bundle and forgets its bytes; gives their number and digest.
pub(crate) async fn download(world: &World, token: &Token, bundle: &CommandBundle) -> Result<(u64, Digest), ApiError> {
    let _permit = world.permit().await;
    let request = world.api.request(Method::GET, &bundle.download_path, Some(token.as_str()))?;
    let mut response = world.api.send(request).await?;
    let mut hasher = Sha256::new();
    let mut size = 0_u64;
    while let Some(chunk) = response.chunk().await.map_err(|error| ApiError::Transport(error.to_string()))? {
        hasher.update(&chunk);
        size += chunk.len() as u64;
    }
    Ok((size, Digest(hasher.finalize().into())))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::Verifier;

    use super::*;

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
