//! Owns `user create`: an account made on the machine itself, for where the set-up token was lost.

use clap::Subcommand;
use kernex_model::name::{Email, RoleName, Username};

use super::output::say;
use super::{CliError, login};
use crate::app::Caller;
use crate::app::identity::accounts::NewUser;
use crate::config::Settings;
use crate::host;
use crate::telemetry::ExportFailures;

/// For `kernex user --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  kernex user create --username ada --email ada@example.org
  kernex user create --username eve --email eve@example.org --role viewer --data-dir /var/lib/kernex";

/// Accounts, on this machine and while the server is stopped.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Make an account: an administrator's, unless --role gives it other roles
    ///
    /// The password is asked for, or read from KERNEX_PASSWORD or standard input.
    Create {
        /// Short name
        #[arg(long)]
        username: Username,
        /// E-mail address
        #[arg(long)]
        email: Email,
        /// A role that the authorization policy knows; may be repeated
        #[arg(long = "role", value_name = "ROLE", default_value = "admin")]
        roles: Vec<RoleName>,
    },
}

impl User {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), CliError> {
        let Self::Create { username, email, roles } = self;
        // Before a password is asked for.
        host::require_owner(settings)?;
        let password = login::password(true)?;
        let opened = host::open(settings, &host::server_engine()?, &ExportFailures::default()).await?;
        let new = NewUser { username, email, password };
        let made = opened.app.create_user(&Caller::system(), new, roles).await;
        opened.app.store.close().await.map_err(CliError::failed)?;
        let user = made.map_err(CliError::failed)?;
        say!("{}  {}  {}", user.id, user.username, user.email);
        Ok(())
    }
}
