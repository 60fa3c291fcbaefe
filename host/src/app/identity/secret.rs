//! Owns secrets that are texts: refresh tokens and API keys, made of an identifier and 256 random bits.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernex_model::digest::Digest;
use kernex_model::id::Ulid;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Random bytes in a secret.
pub const SECRET_BYTES: usize = 32;
/// What an API key begins with.
pub const API_KEY_PREFIX: &str = "kx";
/// What a refresh token begins with.
pub const REFRESH_PREFIX: &str = "kxr";
/// What the set-up token begins with.
pub const SETUP_PREFIX: &str = "kxs";

/// Length of a secret part's text, in bytes: 32 bytes as base64 without padding.
const SECRET_TEXT_BYTES: usize = 43;
/// Length of what comes after the prefix, in bytes: an identifier of 26 and the secret part, each after a `_`.
pub const MAX_SECRET_BYTES: usize = 1 + 26 + 1 + SECRET_TEXT_BYTES;

/// The secret part of a key or token, as somebody presented it.
pub struct Presented {
    /// Which key or session it is for.
    pub id: Ulid,
    /// The digest of the secret part, to be compared with what is stored.
    pub digest: Digest,
}

/// A new secret's text, and the digest to store.
pub struct Fresh {
    /// Shown once.
    pub text: SecretString,
    /// Stored. The secret is random, so a plain digest cannot be searched.
    pub digest: Digest,
}

/// A new secret: `prefix_ULID_secret`.
#[must_use]
pub fn fresh(prefix: &str, id: Ulid, random: [u8; SECRET_BYTES]) -> Fresh {
    let random = Zeroizing::new(random);
    let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(*random));
    Fresh { digest: Digest::of(secret.as_bytes()), text: SecretString::from(format!("{prefix}_{id}_{}", *secret)) }
}

/// Reads `prefix_ULID_secret`; `None` where it has not that form.
#[must_use]
pub fn presented(prefix: &str, text: &SecretString) -> Option<Presented> {
    let rest = text.expose_secret().strip_prefix(prefix)?.strip_prefix('_')?;
    let (id, secret) = rest.split_once('_')?;
    let canonical = Ulid::from_string(id).ok().filter(|ulid| ulid.to_string() == id)?;
    (secret.len() == SECRET_TEXT_BYTES).then(|| Presented { id: canonical, digest: Digest::of(secret.as_bytes()) })
}

/// Whether two digests are the same, in a time that does not tell where they differ.
#[must_use]
pub fn same(a: &Digest, b: &Digest) -> bool {
    a.0.ct_eq(&b.0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_presented() {
        let fresh = fresh(API_KEY_PREFIX, Ulid(42), [7; SECRET_BYTES]);
        assert_eq!(fresh.text.expose_secret().len(), API_KEY_PREFIX.len() + MAX_SECRET_BYTES);
        let back = presented(API_KEY_PREFIX, &fresh.text).expect("its own text");
        assert_eq!(back.id, Ulid(42));
        assert!(same(&back.digest, &fresh.digest));
        assert!(presented(REFRESH_PREFIX, &fresh.text).is_none());
    }

    #[test]
    fn another_secret_is_another_digest() {
        let (one, two) = (fresh("kx", Ulid(1), [1; SECRET_BYTES]), fresh("kx", Ulid(1), [2; SECRET_BYTES]));
        assert!(!same(&one.digest, &two.digest));
        assert!(!format!("{:?}", one.text).contains(one.text.expose_secret()));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["", "kx", "kx_", "kx_1_2", "kx_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D", "kx_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D_short"]
        {
            assert!(presented("kx", &SecretString::from(text)).is_none(), "{text}");
        }
    }
}
