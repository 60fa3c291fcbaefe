//! Owns `register` and `login`: an account at a server, and the login that later commands use.

use std::io::{BufRead, IsTerminal};

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::CliError;
use super::api::Api;
use super::operator::{Server, Tokens, keep};
use crate::cli::output::say;

/// Where scripts put a password: arguments are seen by every user of the machine.
const PASSWORD_VARIABLE: &str = "KERNEX_PASSWORD";
/// Length of the first line of standard input, in bytes: longer than any password that a server takes.
const MAX_LINE_BYTES: u64 = 4_096;

/// Make an account on a server and log in to it.
///
/// The first account is made with the set-up token that the server prints when it starts; it is an
/// administrator's. Arguments are seen by every user of the machine; the variable KERNEX_SETUP_TOKEN is not. The
/// password is asked for, or read from KERNEX_PASSWORD or standard input.
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
    #[arg(long, value_name = "TOKEN", env = "KERNEX_SETUP_TOKEN", hide_env_values = true)]
    setup_token: Option<SecretString>,
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
            setup_token: self.setup_token.as_ref().map(|token| token.expose_secret()),
        };
        // Sent again without a key, an account that was made would be one that somebody else has.
        let _: serde_json::Value = api.post_once("/api/v1/auth/register", None, &body).await?;
        keep_login(&api, &self.username, &password).await
    }
}

impl Login {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let password = password(false)?;
        keep_login(&self.server.api()?, &self.username, &password).await
    }
}

async fn keep_login(api: &Api, username: &str, password: &SecretString) -> Result<(), CliError> {
    keep(&tokens(api, username, password).await?.at(api)).await?;
    say!("Logged in at {} as {username}.", api.address());
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
        return first_line(std::io::stdin().lock());
    }
    let password = rpassword::prompt_password("Password: ").map_err(CliError::failed)?;
    if new && rpassword::prompt_password("Once more: ").map_err(CliError::failed)? != password {
        return Err(CliError::Failed("the two passwords differ".to_owned()));
    }
    Ok(password.into())
}

fn first_line(input: impl BufRead) -> Result<SecretString, CliError> {
    let mut line = String::new();
    // One more than the limit tells a line that is just as long from a longer one.
    let read = input.take(MAX_LINE_BYTES + 1).read_line(&mut line).map_err(CliError::failed)?;
    if read as u64 > MAX_LINE_BYTES {
        return Err(CliError::Failed(format!("a password has at most {MAX_LINE_BYTES} bytes")));
    }
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(CliError::Failed(format!("no password: set {PASSWORD_VARIABLE} or write it to standard input")));
    }
    Ok(password.into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn the_first_line_is_the_password() {
        let read = |text: &str| first_line(text.as_bytes()).map(|password| password.expose_secret().to_owned());
        assert_eq!(read("hunter2\nmore\n").expect("a password"), "hunter2");
        assert_eq!(read("hunter2\r\n").expect("a password"), "hunter2");
        assert!(read("").is_err() && read("\n").is_err());
        // An input without an end is not waited for.
        let endless = std::io::BufReader::new(std::io::repeat(b'a'));
        let error = first_line(endless).expect_err("it is too long").to_string();
        assert!(error.contains("at most 4096 bytes"), "{error}");
    }

    #[test]
    fn the_setup_token_is_not_shown() {
        #[derive(Debug, Parser)]
        struct Line {
            #[command(flatten)]
            register: Register,
        }
        let words = ["register", "--username", "ada", "--email", "ada@example.org", "--setup-token", "hunter2"];
        let line = Line::parse_from(words);
        assert_eq!(line.register.setup_token.as_ref().map(|token| token.expose_secret()), Some("hunter2"));
        assert!(!format!("{line:?}").contains("hunter2"), "{line:?}");
    }
}
