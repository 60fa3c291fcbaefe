//! Owns devices' public keys: which kinds are taken, and how a signature is checked with one.

use jsonwebtoken::{Algorithm, DecodingKey};
use kernex_model::digest::Digest;
use p256::elliptic_curve::sec1::ToEncodedPoint;
use rsa::BigUint;
use rsa::pkcs8::{DecodePublicKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;

/// Smallest RSA modulus, in bits.
pub const MIN_RSA_BITS: usize = 2_048;
/// Largest RSA modulus, in bits.
pub const MAX_RSA_BITS: usize = 4_096;
/// Smallest RSA exponent (NIST SP 800-56B).
pub const MIN_RSA_EXPONENT: u32 = 65_537;
/// Longest PEM text, in bytes.
pub const MAX_PEM_BYTES: usize = 4_096;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";

/// Why a key is not taken. The key itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// Not PEM, or no SubjectPublicKeyInfo.
    #[error("not a public key in PEM form (SubjectPublicKeyInfo, `BEGIN PUBLIC KEY`)")]
    Form,
    /// A private key: it must stay on the device.
    #[error("this is a private key; send the public key and make a new pair, for this one has left the device")]
    Private,
    /// Another kind of key.
    #[error("the key must be RSA of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, ECDSA on P-256, or Ed25519")]
    Kind,
    /// RSA of another size.
    #[error("an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits and an odd exponent of at least {MIN_RSA_EXPONENT}")]
    RsaSize,
}

/// A device's public key, of a kind that is taken.
#[derive(Debug, Clone)]
pub struct DeviceKey {
    algorithm: Algorithm,
    verifying: DecodingKey,
    /// The one PEM form of the key, however it was sent.
    pub pem: String,
    /// SHA-256 of its DER form.
    pub digest: Digest,
}

impl DeviceKey {
    /// Reads a PEM text.
    ///
    /// # Errors
    /// [`KeyRefusal`].
    pub fn parse(pem: &str) -> Result<Self, KeyRefusal> {
        let pem = pem.trim();
        if pem.len() > MAX_PEM_BYTES {
            return Err(KeyRefusal::Form);
        }
        if pem.contains("PRIVATE KEY") {
            return Err(KeyRefusal::Private);
        }
        if !pem.starts_with(BEGIN) {
            return Err(KeyRefusal::Form);
        }
        if let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_pem(pem) {
            if key.is_weak() {
                return Err(KeyRefusal::Kind);
            }
            return Self::new(&key, Algorithm::EdDSA, DecodingKey::from_ed_der(key.as_bytes()));
        }
        if let Ok(key) = p256::PublicKey::from_public_key_pem(pem) {
            let point = key.to_encoded_point(false);
            return Self::new(&key, Algorithm::ES256, DecodingKey::from_ec_der(point.as_bytes()));
        }
        match rsa::RsaPublicKey::from_public_key_pem(pem) {
            Ok(key) => {
                let bits = (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&key.n().bits());
                let odd = |number: &BigUint| number.to_bytes_le().first().is_some_and(|byte| byte & 1 == 1);
                if !bits || *key.e() < BigUint::from(MIN_RSA_EXPONENT) || !odd(key.e()) || !odd(key.n()) {
                    return Err(KeyRefusal::RsaSize);
                }
                let verifying = DecodingKey::from_rsa_raw_components(&key.n().to_bytes_be(), &key.e().to_bytes_be());
                Self::new(&key, Algorithm::RS256, verifying)
            }
            Err(rsa::pkcs8::spki::Error::Asn1(_)) => Err(KeyRefusal::Form),
            // The library takes no modulus beyond 4,096 bits.
            Err(rsa::pkcs8::spki::Error::KeyMalformed) => Err(KeyRefusal::RsaSize),
            Err(_) => Err(KeyRefusal::Kind),
        }
    }

    fn new(key: &impl EncodePublicKey, algorithm: Algorithm, verifying: DecodingKey) -> Result<Self, KeyRefusal> {
        let der = key.to_public_key_der().map_err(|_| KeyRefusal::Form)?;
        let pem = key.to_public_key_pem(rsa::pkcs8::LineEnding::LF).map_err(|_| KeyRefusal::Form)?;
        Ok(Self { algorithm, verifying, pem, digest: Digest::of(der.as_bytes()) })
    }

    /// The one algorithm that a signature with this key has.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// For checking signatures.
    #[must_use]
    pub fn verifying(&self) -> &DecodingKey {
        &self.verifying
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const P256: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQ3vKZNeyz3A8kr7Xz+hZMqUVkGOm\nyyyy\n-----END PUBLIC KEY-----\n";

    fn ed25519() -> String {
        let key = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
        key.verifying_key().to_public_key_pem(rsa::pkcs8::LineEnding::LF).expect("a PEM text")
    }

    #[test]
    fn one_key_has_one_form() {
        let key = DeviceKey::parse(&ed25519()).expect("a good key");
        assert_eq!(key.algorithm(), Algorithm::EdDSA);
        let bent = format!("  {}\n\n", ed25519().replace('\n', "\r\n"));
        let again = DeviceKey::parse(&bent).expect("the same key");
        assert_eq!((again.digest, again.pem), (key.digest, key.pem));
    }

    #[test]
    fn a_p256_key_is_taken() {
        let secret = p256::SecretKey::from_slice(&[5; 32]).expect("a scalar");
        let pem = secret.public_key().to_public_key_pem(rsa::pkcs8::LineEnding::LF).expect("a PEM text");
        assert_eq!(DeviceKey::parse(&pem).expect("a good key").algorithm(), Algorithm::ES256);
    }

    #[test]
    fn rsa_has_a_size() {
        // Only the form counts here, so the modulus need not be a product of two primes.
        let rsa = |bits: usize, exponent: u32| {
            let mut bytes = vec![0xFF_u8; bits / 8];
            bytes[bits / 8 - 1] = 0x01;
            let key = rsa::RsaPublicKey::new_unchecked(BigUint::from_bytes_be(&bytes), BigUint::from(exponent));
            DeviceKey::parse(&key.to_public_key_pem(rsa::pkcs8::LineEnding::LF).expect("a PEM text"))
                .map(|key| key.algorithm())
        };
        assert_eq!(rsa(2_048, 65_537), Ok(Algorithm::RS256));
        assert_eq!(rsa(3_072, 65_537), Ok(Algorithm::RS256));
        assert_eq!(rsa(4_096, 65_537), Ok(Algorithm::RS256));
        for (bits, exponent) in
            [(1_024, 65_537), (2_040, 65_537), (4_104, 65_537), (8_192, 65_537), (2_048, 3), (2_048, 65_538)]
        {
            assert_eq!(rsa(bits, exponent), Err(KeyRefusal::RsaSize), "{bits} {exponent}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let p384 = "-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq\nqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq\nqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq\n-----END PUBLIC KEY-----\n";
        for (pem, refusal) in [
            ("", KeyRefusal::Form),
            ("hello", KeyRefusal::Form),
            (P256, KeyRefusal::Form),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", KeyRefusal::Form),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", KeyRefusal::Private),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", KeyRefusal::Form),
            (p384, KeyRefusal::Kind),
            (&"x".repeat(MAX_PEM_BYTES + 1), KeyRefusal::Form),
        ] {
            let refused = DeviceKey::parse(pem).expect_err(pem);
            assert!(refused == refusal || (pem == P256 && refused == KeyRefusal::Kind), "{pem}: {refused:?}");
        }
    }
}
