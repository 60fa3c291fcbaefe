//! Owns `plugin push` and `plugin list`: a component brought to a server, with its signature, and what is there.

use std::path::PathBuf;

use reqwest::Method;
use serde_json::Value;

use super::file::{read, read_text};
use super::keys::{MAX_COMPONENT_BYTES, private_key, signature_path};
use crate::cli::CliError;
use crate::cli::listing::{Column, one_line};
use crate::cli::operator::Server;
use crate::cli::output::say;
use kernex_model::signature::Signature;

/// Size of a file with a signature, in bytes: it is one short line.
const MAX_SIGNATURE_BYTES: u64 = 4_096;
pub(super) const COLUMNS: [Column; 6] = [
    ("name", "/name"),
    ("version", "/version"),
    ("gates", "/gates"),
    ("bundled", "/bundled"),
    ("signed by", "/signed_by"),
    ("digest", "/digest"),
];
const EXAMPLES: &str = "\
The signature is that of FILE.sig, as `kernex plugin sign` writes it, or made with --key. A server refuses what no key of
its setting `plugins.trusted_keys` has signed, unless `plugins.allow_unsigned` is set.

Examples:
  kernex plugin push target/kernex/my-rings.wasm
  kernex plugin push target/kernex/my-rings.wasm --key ~/.config/kernex/plugin-key.pem";

/// Bring a component to a server.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Push {
    #[command(flatten)]
    server: Server,
    /// The component
    file: PathBuf,
    /// The private key to sign it with [default: the signature in FILE.sig, where there is one]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Push {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let component = read(&self.file, MAX_COMPONENT_BYTES).map_err(CliError::failed)?;
        let signature = self.signature(&component)?;
        let operator = self.server.operator().await?;
        let mut request = operator
            .api
            .request(Method::POST, "/api/v1/plugins", Some(operator.token()))?
            .header("content-type", "application/wasm")
            .body(component);
        if let Some(signature) = signature {
            request = request.header("x-plugin-signature", signature.trim());
        }
        let plugin: Value = operator.api.answer(request).await?;
        let text = |name: &str| one_line(plugin[name].as_str().unwrap_or("-"));
        say!("{} {}  {}", text("name"), text("version"), text("digest"));
        say!("imports    {}", list(&plugin["imports"]));
        say!("signed by  {}", text("signed_by"));
        Ok(())
    }

    fn signature(&self, component: &[u8]) -> Result<Option<String>, CliError> {
        if let Some(key) = &self.key {
            return Ok(Some(Signature::sign(&private_key(key)?, component).to_string()));
        }
        match read_text(&signature_path(&self.file), MAX_SIGNATURE_BYTES) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(CliError::failed(error)),
        }
    }
}

fn list(texts: &Value) -> String {
    let texts = texts.as_array().into_iter().flatten().filter_map(Value::as_str).map(one_line);
    texts.collect::<Vec<_>>().join(", ")
}
