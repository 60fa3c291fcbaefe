//! Owns `bundle`: uploads content to a server, streamed from disk, shows what is there, and takes it out of use.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use kernex_model::bundle::{Bundle, BundleStatus};
use kernex_model::id::BundleId;
use kernex_model::name::{BundleName, BundleVersion, MediaType};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use super::CliError;
use super::api::decode;
use super::listing::{Column, Format, Listing, show_one};
use super::operator::Server;
use crate::cli::output::say;

const COLUMNS: [Column; 6] = [
    ("id", "/id"),
    ("name", "/name"),
    ("version", "/version"),
    ("status", "/status"),
    ("bytes", "/size"),
    ("created", "/created_at"),
];

/// Bytes that are read from disk at once.
const READ_BYTES: usize = 256 * 1024;

/// For `kernex bundle --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  kernex bundle upload ./gateway-os-1.0.0.img --name gateway-os --version 1.0.0
  kernex bundle upload ./rules.json --name rules --version 7 --media-type application/json
  kernex bundle list --limit 5
  kernex bundle show bun_… --output json
  kernex bundle retire bun_…";

/// Bundles on a server.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Upload a file as a bundle
    Upload(Upload),
    /// List bundles, the newest first
    List(Listing),
    /// Show one bundle
    Show(One),
    /// Take a bundle out of use: devices that run it keep it
    Retire(One),
}

/// One bundle on a server.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    #[command(flatten)]
    server: Server,
    /// The bundle (bun_…)
    bundle: BundleId,
    /// How it is shown
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// Upload a file as a bundle.
#[derive(Debug, clap::Args)]
pub(crate) struct Upload {
    #[command(flatten)]
    server: Server,
    /// The file
    file: PathBuf,
    /// The bundle's name
    #[arg(long)]
    name: BundleName,
    /// The bundle's version; a semantic version can be compared by policies
    #[arg(long)]
    version: BundleVersion,
    /// Media type of the content
    #[arg(long, default_value = "application/octet-stream")]
    media_type: MediaType,
    /// Detached signature for the devices to check
    #[arg(long)]
    signature: Option<String>,
}

impl Command {
    pub(super) async fn run(self) -> Result<(), CliError> {
        match self {
            Self::Upload(upload) => upload.run().await,
            Self::List(listing) => listing.print("/api/v1/bundles", &[], &COLUMNS).await,
            Self::Show(One { server, bundle, output }) => {
                let shown: Value = server.operator().await?.get(&format!("/api/v1/bundles/{bundle}")).await?;
                show_one(&shown, &COLUMNS, output)
            }
            Self::Retire(One { server, bundle, output }) => {
                let path = format!("/api/v1/bundles/{bundle}/retire");
                let retired: Value = server.operator().await?.post(&path, &json!({})).await?;
                show_one(&retired, &COLUMNS, output)
            }
        }
    }
}

impl Upload {
    async fn run(self) -> Result<(), CliError> {
        let unreadable =
            |error: std::io::Error| CliError::Failed(format!("cannot read {}: {error}", self.file.display()));
        let (digest, size) = digest_of(&self.file).await.map_err(unreadable)?;
        let file = tokio::fs::File::open(&self.file).await.map_err(unreadable)?;
        let operator = self.server.operator().await?;
        // Names and versions consist of characters that a query may hold as they are, but for `+`.
        let version = self.version.as_str().replace('+', "%2B");
        let path = format!("/api/v1/bundles?name={}&version={version}", self.name);
        let mut request = operator
            .api
            .request(Method::POST, &path, Some(operator.token()))?
            .header("content-type", self.media_type.as_str())
            .header("content-length", size)
            .header("repr-digest", format!("sha-256=:{}:", STANDARD.encode(digest)))
            .body(reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::with_capacity(file, READ_BYTES)));
        if let Some(signature) = &self.signature {
            request = request.header("x-bundle-signature", signature);
        }
        let bundle: Bundle = decode(operator.api.send(request).await?).await?;
        print_bundle(&bundle);
        Ok(())
    }
}

/// Read twice, so that the server can refuse what was changed or cut on the way.
async fn digest_of(path: &std::path::Path) -> std::io::Result<([u8; 32], u64)> {
    let mut file = tokio::fs::File::open(path).await?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut size = 0_u64;
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            return Ok((hasher.finalize().into(), size));
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
    }
}

fn print_bundle(bundle: &Bundle) {
    let status = match bundle.status {
        BundleStatus::Available => "available",
        BundleStatus::Bad => "bad",
        BundleStatus::Retired => "retired",
    };
    say!(
        "{}  {} {}  {} bytes  {status}  sha256 {}",
        bundle.id,
        bundle.name,
        bundle.version,
        bundle.size,
        bundle.sha256
    );
}
