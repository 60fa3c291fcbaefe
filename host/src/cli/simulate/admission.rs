//! Owns how an operator lets simulated devices in: their keys admitted beforehand, with labels.

use reqwest::StatusCode;

use super::protocol::{self, Enrolled};
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
pub(crate) async fn preauthorize(
    world: &World,
    operator: &Operator,
    number: u32,
) -> Result<Option<Enrolled>, ApiError> {
    let key = world.roster.recall(number).key().map_err(|error| ApiError::Unreadable(error.to_string()))?;
    let body = serde_json::json!({
        "public_key": protocol::public_key(&key)?,
        "name": format!("simulated {number}"),
        "labels": labels(number),
    });
    let _permit = world.permit().await;
    match operator.post("/api/v1/devices/preauthorize", &body).await {
        Ok(enrolled) => Ok(Some(enrolled)),
        Err(error) if error.is(StatusCode::CONFLICT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// One device in twenty is on the beta channel.
fn labels(number: u32) -> serde_json::Value {
    let channel = if number % 20 == 7 { "beta" } else { "stable" };
    serde_json::json!({ "channel": channel, "site": SITES[number as usize % SITES.len()], "simulated": "true" })
}
