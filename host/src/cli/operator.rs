//! Owns how commands reach a server as somebody: an API key, or the kept login, renewed when it runs out.

use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::api::Api;
use super::credentials::{Credentials, CredentialsFile, now_s};
use super::{ApiError, CliError};

/// Where a server is looked for, if none is named and nobody has logged in.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";
/// Calls that meet a busy server are made this often.
const ATTEMPTS: u32 = 4;
/// What a server says of a renewal that another one with the same token has overtaken.
const RACED: &str = "refresh-raced";
/// How long who has won such a race may take to write down what it has got.
const RACED_PAUSE: Duration = Duration::from_secs(1);

/// Options of every command that talks to a server.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Server {
    /// Address of the server [default: that of the last login, else http://127.0.0.1:8080]
    #[arg(long, value_name = "URL", env = "KERNEX_SERVER")]
    pub(crate) server: Option<String>,
    /// An API key (kx_…) or access token to use instead of the last login
    #[arg(long, value_name = "TOKEN", env = "KERNEX_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<SecretString>,
}

/// What a login answers.
#[derive(Deserialize)]
pub(crate) struct Tokens {
    /// Good for `expires_in` seconds.
    access_token: String,
    /// Seconds.
    expires_in: i64,
    /// Gives the next pair, once.
    refresh_token: String,
}

impl Tokens {
    /// The login at a server that they make.
    pub(crate) fn at(self, api: &Api) -> Credentials {
        Credentials {
            server: api.address().to_owned(),
            access_token: self.access_token,
            expires_at: now_s().saturating_add(self.expires_in),
            refresh_token: self.refresh_token,
        }
    }
}

/// Somebody at a server.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    /// The server.
    pub(crate) api: Api,
    token: SecretString,
}

impl Server {
    /// The server's address.
    ///
    /// # Errors
    /// Where it is that of the last login, and the file with that cannot be read.
    pub(crate) fn address(&self) -> Result<String, CliError> {
        if let Some(server) = &self.server {
            return Ok(server.clone());
        }
        Ok(kept()?.map_or_else(|| DEFAULT_SERVER.to_owned(), |kept| kept.server))
    }

    /// Its API, as nobody.
    ///
    /// # Errors
    /// Where there is no address, or it is none.
    pub(crate) fn api(&self) -> Result<Api, CliError> {
        Ok(Api::new(&self.address()?, ATTEMPTS)?)
    }

    /// Its API, as the caller.
    ///
    /// # Errors
    /// Where nobody is logged in, or the login is no longer good.
    pub(crate) async fn operator(&self) -> Result<Operator, CliError> {
        let api = self.api()?;
        let token = self.token(&api).await?;
        Ok(Operator { api, token })
    }

    /// Whether a token is given or somebody is logged in at this server.
    ///
    /// # Errors
    /// Where the file with the login cannot be read.
    pub(crate) fn names_somebody(&self, api: &Api) -> Result<bool, CliError> {
        Ok(self.token.is_some() || kept()?.is_some_and(|kept| api.is_at(&kept.server)))
    }

    /// What the caller's calls to this server are made with: the token that is given, or that of the login.
    ///
    /// # Errors
    /// Where nobody is logged in, or the login is no longer good.
    pub(crate) async fn token(&self, api: &Api) -> Result<SecretString, CliError> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let file = CredentialsFile::own().ok_or_else(|| nobody(api))?;
        let kept = login_at(api, &file)?;
        if kept.is_fresh() { Ok(kept.access_token.into()) } else { renew(api, &file).await }
    }
}

/// The login that is kept, at whatever server.
fn kept() -> Result<Option<Credentials>, CliError> {
    Ok(CredentialsFile::own().map(|file| file.read()).transpose()?.flatten())
}

fn nobody(api: &Api) -> CliError {
    let server = api.address();
    CliError::Failed(format!("nobody is logged in at {server}: use `kernex login --username NAME` or --token"))
}

/// The kept login, where it is one at this server.
fn login_at(api: &Api, file: &CredentialsFile) -> Result<Credentials, CliError> {
    file.read()?.filter(|kept| api.is_at(&kept.server)).ok_or_else(|| nobody(api))
}

/// Renews the kept login; gives its access token.
///
/// One command at a time does it, and those that waited use what it has got: a refresh token that is used after its
/// renewal ends the session.
async fn renew(api: &Api, file: &CredentialsFile) -> Result<SecretString, CliError> {
    let _lock = file.lock().await?;
    let kept = login_at(api, file)?;
    if kept.is_fresh() {
        return Ok(kept.access_token.into());
    }
    match renewed(api, &kept).await {
        Ok(next) => {
            file.write(&next)?;
            Ok(next.access_token.into())
        }
        Err(error) => {
            if error.has_code(RACED) {
                // The winner takes no such lock, as an older program does not. What it has got is soon in the file.
                tokio::time::sleep(RACED_PAUSE).await;
                let kept = login_at(api, file)?;
                if kept.is_fresh() {
                    return Ok(kept.access_token.into());
                }
            }
            Err(ended(api, error))
        }
    }
}

/// The login that follows this one, which is good no more from then on.
///
/// # Errors
/// [`ApiError`].
pub(crate) async fn renewed(api: &Api, login: &Credentials) -> Result<Credentials, ApiError> {
    #[derive(Serialize)]
    struct Refresh<'a> {
        refresh_token: &'a str,
    }
    let body = Refresh { refresh_token: &login.refresh_token };
    let tokens: Tokens = api.post("/api/v1/auth/refresh", None, &body).await?;
    Ok(tokens.at(api))
}

/// What is said of a login that could not be renewed.
fn ended(api: &Api, error: ApiError) -> CliError {
    match error {
        // A server that is busy or stopping has said nothing about the login.
        ApiError::Problem { ref detail, .. } if error.passing().is_none() => {
            let server = api.address();
            CliError::Failed(format!("the login at {server} has ended: {detail}; use `kernex login --username NAME`"))
        }
        error => error.into(),
    }
}

/// Keeps a login for the commands to come.
///
/// # Errors
/// Where it cannot be written down.
pub(crate) async fn keep(login: &Credentials) -> Result<(), CliError> {
    let nowhere = || CliError::Failed("neither XDG_CONFIG_HOME nor HOME is set".to_owned());
    let file = CredentialsFile::own().ok_or_else(nowhere)?;
    // A renewal that is under way would put the old login in its place.
    let _lock = file.lock().await?;
    file.write(login)
}

impl Operator {
    /// What stands behind `Bearer`.
    pub(crate) fn token(&self) -> &str {
        self.token.expose_secret()
    }

    /// GET.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.api.get(path, Some(self.token())).await
    }

    /// GET with these pairs in the query.
    pub(crate) async fn get_with<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, ApiError> {
        self.api.get_with(path, Some(self.token()), query).await
    }

    /// POST, done once however often it has to be sent.
    pub(crate) async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ApiError> {
        self.api.post_once(path, Some(self.token()), body).await
    }

    /// PUT of a new version of something, sent once: the server would make another of what is sent again.
    pub(crate) async fn put<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ApiError> {
        self.api.answer(self.api.request(Method::PUT, path, Some(self.token()))?.json(body)).await
    }
}

#[cfg(test)]
mod tests;
