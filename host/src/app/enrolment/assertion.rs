//! Owns device assertions (RFC 7523): a JWT that the device signed, good once and for five minutes at most.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Validation;
use kernex_model::digest::Digest;
use kernex_model::id::DeviceId;
use kernex_model::time::Timestamp;
use serde::Deserialize;

use super::device_key::DeviceKey;

/// How far ahead an assertion may expire, in seconds.
pub const MAX_ASSERTION_S: i64 = 300;
/// How much a device's clock may be ahead of ours, in seconds.
pub const CLOCK_LEEWAY_S: i64 = 30;
/// Longest assertion, in bytes.
pub const MAX_ASSERTION_BYTES: usize = 4_096;
/// Longest `jti`, in bytes.
pub const MAX_JTI_BYTES: usize = 128;
/// Why an assertion is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssertionRefusal {
    /// Not a JWT for this, or not signed with the device's key.
    #[error(
        "the assertion is not valid: sign it with the device's key (RS256, ES256 or EdDSA, as the key is), with iss = sub = the device's id and aud = the server's name"
    )]
    Invalid,
    /// Its times do not fit.
    #[error(
        "the assertion is not good now: `exp` must lie ahead, by at most {MAX_ASSERTION_S} s, and `iat` not; check the device's clock"
    )]
    Time,
    /// It has no `jti`.
    #[error("the assertion needs a `jti` of 1 to {MAX_JTI_BYTES} bytes")]
    Unnamed,
    /// It was used before.
    #[error("the assertion was used before; sign a new one")]
    Replayed,
}

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    jti: String,
    exp: i64,
    iat: Option<i64>,
    nbf: Option<i64>,
}

/// The device that an assertion says it is from. Nothing is checked yet.
#[must_use]
pub fn claimed_device(assertion: &str) -> Option<DeviceId> {
    #[derive(Deserialize)]
    struct Subject {
        sub: String,
    }
    if assertion.len() > MAX_ASSERTION_BYTES {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Subject>(&payload).ok()?.sub.parse().ok()
}

/// An assertion that is good, unless it was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// What tells it from every other: the device and the `jti`.
    pub name: Digest,
    /// When it expires.
    pub ends: Timestamp,
}

