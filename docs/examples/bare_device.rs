//! The least that a device does, on the generated client: enrols, gets a token, polls, downloads what it is told to,
//! checks it, and says how it went. It ends when it is refused, when what it downloaded is not what was announced, and
//! with its token, after an hour: start it again then.
//!
//!     openssl genpkey -algorithm ed25519 -out my-device/key.pem
//!     cargo run -p kernex-client --example bare_device -- http://127.0.0.1:8080 ./my-device
//!
//! device.rs does what is left out here.

use std::{error::Error, fs, path::Path, time::Duration};

use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, spki::der::pem::LineEnding};
use futures_util::TryStreamExt;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use kernex_client::types::{DeviceTokenRequest, EnrolmentRequest, Heartbeat, Report, ReportState::Installed};
use kernex_client::{Bearer, Client};
use sha2::{Digest, Sha256};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [_, url, home]: [String; 3] = std::env::args().collect::<Vec<_>>().try_into().map_err(|_| "URL DIRECTORY")?;
    let (home, server) = (Path::new(&home), Client::new(&url, Bearer::nobody()));
    let key = ed25519_dalek::SigningKey::read_pkcs8_pem_file(home.join("key.pem"))?;
    let public_key = key.verifying_key().to_public_key_pem(LineEnding::LF)?;
    let request = EnrolmentRequest { public_key, facts: None, key_id: None, model: None, name: None };
    let id = server.enrol_device(None, &request).await?.into_inner().id;
    let (jti, exp) = (ulid::Ulid::new().to_string(), chrono::Utc::now().timestamp() + 60);
    let claims = serde_json::json!({ "iss": id, "sub": id, "aud": "kernex", "jti": jti, "exp": exp });
    let secret = EncodingKey::from_ed_der(key.to_pkcs8_der()?.as_bytes());
    let assertion = jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &secret)?;
    let grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer".parse()?;
    let token = server.issue_device_token(&DeviceTokenRequest { grant_type, assertion }).await?.into_inner();
    let client = Client::new(&url, Bearer::new(&token.access_token)?);
    loop {
        let bundle_id = fs::read_to_string(home.join("bundle_id")).ok();
        let reply = client.heartbeat(&Heartbeat { bundle_id, ..Default::default() }).await?.into_inner();
        for command in reply.commands {
            let bundle = command.bundle.ok_or("this device takes no configs")?;
            let answer = client.download_bundle_as_device(&bundle.id, None, None, None, None).await?;
            let content = answer.into_inner_stream().try_collect::<Vec<_>>().await?.concat();
            if hex::encode(Sha256::digest(&content)) != bundle.sha256 {
                return Err("the content is not what was announced".into());
            }
            fs::write(home.join("running.img"), &content)?;
            fs::write(home.join("bundle_id"), &bundle.id)?;
            let (assignment_id, attempt, state) = (command.assignment_id, command.attempt, Installed);
            client.report(&Report { assignment_id, attempt, state, error: None, progress: None }).await?;
        }
        tokio::time::sleep(Duration::from_secs(reply.next_poll_s.into())).await;
    }
}
