//! Owns `policy`: writes, activates and takes back policies of a server, and the way back in when none lets anybody in,
//! which is never over HTTP.

mod trying;

use std::path::PathBuf;

use clap::Subcommand;
use kernex_model::digest::Digest;
use kernex_model::name::PolicyName;
use serde_json::{Value, json};

use super::listing::{Column, Listing, one_line};
use super::operator::{Operator, Server};
use super::plugin::file::read_text;
use super::{CliError, Global};
use crate::app::policies::written::Document;
use crate::app::{Context, Policies};
use crate::cli::output::say;
use crate::host;

const COLUMNS: [Column; 6] = [
    ("name", "/name"),
    ("gate", "/gate"),
    ("active", "/active/revision"),
    ("plugin", "/active/plugin"),
    ("quarantined", "/quarantined"),
    ("changed", "/updated_at"),
];
const REVISION_COLUMNS: [Column; 5] = [
    ("revision", "/revision"),
    ("plugin", "/plugin"),
    ("settings", "/settings_digest"),
    ("created", "/created_at"),
    ("by", "/created_by"),
];

/// Size of a document, in bytes: more than any server takes.
const MAX_DOCUMENT_BYTES: u64 = 4 << 20;

/// For `kernex policy --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  kernex policy list
  kernex policy put policies/examples/freeze.toml
  kernex policy put my-rings.toml --activate
  kernex policy revisions rbac --limit 5
  kernex policy activate freeze 1
  kernex policy rollback freeze
  kernex policy shadow rbac 2 --sample-percent 10
  kernex policy seen rbac
  kernex policy differences rbac --limit 20
  kernex policy replay rbac 2 --days 7
  kernex policy replay rings 2 --deployment dep_01M7Z9Y4C0HKHYE7QRCDEJQWKS
  kernex policy restore --data-dir /var/lib/kernex";

/// Policies: those on a server, and the way back in on this machine.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// List the policies of a server, each with the revision that decides
    List(Listing),
    /// List a policy's revisions, the newest first
    Revisions(Revisions),
    /// Write a new revision of a policy, from a TOML document such as those in policies/
    Put(Put),
    /// Let a revision decide from here on
    Activate(Activate),
    /// Let the revision decide again that decided before; where there was none the policy decides no more
    Rollback(Rollback),
    /// Let a revision look on: it is asked beside the one that decides, and only compared with it
    Shadow(trying::Shadow),
    /// Show what the revision that looks on was seen to do
    Seen(trying::Seen),
    /// List what the revision that looks on would have decided otherwise, the newest first
    Differences(trying::Differences),
    /// Ask a revision what the policy decided in the last days, or about one deployment, and show what would differ
    Replay(trying::Replay),
    /// Make the bundled authorization policy the active one again, on this machine while the server is stopped
    Restore(Global),
}

/// List a policy's revisions.
#[derive(Debug, clap::Args)]
pub(crate) struct Revisions {
    /// The policy
    name: PolicyName,
    #[command(flatten)]
    listing: Listing,
}

/// Write a new revision.
#[derive(Debug, clap::Args)]
pub(crate) struct Put {
    #[command(flatten)]
    server: Server,
    /// The document: name, gate, plugin, settings
    file: PathBuf,
    /// The plugin, where the server has several of that name
    #[arg(long, value_name = "DIGEST")]
    plugin: Option<Digest>,
    /// Let it decide at once
    #[arg(long)]
    activate: bool,
}

/// Activate a revision.
#[derive(Debug, clap::Args)]
pub(crate) struct Activate {
    #[command(flatten)]
    server: Server,
    /// The policy
    name: PolicyName,
    /// Its revision
    revision: u64,
}

/// Go back to the revision before.
#[derive(Debug, clap::Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    server: Server,
    /// The policy
    name: PolicyName,
}