/// Checks an assertion of `device` for `server`. Whether it is used for the first time, the store knows.
///
/// # Errors
/// [`AssertionRefusal`].
pub fn check(
    assertion: &str,
    device: DeviceId,
    key: &DeviceKey,
    server: &str,
    now: Timestamp,
) -> Result<Checked, AssertionRefusal> {
    if assertion.len() > MAX_ASSERTION_BYTES {
        return Err(AssertionRefusal::Invalid);
    }
    let id = device.to_string();
    // The key decides the algorithm; what the header says must be the same.
    let mut validation = Validation::new(key.algorithm());
    validation.set_issuer(&[&id]);
    validation.set_audience(&[server]);
    validation.sub = Some(id.clone());
    validation.required_spec_claims = HashSet::from(["iss", "sub", "aud", "exp"].map(str::to_owned));
    // Ours to check, against the clock of `Context`.
    validation.validate_exp = false;
    let claims = jsonwebtoken::decode::<Claims>(assertion, key.verifying(), &validation)
        .map_err(|_| AssertionRefusal::Invalid)?
        .claims;
    if claims.sub != id {
        return Err(AssertionRefusal::Invalid);
    }
    let secs = now.as_secs();
    let ahead = |time: i64| time > secs.saturating_add(CLOCK_LEEWAY_S);
    let late = claims.exp <= secs || claims.exp > secs.saturating_add(MAX_ASSERTION_S + CLOCK_LEEWAY_S);
    if late || claims.iat.is_some_and(ahead) || claims.nbf.is_some_and(ahead) {
        return Err(AssertionRefusal::Time);
    }
    if claims.jti.is_empty() || claims.jti.len() > MAX_JTI_BYTES {
        return Err(AssertionRefusal::Unnamed);
    }
    Ok(Checked {
        name: Digest::of_parts(&[id.as_bytes(), claims.jti.as_bytes()]),
        ends: Timestamp::from_millis(claims.exp.saturating_mul(1_000)),
    })
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _};
    use jsonwebtoken::{Algorithm, EncodingKey, Header};
    use kernex_model::id::Ulid;
    use serde_json::{Value, json};

    use super::*;

    struct Device {
        key: DeviceKey,
        signing: EncodingKey,
        algorithm: Algorithm,
    }

    const DEVICE: DeviceId = DeviceId(Ulid(1));

    fn now() -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
    }

    fn ed25519(seed: u8) -> Device {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        let pem = key.verifying_key().to_public_key_pem(rsa::pkcs8::LineEnding::LF).expect("a PEM text");
        let der = key.to_pkcs8_der().expect("a DER form");
        Device {
            key: DeviceKey::parse(&pem).expect("a key"),
            signing: EncodingKey::from_ed_der(der.as_bytes()),
            algorithm: Algorithm::EdDSA,
        }
    }

    fn p256() -> Device {
        let key = p256::SecretKey::from_slice(&[5; 32]).expect("a scalar");
        let pem = key.public_key().to_public_key_pem(rsa::pkcs8::LineEnding::LF).expect("a PEM text");
        let der = key.to_pkcs8_der().expect("a DER form");
        Device {
            key: DeviceKey::parse(&pem).expect("a key"),
            signing: EncodingKey::from_ec_der(der.as_bytes()),
            algorithm: Algorithm::ES256,
        }
    }

    fn rsa() -> Device {
        let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2_048).expect("a key");
        let pem = key.to_public_key().to_public_key_pem(rsa::pkcs8::LineEnding::LF).expect("a PEM text");
        let der = rsa::pkcs1::EncodeRsaPrivateKey::to_pkcs1_der(&key).expect("a DER form");
        Device {
            key: DeviceKey::parse(&pem).expect("a key"),
            signing: EncodingKey::from_rsa_der(der.as_bytes()),
            algorithm: Algorithm::RS256,
        }
    }

    fn claims(change: impl FnOnce(&mut Value)) -> Value {
        let secs = now().as_secs();
        let mut claims =
            json!({"iss": DEVICE, "sub": DEVICE, "aud": "kernex", "jti": "one", "iat": secs, "exp": secs + 60});
        change(&mut claims);
        claims
    }

    fn ask(device: &Device, claims: &Value) -> Result<Checked, AssertionRefusal> {
        let assertion = jsonwebtoken::encode(&Header::new(device.algorithm), claims, &device.signing).expect("signed");
        check(&assertion, DEVICE, &device.key, "kernex", now())
    }

    #[test]
    fn a_good_assertion_is_known_by_its_device_and_name() {
        for device in [ed25519(1), p256(), rsa()] {
            let one = ask(&device, &claims(|_| {})).expect("good");
            assert_eq!(one.ends, now().plus_secs(60));
            assert_eq!(ask(&device, &claims(|_| {})), Ok(one));
            let two = ask(&device, &claims(|claims| claims["jti"] = "two".into())).expect("good");
            assert_ne!(one.name, two.name);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let secs = now().as_secs();
        let cases: [(&str, Value, AssertionRefusal); 12] = [
            ("iss", claims(|c| c["iss"] = "somebody".into()), AssertionRefusal::Invalid),
            ("sub", claims(|c| c["sub"] = json!(DeviceId(Ulid(2)))), AssertionRefusal::Invalid),
            ("aud", claims(|c| c["aud"] = "other".into()), AssertionRefusal::Invalid),
            ("no aud", claims(|c| drop(c.as_object_mut().map(|c| c.remove("aud")))), AssertionRefusal::Invalid),
            ("no exp", claims(|c| drop(c.as_object_mut().map(|c| c.remove("exp")))), AssertionRefusal::Invalid),
            ("expired", claims(|c| c["exp"] = secs.into()), AssertionRefusal::Time),
            ("too long", claims(|c| c["exp"] = (secs + 331).into()), AssertionRefusal::Time),
            ("from the future", claims(|c| c["iat"] = (secs + 31).into()), AssertionRefusal::Time),
            ("not yet", claims(|c| c["nbf"] = (secs + 31).into()), AssertionRefusal::Time),
            ("no jti", claims(|c| drop(c.as_object_mut().map(|c| c.remove("jti")))), AssertionRefusal::Unnamed),
            ("empty jti", claims(|c| c["jti"] = "".into()), AssertionRefusal::Unnamed),
            ("long jti", claims(|c| c["jti"] = "x".repeat(129).into()), AssertionRefusal::Unnamed),
        ];
        for (name, claims, refusal) in cases {
            assert_eq!(ask(&ed25519(1), &claims), Err(refusal), "{name}");
        }
    }

    #[test]
    fn the_key_decides_the_algorithm() {
        let (device, other) = (ed25519(1), ed25519(2));
        let stolen = Device { key: device.key.clone(), signing: other.signing, algorithm: Algorithm::EdDSA };
        assert_eq!(ask(&stolen, &claims(|_| {})), Err(AssertionRefusal::Invalid));
        let hmac = Device {
            key: device.key.clone(),
            signing: EncodingKey::from_secret(device.key.pem.as_bytes()),
            algorithm: Algorithm::HS256,
        };
        assert_eq!(ask(&hmac, &claims(|_| {})), Err(AssertionRefusal::Invalid));
        let crossed = Device { key: device.key.clone(), ..p256() };
        assert_eq!(ask(&crossed, &claims(|_| {})), Err(AssertionRefusal::Invalid));
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let unsigned = format!("{}.{}.", part(json!({"alg": "none"})), part(claims(|_| {})));
        assert_eq!(check(&unsigned, DEVICE, &device.key, "kernex", now()), Err(AssertionRefusal::Invalid));
        assert_eq!(claimed_device(&unsigned), Some(DEVICE));
        assert_eq!(claimed_device("x.y.z"), None);
    }
}
