//! Owns the assertions that devices get tokens for (RFC 7523), and every way to get one wrong.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use ulid::Ulid;

use super::key::DeviceKey;

/// RFC 7523's name for this grant.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long a good assertion is good for, in seconds.
const LIFE_S: i64 = 120;

/// An assertion before it is signed. A fresh one is good; tests spoil it.
#[derive(Debug, Clone)]
pub struct Assertion {
    /// The header.
    pub header: Value,
    /// The claims.
    pub claims: Value,
    key: DeviceKey,
}

impl Assertion {
    /// A good one: the device says that it is itself.
    #[must_use]
    pub fn new(key: &DeviceKey, device: &str, audience: &str) -> Self {
        let now = now_s();
        Self {
            header: json!({"alg": key.algorithm(), "typ": "JWT"}),
            claims: json!({
                "iss": device, "sub": device, "aud": audience,
                "iat": now, "exp": now + LIFE_S, "jti": Ulid::new().to_string(),
            }),
            key: key.clone(),
        }
    }

    /// Sets a claim; null takes it away.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.claims, name, value.into());
        self
    }

    /// Sets a header field; null takes it away.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.header, name, value.into());
        self
    }

    /// Expires so many seconds from now.
    #[must_use]
    pub fn expires_in(self, seconds: i64) -> Self {
        self.claim("exp", now_s() + seconds)
    }

    /// Is signed with another key.
    #[must_use]
    pub fn signed_by(self, key: &DeviceKey) -> Self {
        Self { key: key.clone(), ..self }
    }

    /// The signed text.
    #[must_use]
    pub fn text(&self) -> String {
        self.key.sign_with(&self.header, &self.claims)
    }

    /// The body of the call for a token.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({"grant_type": JWT_BEARER, "assertion": self.text()})
    }
}

fn set(object: &mut Value, name: &str, value: Value) {
    let fields = object.as_object_mut().expect("an object");
    match value {
        Value::Null => drop(fields.remove(name)),
        value => drop(fields.insert(name.to_owned(), value)),
    }
}

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_secs()).expect("a clock before the year 292 billion")
}
