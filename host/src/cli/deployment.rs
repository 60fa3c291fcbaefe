//! Owns `deployment`: creates one on a server, shows and steers it, and follows it to its end.

mod shown;
mod view;
mod watch;

use clap::Subcommand;
use kernex_model::id::{BundleId, DeploymentId};
use kernex_model::name::DeploymentName;
use kernex_model::selector::Selector;

use super::CliError;
use super::listing::{Column, Listing};
use super::operator::Server;
use crate::cli::output::{say, say_no_newline};
use shown::Seen;

/// For `kernex deployment --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  kernex deployment create --bundle bun_… --selector channel=stable --watch
  kernex deployment create --bundle bun_… --selector 'site in (berlin,paris),!legacy' --canary 10 --soak-s 600
  kernex deployment watch dep_…
  kernex deployment watch dep_… --output json | jq -r .state
  kernex deployment list --limit 5
  kernex deployment approve dep_… --reason 'looked at with the vendor'
  kernex deployment pause dep_… --reason 'wait for the weekend'
  kernex deployment resume dep_…
  kernex deployment repin dep_… --reason 'the new limits hold for it, too'
  kernex deployment rollback dep_… --reason 'the modem does not come up'";

const WATCHING: &str = "\
On a terminal, watching shows the waves live; elsewhere, a line for each change; with --output json, an object
in a line for each change. It goes on through restarts of the server and ends when nothing more happens by itself.
Ctrl-C ends the watching and not the deployment. The exit code is 0 where the deployment is completed, and 6 where
it is rolled back or cancelled.";

/// Deployments on a server.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Deploy a bundle to the devices that a selector matches
    Create(Box<Create>),
    /// List deployments, the newest first
    List(Listing),
    /// Approve what somebody else created and may not start alone
    Approve(Step),
    /// Make no new offers until it is resumed
    Pause(Step),
    /// Go on with a deployment that is paused or halted
    Resume(Step),
    /// End it: what is in flight comes to its end
    Cancel(Step),
    /// Let the revisions of its policies decide about it that are active now, instead of those from its creation
    Repin(Step),
    /// Send its devices back to what they ran before
    Rollback(Step),
    /// Show where a deployment stands
    Show(Show),
    /// Follow a deployment, until nothing more happens by itself
    #[command(after_help = WATCHING)]
    Watch(One),
}

/// How a deployment is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people
    #[default]
    Text,
    /// Everything that the server says, for programs
    Json,
}

const COLUMNS: [Column; 6] = [
    ("id", "/id"),
    ("name", "/name"),
    ("state", "/state"),
    ("why", "/reason/message"),
    ("selector", "/selector"),
    ("created", "/created_at"),
];

/// A step that somebody asks for.
#[derive(Debug, clap::Args)]
pub(crate) struct Step {
    #[command(flatten)]
    server: Server,
    /// The deployment (dep_…)
    deployment: DeploymentId,
    /// Why, for the record
    #[arg(long)]
    reason: Option<String>,
}

impl Step {
    async fn ask(self, step: &str) -> Result<(), CliError> {
        let path = format!("/api/v1/deployments/{}/{step}", self.deployment);
        let body = match self.reason {
            Some(reason) => serde_json::json!({ "reason": reason }),
            None => serde_json::json!({}),
        };
        let seen = Seen::parse(self.server.operator().await?.post(&path, &body).await?)?;
        show(&seen, Output::Text)
    }
}

/// One deployment on a server.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    #[command(flatten)]
    server: Server,
    /// The deployment (dep_…)
    deployment: DeploymentId,
    /// How it is shown
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// Show where a deployment stands.
#[derive(Debug, clap::Args)]
#[command(after_help = WATCHING)]
pub(crate) struct Show {
    #[command(flatten)]
    one: One,
    /// Go on as `kernex deployment watch` does
    #[arg(long)]
    watch: bool,
}

