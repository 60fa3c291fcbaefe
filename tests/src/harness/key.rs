//! Owns the keys of test devices: Ed25519, P-256 and RSA, their PEM form, and signing with them.

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore;
use rsa::pkcs8::{EncodePublicKey, LineEnding};
use rsa::signature::{SignatureEncoding, Signer};
use serde_json::{Value, json};

/// Bits of the RSA key: the least that a server should take, because making one is slow.
const RSA_BITS: usize = 2_048;

/// A device's private key.
#[derive(Debug, Clone)]
pub enum DeviceKey {
    /// EdDSA.
    Ed25519(Box<ed25519_dalek::SigningKey>),
    /// ES256.
    P256(Box<p256::ecdsa::SigningKey>),
    /// RS256.
    Rsa(Arc<rsa::RsaPrivateKey>),
}

impl DeviceKey {
    /// A new Ed25519 key.
    #[must_use]
    pub fn ed25519() -> Self {
        Self::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&rand::random())))
    }

    /// A new P-256 key.
    #[must_use]
    pub fn p256() -> Self {
        loop {
            // All but a few of the numbers of 32 bytes are keys.
            let bytes: [u8; 32] = rand::random();
            if let Ok(key) = p256::ecdsa::SigningKey::from_slice(&bytes) {
                return Self::P256(Box::new(key));
            }
        }
    }

    /// An RSA key: always the same one in a process, because making one takes long.
    #[must_use]
    pub fn rsa() -> Self {
        static KEY: OnceLock<Arc<rsa::RsaPrivateKey>> = OnceLock::new();
        Self::Rsa(KEY.get_or_init(|| Arc::new(Self::rsa_of(RSA_BITS))).clone())
    }

    /// A new RSA key of any size.
    #[must_use]
    pub fn rsa_of(bits: usize) -> rsa::RsaPrivateKey {
        rsa::RsaPrivateKey::new(&mut Randomness, bits).expect("an RSA key of that size")
    }

    /// The public key as it is enrolled.
    #[must_use]
    pub fn public_pem(&self) -> String {
        match self {
            Self::Ed25519(key) => key.verifying_key().to_public_key_pem(LineEnding::LF),
            Self::P256(key) => key.verifying_key().to_public_key_pem(LineEnding::LF),
            Self::Rsa(key) => key.to_public_key().to_public_key_pem(LineEnding::LF),
        }
        .expect("every public key has a PEM form")
    }

    /// What JOSE calls its signatures.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "EdDSA",
            Self::P256(_) => "ES256",
            Self::Rsa(_) => "RS256",
        }
    }

    /// A compact JWS over `claims`, whose header says the truth.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({"alg": self.algorithm(), "typ": "JWT"}), claims)
    }

    /// A compact JWS over `claims`, with any header.
    #[must_use]
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = match self {
            Self::Ed25519(key) => key.sign(signed.as_bytes()).to_vec(),
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(signed.as_bytes());
                signature.to_vec()
            }
            Self::Rsa(key) => {
                let key = rsa::pkcs1v15::SigningKey::<rsa::sha2::Sha256>::new(key.as_ref().clone());
                key.sign(signed.as_bytes()).to_vec()
            }
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The process's randomness, for crates that speak an older version of `rand_core`.
struct Randomness;

impl rsa::rand_core::RngCore for Randomness {
    fn next_u32(&mut self) -> u32 {
        rand::rng().next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        rand::rng().next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        rand::rng().fill_bytes(bytes);
        Ok(())
    }
}

impl rsa::rand_core::CryptoRng for Randomness {}
