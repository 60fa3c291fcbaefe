//! Owns `register` and `login`: an account at a server, and the login that later commands use.

use std::io::{BufRead, IsTerminal};

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::CliError;
use super::api::Api;
use super::operator::{Server, Tokens, keep};

/// Where scripts put a password: arguments are seen by every user of the machine.
const PASSWORD_VARIABLE: &str = "KERNEX_PASSWORD";

/// Make an account on a server and log in to it.
///
/// The first account is made with the set-up token that the server prints when it starts; it is an
/// administrator's. The password is asked for, or read from KERNEX_PASSWORD or standard input.
#[derive(Debug, clap::Args)]
pub(crate) struct Register {
    #[command(flatten)]
    server: Server,
    /// Short name
    #[arg(long)]
    username: String,
    /// E-mail address
    #[arg(long)]
    email: String,
    /// What the server printed when it started
    #[arg(long, value_name = "TOKEN")]
    setup_token: Option<String>,
}

/// Log in to a server; the following commands use the login.
///
/// The password is asked for, or read from KERNEX_PASSWORD or standard input.
#[derive(Debug, clap::Args)]
pub(crate) struct Login {
    #[command(flatten)]
    server: Server,
    /// Short name or e-mail address
    #[arg(long)]
    username: String,
}

#[derive(Serialize)]
struct RegisterBody<'a> {
    username: &'a str,
    email: &'a str,
    password: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    setup_token: Option<&'a str>,
}

#[derive(Serialize)]
struct LoginBody<'a> {
    username: &'a str,
    password: &'a str,
}

impl Register {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let password = password(true)?;
        let api = self.server.api()?;
        let body = RegisterBody {
            username: &self.username,
            email: &self.email,
            password: password.expose_secret(),
            setup_token: self.setup_token.as_deref(),
        };
        let _: serde_json::Value = api.post("/api/v1/auth/register", None, &body).await?;
        keep_login(&api, &self.server.address(), &self.username, &password).await
    }
}

impl Login {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let password = password(false)?;
        keep_login(&self.server.api()?, &self.server.address(), &self.username, &password).await
    }
}

async fn keep_login(api: &Api, address: &str, username: &str, password: &SecretString) -> Result<(), CliError> {
    keep(address, tokens(api, username, password).await?)?;
    println!("Logged in at {address} as {username}.");
    Ok(())
}

/// Logs in, without keeping the login.
pub(crate) async fn tokens(api: &Api, username: &str, password: &SecretString) -> Result<Tokens, CliError> {
    let body = LoginBody { username, password: password.expose_secret() };
    Ok(api.post("/api/v1/auth/login", None, &body).await?)
}

/// A password from the environment, the terminal (twice for a new one) or the first line of standard input.
pub(crate) fn password(new: bool) -> Result<SecretString, CliError> {
    if let Ok(password) = std::env::var(PASSWORD_VARIABLE) {
        return Ok(password.into());
    }
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(CliError::failed)?;
        let password = line.trim_end_matches(['\r', '\n']);
        return if password.is_empty() {
            Err(CliError::Failed(format!("no password: set {PASSWORD_VARIABLE} or write it to standard input")))
        } else {
            Ok(password.to_owned().into())
        };
    }
    let password = rpassword::prompt_password("Password: ").map_err(CliError::failed)?;
    if new && rpassword::prompt_password("Once more: ").map_err(CliError::failed)? != password {
        return Err(CliError::Failed("the two passwords differ".to_owned()));
    }
    Ok(password.into())
}