/// Deploy a bundle to the devices that a selector matches.
#[derive(Debug, clap::Args)]
#[command(after_help = WATCHING)]
pub(crate) struct Create {
    #[command(flatten)]
    server: Server,
    /// The bundle (bun_…)
    #[arg(long, value_name = "ID")]
    bundle: BundleId,
    /// Which devices: channel=stable,site in (berlin,paris),!legacy; `*` is every device
    #[arg(long)]
    selector: Selector,
    /// A name for people [default: the bundle and the selector]
    #[arg(long)]
    name: Option<DeploymentName>,
    /// Devices that may be told to act and have not said how it went, at most
    #[arg(long, value_name = "N")]
    max_in_flight: Option<u32>,
    /// Seconds from an offer to the end of an attempt
    #[arg(long, value_name = "SECONDS")]
    attempt_timeout_s: Option<u32>,
    /// Seconds that a device must stay healthy after installing
    #[arg(long, value_name = "SECONDS")]
    soak_s: Option<u32>,
    /// Attempts that may fail before the device has failed
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// Devices that go first, alone
    #[arg(long, value_name = "N")]
    canary: Option<u32>,
    /// Leave devices out that begin to match later
    #[arg(long)]
    frozen: bool,
    /// A fact for the policies, such as --set min_executed=20; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, serde_json::Value)>,
    /// Follow it, until nothing more happens by itself
    #[arg(long)]
    watch: bool,
    /// How it is shown
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

fn setting(text: &str) -> Result<(String, serde_json::Value), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    // Numbers and booleans are meant as such; everything else is text.
    let value = match serde_json::from_str(value) {
        Ok(plain @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_))) => plain,
        _ => serde_json::Value::String(value.to_owned()),
    };
    Ok((key.to_owned(), value))
}

impl Command {
    pub(super) async fn run(self) -> Result<(), CliError> {
        match self {
            Self::Create(create) => create.run().await,
            Self::List(listing) => listing.print("/api/v1/deployments", &[], &COLUMNS).await,
            Self::Approve(step) => step.ask("approve").await,
            Self::Pause(step) => step.ask("pause").await,
            Self::Resume(step) => step.ask("resume").await,
            Self::Cancel(step) => step.ask("cancel").await,
            Self::Repin(step) => step.ask("repin").await,
            Self::Rollback(step) => step.ask("rollback").await,
            Self::Show(Show { one, watch: false }) => show(&one.read().await?, one.output),
            Self::Show(Show { one, watch: true }) | Self::Watch(one) => {
                watch::watch(&one.server, one.read().await?, one.output).await
            }
        }
    }
}

impl One {
    async fn read(&self) -> Result<Seen, CliError> {
        Seen::read(&self.server.operator().await?, self.deployment).await
    }
}

/// Prints how a deployment stands.
fn show(seen: &Seen, output: Output) -> Result<(), CliError> {
    match output {
        Output::Text => say_no_newline!("{}", seen.shown.describe()),
        Output::Json => say!("{}", serde_json::to_string_pretty(&seen.document).map_err(CliError::failed)?),
    }
    Ok(())
}

impl Create {
    async fn run(self) -> Result<(), CliError> {
        let operator = self.server.operator().await?;
        let seen = Seen::parse(operator.post("/api/v1/deployments", &self.body()).await?)?;
        if self.watch { watch::watch(&self.server, seen, self.output).await } else { show(&seen, self.output) }
    }

    /// Leaves out what was not given: the server's defaults hold then.
    fn body(&self) -> serde_json::Value {
        let numbers = [
            ("max_in_flight", self.max_in_flight),
            ("attempt_timeout_s", self.attempt_timeout_s),
            ("soak_s", self.soak_s),
            ("max_attempts", self.max_attempts),
            ("canary", self.canary),
        ];
        let mut plan: serde_json::Map<_, _> =
            numbers.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))).collect();
        if self.frozen {
            plan.insert("frozen".to_owned(), true.into());
        }
        if !self.settings.is_empty() {
            plan.insert("settings".to_owned(), serde_json::Value::Object(self.settings.iter().cloned().collect()));
        }
        let name = self.name.as_ref().map_or_else(
            || format!("{} to {}", self.bundle, self.selector).chars().take(DeploymentName::MAX_LENGTH).collect(),
            ToString::to_string,
        );
        serde_json::json!({ "name": name.trim(), "bundle_id": self.bundle, "selector": self.selector.to_string(), "plan": plan })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_keep_their_types() {
        assert_eq!(setting("a=5"), Ok(("a".to_owned(), 5.into())));
        assert_eq!(setting("a=true"), Ok(("a".to_owned(), true.into())));
        assert_eq!(setting("a=b=c"), Ok(("a".to_owned(), "b=c".into())));
        assert_eq!(setting("a={}"), Ok(("a".to_owned(), "{}".into())));
        assert!(setting("a").is_err());
    }
}