impl Policy {
    pub(super) async fn run(self) -> Result<(), CliError> {
        match self {
            Self::List(listing) => listing.print("/api/v1/policies", &[], &COLUMNS).await,
            Self::Revisions(Revisions { name, listing }) => {
                listing.print(&format!("/api/v1/policies/{name}/revisions"), &[], &REVISION_COLUMNS).await
            }
            Self::Put(put) => put.run().await,
            Self::Activate(Activate { server, name, revision }) => {
                activate(&server.operator().await?, &name, revision).await
            }
            Self::Rollback(Rollback { server, name }) => {
                let path = format!("/api/v1/policies/{name}/rollback");
                print_standing(&server.operator().await?.post(&path, &json!({})).await?);
                Ok(())
            }
            Self::Shadow(shadow) => shadow.run().await,
            Self::Seen(seen) => seen.run().await,
            Self::Differences(differences) => differences.run().await,
            Self::Replay(replay) => replay.run().await,
            Self::Restore(global) => restore(global).await,
        }
    }
}

impl Put {
    async fn run(self) -> Result<(), CliError> {
        let failed = |why: toml::de::Error| CliError::Failed(format!("{}: {why}", self.file.display()));
        let text = read_text(&self.file, MAX_DOCUMENT_BYTES).map_err(CliError::failed)?;
        let document: Document = text.parse().map_err(failed)?;
        let operator = self.server.operator().await?;
        let plugin = match self.plugin {
            Some(digest) => digest.to_string(),
            None => plugin_of(&operator, &document.plugin).await?,
        };
        let body = json!({
            "plugin": plugin, "gate": document.gate, "settings": document.settings,
            "instances": document.instances, "actions": document.actions, "secret_facts": document.secret_facts,
        });
        let path = format!("/api/v1/policies/{}", document.name);
        let written: Value = operator.put(&path, &body).await?;
        let revision = written["revision"].as_u64().unwrap_or_default();
        say!("{} revision {revision}  plugin {} {plugin}", document.name, document.plugin);
        if self.activate {
            return activate(&operator, &document.name, revision).await;
        }
        say!("It decides nothing yet: `kernex policy activate {} {revision}`", document.name);
        Ok(())
    }
}

/// The digest of the one plugin of this name.
async fn plugin_of(operator: &Operator, name: &str) -> Result<String, CliError> {
    let listed: Value = operator.get("/api/v1/plugins").await?;
    let named = listed["items"].as_array().into_iter().flatten().filter(|plugin| plugin["name"] == name);
    let digests: Vec<&str> = named.filter_map(|plugin| plugin["digest"].as_str()).collect();
    match digests.as_slice() {
        [digest] => Ok((*digest).to_owned()),
        [] => Err(CliError::Failed(format!("the server has no plugin `{name}`; bring it with `kernex plugin push`"))),
        several => Err(CliError::Failed(format!(
            "the server has several plugins `{name}`; say which with --plugin: {}",
            several.join(", ")
        ))),
    }
}

async fn activate(operator: &Operator, name: &PolicyName, revision: u64) -> Result<(), CliError> {
    let path = format!("/api/v1/policies/{name}/activate");
    print_standing(&operator.post(&path, &json!({ "revision": revision })).await?);
    Ok(())
}

fn print_standing(policy: &Value) {
    let name = one_line(policy["name"].as_str().unwrap_or_default());
    match policy["active"]["revision"].as_u64() {
        Some(revision) => say!("{name} revision {revision} decides"),
        None => say!("{name} decides nothing now"),
    }
}

async fn restore(global: Global) -> Result<(), CliError> {
    let store = host::open_migrated(&global.settings(None)?).await?;
    let restored = Policies::restore_authorization(&host::engine()?, &store, &Context::system()).await;
    store.close().await.map_err(CliError::failed)?;
    let revision = restored.map_err(CliError::failed)?;
    say!("{} revision {} is active", revision.name, revision.revision);
    Ok(())
}
