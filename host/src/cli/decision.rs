//! Owns `decision`: reads a server's decision log.

use clap::Subcommand;
use kernex_model::id::DecisionId;

use super::CliError;
use super::listing::{Column, Listing};
use super::operator::Server;
use crate::cli::output::say;

const COLUMNS: [Column; 9] = [
    ("at", "/at"),
    ("gate", "/gate"),
    ("policy", "/policy"),
    ("outcome", "/outcome"),
    ("subject", "/subject"),
    ("question", "/question"),
    ("why", "/message"),
    ("code", "/code"),
    ("id", "/id"),
];

/// For `kernex decision --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  kernex decision list --gate rollback --subject dep_…
  kernex decision list --gate authorization --output json
  kernex decision show dec_…
  kernex decision explain dec_…";

/// What the policies of a server decided.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List decisions, the newest first
    List(List),
    /// Show one decision in full: what was asked, what was read, what came out
    Show {
        #[command(flatten)]
        server: Server,
        /// The decision (dec_…)
        decision: DecisionId,
    },
    /// Make one decision again, by the plugin and settings that made it
    Explain {
        #[command(flatten)]
        server: Server,
        /// The decision (dec_…)
        decision: DecisionId,
    },
}

/// List decisions, the newest first.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    listing: Listing,
    /// Only those of one gate
    #[arg(long, value_enum)]
    gate: Option<Gate>,
    /// Only those about this principal, deployment or device
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
}

/// Which decisions.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Gate {
    /// Who may do what.
    Authorization,
    /// Which devices get a deployment.
    Targeting,
    /// When to stop and send devices back.
    Rollback,
}

impl Command {
    pub(super) async fn run(self) -> Result<(), CliError> {
        match self {
            Self::List(list) => list.run().await,
            Self::Show { server, decision } => {
                let path = format!("/api/v1/decisions/{decision}");
                print(&server.operator().await?.get(&path).await?)
            }
            Self::Explain { server, decision } => {
                let path = format!("/api/v1/decisions/{decision}/explain");
                print(&server.operator().await?.post(&path, &serde_json::json!({})).await?)
            }
        }
    }
}

fn print(shown: &serde_json::Value) -> Result<(), CliError> {
    say!("{}", serde_json::to_string_pretty(shown).map_err(CliError::failed)?);
    Ok(())
}

impl List {
    async fn run(self) -> Result<(), CliError> {
        let query = [("gate", self.gate.map(|gate| gate.as_str().to_owned())), ("subject", self.subject)];
        self.listing.print("/api/v1/decisions", &query, &COLUMNS).await
    }
}

impl Gate {
    fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::Targeting => "targeting",
            Self::Rollback => "rollback",
        }
    }
}
