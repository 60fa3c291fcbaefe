//! Owns how an operator lets simulated devices in: their keys admitted beforehand, with labels.

use kernex_client::Bearer;
use kernex_client::types::{Device, PreauthorizationRequest};
use reqwest::StatusCode;

use super::protocol;
use super::{ATTEMPTS, Simulate, World};
use crate::cli::api::Api;
use crate::cli::credentials::Credentials;
use crate::cli::operator::Operator;
use crate::cli::{ApiError, CliError, login};

/// Where simulated devices stand.
const SITES: [&str; 4] = ["berlin", "paris", "porto", "turin"];

/// Who admits: the named user, the given token, the last login, or nobody.
pub(crate) async fn operator(options: &Simulate) -> Result<Option<Operator>, CliError> {
    if let Some(username) = &options.username {
        let api = Api::new(&options.server.address(), ATTEMPTS)?;
        let tokens = login::tokens(&api, username, &login::password(false)?).await?;
        return Ok(Some(Operator::new(api, tokens.access_token)));
    }
    let somebody = options.server.token.is_some() || Credentials::read().is_some();
    Ok(if somebody { options.server.operator().await.ok() } else { None })
}

/// Lets the key of one device in, with its labels. `None` where the key is known already: enrolment will
/// tell which device it is.
pub(crate) async fn preauthorize(world: &World, operator: &Operator, number: u32) -> Result<Option<Device>, ApiError> {
    let unreadable = |error: &dyn std::error::Error| ApiError::Unreadable(error.to_string());
    let key = world.roster.recall(number).key().map_err(|error| unreadable(&error))?;
    let body = PreauthorizationRequest {
        public_key: protocol::public_key(&key)?,
        name: Some(format!("simulated {number}")),
        labels: Some(labels(number).map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
    };
    let client = world.api.client(Bearer::new(operator.token()).map_err(|error| unreadable(&error))?);
    // The same key is the same device, so a call that is made again needs no key of its own.
    let _permit = world.permit().await;
    match world.api.patiently(|| async { Ok(client.preauthorize_device(None, &body).await?.into_inner()) }).await {
        Ok(admitted) => Ok(Some(admitted)),
        Err(error) if error.is(StatusCode::CONFLICT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// One device in twenty is on the beta channel.
fn labels(number: u32) -> [(&'static str, &'static str); 3] {
    let channel = if number % 20 == 7 { "beta" } else { "stable" };
    [("channel", channel), ("site", SITES[number as usize % SITES.len()]), ("simulated", "true")]
}
