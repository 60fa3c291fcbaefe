//! Owns signatures of plugins: how a component is signed, how that is written, and whose signature is believed.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{PUBLIC_KEY_LENGTH, SIGNATURE_LENGTH, Signer, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// Stands in front of the digest, so that a signature of a plugin is one of nothing else.
const CONTEXT: &[u8] = b"kernex-plugin-v1\0";
/// Bytes of a key's digest that name it.
const KEY_ID_BYTES: usize = 8;
/// Longest text that is read as a signature or public key, in bytes: a signature has 105.
const MAX_TEXT_BYTES: usize = 128;

/// Names a key: the first 16 hexadecimal digits of the SHA-256 of its 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A key that signatures are checked with; written as the base64 of its 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// A text is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a public key: the base64 of the 32 bytes of an Ed25519 key, as `kernex plugin keygen` prints it")]
pub struct InvalidKey;

impl PublicKey {
    /// The public half of a private key.
    #[must_use]
    pub fn of(key: &SigningKey) -> Self {
        Self(key.verifying_key())
    }

    /// What signatures call it.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&Sha256::digest(self.0.as_bytes())[..KEY_ID_BYTES]);
        KeyId(id)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0.as_bytes()))
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let bytes = decoded::<PUBLIC_KEY_LENGTH>(text).ok_or(InvalidKey)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| InvalidKey)?;
        // Anybody can make signatures that hold for a key of small order.
        if key.is_weak() { Err(InvalidKey) } else { Ok(Self(key)) }
    }
}

/// Why a signature is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It does not have the form of a signature.
    #[error("the signature is malformed: it is written `<key id>:<base64 of 64 bytes>`")]
    Malformed,
    /// Nobody has said that this key is trusted.
    #[error("the signature is of the key {0}, which is not trusted")]
    UnknownKey(KeyId),
    /// The key is trusted, and did not sign these bytes.
    #[error("the signature of the key {0} does not fit: it is of another file, or one of the two is damaged")]
    Wrong(KeyId),
}

/// One key's signature of one component; written as `<key id>:<base64 of 64 bytes>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    key: KeyId,
    signature: ed25519_dalek::Signature,
}

impl Signature {
    /// Signs a component.
    #[must_use]
    pub fn sign(key: &SigningKey, component: &[u8]) -> Self {
        Self { key: PublicKey::of(key).id(), signature: key.sign(&message(component)) }
    }

    /// The key that it says it is of.
    #[must_use]
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// Whether one of the trusted keys signed this component; tells which.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, trusted: &[PublicKey], component: &[u8]) -> Result<KeyId, SignatureError> {
        let mut named = trusted.iter().filter(|key| key.id() == self.key).peekable();
        if named.peek().is_none() {
            return Err(SignatureError::UnknownKey(self.key));
        }
        let message = message(component);
        let fits = named.any(|key| key.0.verify_strict(&message, &self.signature).is_ok());
        if fits { Ok(self.key) } else { Err(SignatureError::Wrong(self.key)) }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.key, STANDARD.encode(self.signature.to_bytes()))
    }
}

impl FromStr for Signature {
    type Err = SignatureError;

    /// Reads the text; white space around it, such as a file's last line feed, is passed over.
    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let malformed = SignatureError::Malformed;
        let (id, signature) = text.trim().split_once(':').ok_or(malformed)?;
        if id.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(malformed);
        }
        let mut key = [0; KEY_ID_BYTES];
        hex::decode_to_slice(id, &mut key).map_err(|_| malformed)?;
        let signature = decoded::<SIGNATURE_LENGTH>(signature).ok_or(malformed)?;
        Ok(Self { key: KeyId(key), signature: ed25519_dalek::Signature::from_bytes(&signature) })
    }
}

/// What is signed: the digest rather than the bytes, so that it can be signed where the file is not.
fn message(component: &[u8]) -> Vec<u8> {
    [CONTEXT, &Sha256::digest(component)].concat()
}

/// Exactly that many bytes from their base64.
fn decoded<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let text = text.trim();
    if text.len() > MAX_TEXT_BYTES {
        return None;
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    #[test]
    fn what_was_signed_verifies_and_says_by_whom() {
        let signature = Signature::sign(&key(1), b"component");
        let text = format!("{signature}\n");
        assert_eq!(text.len(), 106);
        let read: Signature = text.parse().expect("as it was written");
        assert_eq!(read, signature);
        let trusted = [PublicKey::of(&key(2)), PublicKey::of(&key(1))];
        assert_eq!(read.verify(&trusted, b"component"), Ok(trusted[1].id()));
        assert_eq!(read.key(), trusted[1].id());
    }

    /// The format is kept in files: it must not change unnoticed.
    #[test]
    fn the_format_is_stable() {
        let public = PublicKey::of(&key(1));
        assert_eq!(public.to_string(), "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=");
        assert_eq!(public.id().to_string(), hex::encode(Sha256::digest(public.0.as_bytes()))[..16]);
        let signed = Signature::sign(&key(1), b"x");
        let by_hand = key(1).sign(&[b"kernex-plugin-v1\0".as_slice(), &Sha256::digest(b"x")].concat());
        assert_eq!(signed.to_string(), format!("{}:{}", public.id(), STANDARD.encode(by_hand.to_bytes())));
    }

    #[test]
    fn each_error_says_what_is_wrong() {
        let signature = Signature::sign(&key(1), b"component");
        let id = signature.key();
        let (mine, other) = (PublicKey::of(&key(1)), PublicKey::of(&key(2)));
        assert_eq!(signature.verify(&[other], b"component"), Err(SignatureError::UnknownKey(id)));
        assert_eq!(signature.verify(&[], b"component"), Err(SignatureError::UnknownKey(id)));
        assert_eq!(signature.verify(&[mine], b"another"), Err(SignatureError::Wrong(id)));
        // A signature that names a trusted key and is of another one.
        let borrowed = Signature { key: id, ..Signature::sign(&key(2), b"component") };
        assert_eq!(borrowed.verify(&[mine, other], b"component"), Err(SignatureError::Wrong(id)));
        // A bundle's or anything else's signature by the same key is none of a plugin.
        let plain = Signature { key: id, signature: key(1).sign(b"component") };
        assert_eq!(plain.verify(&[mine], b"component"), Err(SignatureError::Wrong(id)));
    }

    #[test]
    fn what_is_no_signature_is_malformed() {
        let text = Signature::sign(&key(1), b"component").to_string();
        let (id, base64) = text.split_once(':').expect("two parts");
        let long = format!("{id}:{}", STANDARD.encode([0; 65]));
        let wrong = [
            "",
            id,
            base64,
            &text[1..],
            &text[..text.len() - 4],
            &text.to_uppercase(),
            &format!("{id}0:{base64}"),
            &format!("{id}:{base64}{base64}"),
            &long,
        ];
        for text in wrong {
            assert_eq!(text.parse::<Signature>(), Err(SignatureError::Malformed), "{text}");
        }
    }

    #[test]
    fn public_keys_round_trip_and_weak_ones_are_refused() {
        let public = PublicKey::of(&key(1));
        assert_eq!(public.to_string().parse(), Ok(public));
        for text in ["", "AAAA", &STANDARD.encode([0; 31])] {
            assert_eq!(text.parse::<PublicKey>(), Err(InvalidKey), "{text}");
        }
        // The neutral point.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(STANDARD.encode(neutral).parse::<PublicKey>(), Err(InvalidKey));
    }
}
