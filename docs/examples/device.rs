//! A device on the generated client: enrols, polls, installs what it is told to, and says how it went.
//!
//!     cargo run -p kernex-client --example device -- http://127.0.0.1:8080 ./my-device
//!
//! It ends when it is refused or the server is away. Whatever supervises it may start it again at any time: what it
//! is and what it runs is in its directory.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, spki::der::pem::LineEnding};
use futures_util::TryStreamExt;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use kernex_client::types::{Command, DeviceStatus, DeviceTokenAnswer, DeviceTokenRequest, EnrolmentRequest};
use kernex_client::types::{Heartbeat, Report, ReportState, ReportedError};
use kernex_client::{Bearer, Client};
use serde_json::json;
use sha2::{Digest, Sha256};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// In one step, so that a crash leaves the old content or the new; the key is for nobody else to read.
fn replace(file: &Path, content: &[u8]) -> Result<()> {
    let new = file.with_extension("new");
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?.write_all(content)?;
    Ok(fs::rename(new, file)?)
}

fn load_key(file: &Path) -> Result<SigningKey> {
    if !file.exists() {
        replace(file, SigningKey::from_bytes(&rand::random()).to_pkcs8_pem(LineEnding::LF)?.as_bytes())?;
    }
    Ok(SigningKey::read_pkcs8_pem_file(file)?)
}

async fn log_in(server: &Client, id: &str, key: &SigningKey) -> Result<DeviceTokenAnswer> {
    let expiry = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() + 60;
    // The audience is the server's name (its setting `server.name`); an assertion works once, within five minutes.
    let claims = json!({ "iss": id, "sub": id, "aud": "kernex", "jti": ulid::Ulid::new().to_string(), "exp": expiry });
    let key = EncodingKey::from_ed_der(key.to_pkcs8_der()?.as_bytes());
    let assertion = jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &key)?;
    let grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer".parse()?;
    Ok(server.issue_device_token(&DeviceTokenRequest { grant_type, assertion }).await?.into_inner())
}

async fn say(client: &Client, command: &Command, state: ReportState, error: Option<(&str, &str)>) -> Result<()> {
    let error = error.map(|(code, message)| ReportedError { code: code.to_owned(), message: message.to_owned() });
    let (assignment_id, attempt) = (command.assignment_id.clone(), command.attempt);
    client.report(&Report { assignment_id, attempt, state, error, progress: None }).await?;
    Ok(())
}

async fn obey(client: &Client, command: &Command, home: &Path) -> Result<()> {
    let Some(bundle) = &command.bundle else {
        let why = ("unsupported", "this device takes no configs");
        return say(client, command, ReportState::Rejected, Some(why)).await;
    };
    say(client, command, ReportState::Downloading, None).await?;
    let mut chunks = client.download_bundle_as_device(&bundle.id, None, None, None, None).await?.into_inner_stream();
    let mut content = Vec::new();
    while let Some(chunk) = chunks.try_next().await? {
        content.extend_from_slice(&chunk);
    }
    if hex::encode(Sha256::digest(&content)) != bundle.sha256 {
        let why = ("digest", "the content is not what was announced");
        return say(client, command, ReportState::Failed, Some(why)).await;
    }
    say(client, command, ReportState::Installing, None).await?;
    replace(&home.join("running.img"), &content)?;
    replace(&home.join("bundle_id"), bundle.id.as_bytes())?;
    say(client, command, ReportState::Installed, None).await
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, home] = arguments.as_slice() else { return Err("usage: device URL DIRECTORY".into()) };
    let home = PathBuf::from(home);
    fs::create_dir_all(&home)?;
    let (server, key) = (Client::new(url, Bearer::nobody()), load_key(&home.join("key.pem"))?);
    let public_key = key.verifying_key().to_public_key_pem(LineEnding::LF)?;
    let device = loop {
        // The same key is always the same device, so enrolling again is how to ask whether it was admitted.
        let request =
            EnrolmentRequest { public_key: public_key.clone(), facts: None, key_id: None, model: None, name: None };
        let device = server.enrol_device(None, &request).await?.into_inner();
        if device.status == DeviceStatus::Active {
            break device;
        }
        println!("{} is {}: an operator has to admit it", device.id, device.status);
        tokio::time::sleep(Duration::from_secs(10)).await;
    };
    loop {
        let token = log_in(&server, &device.id, &key).await?;
        let client = Client::new(url, Bearer::new(&token.access_token)?);
        let renew_at = Instant::now() + Duration::from_secs(token.expires_in.into()).mul_f64(0.8);
        while Instant::now() < renew_at {
            let bundle_id = fs::read_to_string(home.join("bundle_id")).ok();
            let beat = Heartbeat { bundle_id, config_version: None, facts: None, health: None };
            let reply = client.heartbeat(&beat).await?.into_inner();
            for command in &reply.commands {
                println!("{} is told to {}", device.id, command.kind);
                obey(&client, command, &home).await?;
            }
            // After a command the server wants to hear soon how the device is doing.
            let wait = if reply.commands.is_empty() { reply.next_poll_s.into() } else { 1 };
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
    }
}
