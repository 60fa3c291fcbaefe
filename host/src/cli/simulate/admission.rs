//! Owns how an operator lets simulated devices in: their keys admitted beforehand, with labels.

use kernex_client::Bearer;
use kernex_client::types::{Device, PreauthorizationRequest};
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::protocol;
use super::{Simulate, World};
use crate::cli::api::Api;
use crate::cli::credentials::Credentials;
use crate::cli::operator::{Server, renewed};
use crate::cli::{ApiError, CliError, login};

/// Where simulated devices stand.
const SITES: [&str; 4] = ["berlin", "paris", "porto", "turin"];

/// Who admits the devices. A fleet lives longer than an access token, so the token is asked for each time.
pub(crate) enum Admitter {
    /// Whoever other commands are, too: by the token that is given, or the kept login.
    Caller(Server),
    /// Somebody who has logged in for this run alone.
    LoggedIn(Mutex<Credentials>),
}

impl Admitter {
    async fn token(&self, api: &Api) -> Result<SecretString, CliError> {
        match self {
            Self::Caller(server) => server.token(api).await,
            Self::LoggedIn(login) => {
                let mut login = login.lock().await;
                if !login.is_fresh() {
                    let next = renewed(api, &login).await?;
                    *login = next;
                }
                Ok(login.access_token.as_str().into())
            }
        }
    }
}

/// Who admits: the named user, the given token, the last login, or nobody.
///
/// # Errors
/// Where somebody is meant to, and cannot: a thousand devices that wait for admission would not say why.
pub(crate) async fn admitter(options: &Simulate, api: &Api) -> Result<Option<Admitter>, CliError> {
    if let Some(username) = &options.username {
        let tokens = login::tokens(api, username, &login::password(false)?).await?;
        return Ok(Some(Admitter::LoggedIn(Mutex::new(tokens.at(api)))));
    }
    let without = |error: CliError| CliError::Failed(format!("{error}; --no-admit runs devices that nobody admits"));
    if !options.server.names_somebody(api).map_err(without)? {
        return Ok(None);
    }
    options.server.token(api).await.map_err(without)?;
    Ok(Some(Admitter::Caller(options.server.clone())))
}

/// Lets the key of one device in, with its labels. `None` where it is the server's or somebody else's to let the device
/// in once it has enrolled: the key is known already, and enrolment will tell which device it is; or nobody admits it,
/// or nobody who may.
///
/// # Errors
/// [`ApiError`], where it may work a little later.
pub(crate) async fn preauthorize(world: &World, number: u32) -> Result<Option<Device>, ApiError> {
    let Some(admitter) = &world.admitter else { return Ok(None) };
    let token = match admitter.token(&world.api).await {
        Ok(token) => token,
        Err(CliError::Api(error)) if error.passing().is_some() => return Err(error),
        Err(error) => {
            world.tally.trouble(format!("admission: {error}"));
            return Ok(None);
        }
    };
    let unreadable = |error: &dyn std::error::Error| ApiError::Unreadable(error.to_string());
    let key = world.roster.recall(number).key().map_err(|error| unreadable(&error))?;
    let body = PreauthorizationRequest {
        public_key: protocol::public_key(&key)?,
        name: Some(format!("simulated {number}")),
        labels: Some(labels(number).map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
    };
    let client = world.api.client(Bearer::new(token.expose_secret()).map_err(|error| unreadable(&error))?);
    // The same key is the same device, so a call that is made again needs no key of its own.
    let _permit = world.permit().await;
    match world.api.patiently(|| async { Ok(client.preauthorize_device(None, &body).await?.into_inner()) }).await {
        Ok(admitted) => Ok(Some(admitted)),
        Err(error) if error.is(StatusCode::CONFLICT) => Ok(None),
        Err(error) if error.is(StatusCode::UNAUTHORIZED) || error.is(StatusCode::FORBIDDEN) => {
            world.tally.trouble(format!("admission: {error}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// One device in twenty is on the beta channel.
fn labels(number: u32) -> [(&'static str, &'static str); 3] {
    let channel = if number % 20 == 7 { "beta" } else { "stable" };
    [("channel", channel), ("site", SITES[number as usize % SITES.len()]), ("simulated", "true")]
}
