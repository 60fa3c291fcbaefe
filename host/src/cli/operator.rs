//! Owns how commands reach a server as somebody: an API key, or the kept login, renewed when it runs out.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::api::Api;
use super::credentials::Credentials;
use super::{ApiError, CliError};

/// Where a server is looked for, if none is named and nobody has logged in.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";
/// Calls that meet a busy server are made this often.
const ATTEMPTS: u32 = 4;
/// An access token is renewed when it has less than this left, in seconds.
const RENEW_BEFORE_S: i64 = 60;

/// Options of every command that talks to a server.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Server {
    /// Address of the server [default: that of the last login, else http://127.0.0.1:8080]
    #[arg(long, value_name = "URL", env = "KERNEX_SERVER")]
    pub(crate) server: Option<String>,
    /// An API key (kx_…) or access token to use instead of the last login
    #[arg(long, value_name = "TOKEN", env = "KERNEX_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

/// What a login answers.
#[derive(Deserialize)]
pub(crate) struct Tokens {
    /// Good for `expires_in` seconds.
    pub(crate) access_token: String,
    /// Seconds.
    pub(crate) expires_in: i64,
    /// Gives the next pair, once.
    pub(crate) refresh_token: String,
}

/// Somebody at a server.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    /// The server.
    pub(crate) api: Api,
    token: String,
}

impl Server {
    /// The server's address.
    pub(crate) fn address(&self) -> String {
        let kept = || Credentials::read().map(|credentials| credentials.server);
        self.server.clone().or_else(kept).unwrap_or_else(|| DEFAULT_SERVER.to_owned())
    }

    /// Its API, as nobody.
    pub(crate) fn api(&self) -> Result<Api, ApiError> {
        Api::new(&self.address(), ATTEMPTS)
    }

    /// Its API, as the caller.
    pub(crate) async fn operator(&self) -> Result<Operator, CliError> {
        let server = self.address();
        let api = Api::new(&server, ATTEMPTS)?;
        if let Some(token) = self.token.clone() {
            return Ok(Operator { api, token });
        }
        let kept = Credentials::read().filter(|credentials| credentials.server == server).ok_or_else(|| {
            CliError::Failed(format!("nobody is logged in at {server}: use `kernex login` or --token"))
        })?;
        let token =
            if kept.expires_at - now_s() > RENEW_BEFORE_S { kept.access_token } else { renew(&api, kept).await? };
        Ok(Operator { api, token })
    }
}

async fn renew(api: &Api, kept: Credentials) -> Result<String, CliError> {
    #[derive(Serialize)]
    struct Refresh<'a> {
        refresh_token: &'a str,
    }
    let body = Refresh { refresh_token: &kept.refresh_token };
    let tokens: Tokens = api.post("/api/v1/auth/refresh", None, &body).await.map_err(|error| match error {
        // A server that is busy or stopping has said nothing about the login.
        ApiError::Problem { ref detail, .. } if error.passing().is_none() => {
            CliError::Failed(format!("the login at {} has ended: {detail}; use `kernex login`", kept.server))
        }
        error => error.into(),
    })?;
    keep(&kept.server, tokens)
}

/// Keeps a login for the commands to come; gives its access token.
pub(crate) fn keep(server: &str, tokens: Tokens) -> Result<String, CliError> {
    let credentials = Credentials {
        server: server.to_owned(),
        access_token: tokens.access_token,
        expires_at: now_s().saturating_add(tokens.expires_in),
        refresh_token: tokens.refresh_token,
    };
    credentials.write()?;
    Ok(credentials.access_token)
}

impl Operator {
    /// Somebody with a token.
    pub(crate) fn new(api: Api, token: String) -> Self {
        Self { api, token }
    }

    /// What stands behind `Bearer`.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// GET.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.api.get(path, Some(&self.token)).await
    }

    /// POST, done once however often it has to be sent.
    pub(crate) async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ApiError> {
        self.api.post_once(path, Some(&self.token), body).await
    }
}

fn now_s() -> i64 {
    // A clock before 1970 makes every token look fresh; the server will say that it is not.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
