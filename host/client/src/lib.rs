//! Owns the client of Kernex' HTTP API, generated at build time from `docs/openapi.json`.
//!
//! [`Client`] has one method per operation, named like it. Path, query and header parameters come first, in the
//! document's order, then the body; an answer's body is in its [`ResponseValue`]. Every refusal of the server is
//! [`Error::ErrorResponse`] with a [`types::Problem`].
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use kernex_client::{Bearer, Client};
//!
//! let client = Client::new("http://127.0.0.1:8080", Bearer::new("kx_0123")?);
//! for device in &client.list_devices(None, None, None, None, None).await?.items {
//!     println!("{} {}", device.id, device.status);
//! }
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

use std::fmt;

use reqwest::header::{AUTHORIZATION, HeaderValue, InvalidHeaderValue};

include!(concat!(env!("OUT_DIR"), "/client.rs"));

pub use generated::{ByteStream, Client, Error, ResponseValue, types};

/// What proves who calls: an access token, a device's token or an API key; or nothing, for the few operations that
/// are open to everybody. Its `Debug` does not show it.
#[derive(Clone, Default)]
pub struct Bearer(Option<HeaderValue>);

impl Bearer {
    /// Sends `token` with every call.
    ///
    /// # Errors
    /// Where it holds what no header may hold, such as a line break.
    pub fn new(token: &str) -> Result<Self, InvalidHeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }

    /// Sends nothing.
    #[must_use]
    pub fn nobody() -> Self {
        Self(None)
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Bearer(…)" } else { "Bearer(nobody)" })
    }
}

/// Every request passes here before it is sent.
async fn authenticate(bearer: &Bearer, request: &mut reqwest::Request) -> Result<(), InvalidHeaderValue> {
    if let Some(value) = &bearer.0 {
        request.headers_mut().insert(AUTHORIZATION, value.clone());
    }
    Ok(())
}
