//! Owns `audit`: lists what was done on a server, and by whom.

use clap::Subcommand;

use super::CliError;
use super::listing::{Column, Listing};

const COLUMNS: [Column; 6] = [
    ("at", "/at"),
    ("principal", "/principal"),
    ("action", "/action"),
    ("kind", "/resource_kind"),
    ("resource", "/resource_id"),
    ("decision", "/decision_id"),
];

/// For `kernex audit --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  kernex audit list --limit 20
  kernex audit list --action deployment:create
  kernex audit list --principal usr_… --output json";

/// What was done on a server.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List audit records, the newest first
    List {
        #[command(flatten)]
        listing: Listing,
        /// Only what this principal did (usr_…, key_…, dev_…)
        #[arg(long, value_name = "ID")]
        principal: Option<String>,
        /// Only what was done to this thing
        #[arg(long, value_name = "ID")]
        resource: Option<String>,
        /// Only what is called this, such as `deployment:create`
        #[arg(long)]
        action: Option<String>,
    },
}

impl Command {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let Self::List { listing, principal, resource, action } = self;
        let query = [("principal", principal), ("resource", resource), ("action", action)];
        listing.print("/api/v1/audit", &query, &COLUMNS).await
    }
}
