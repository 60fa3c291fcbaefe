//! Owns `deployment`: creates one on a server, and follows it until nothing more happens by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Subcommand;
use kernex_model::deployment::{DeploymentState, StateReason};
use kernex_model::id::{BundleId, DeploymentId};
use kernex_model::name::DeploymentName;
use kernex_model::selector::Selector;
use kernex_model::wave::{ExclusionCount, WaveState};
use serde::Deserialize;

use super::CliError;
use super::listing::{Column, Listing};
use super::operator::{Operator, Server};

/// How often a watched deployment is read.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Deployments on a server.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Deploy a bundle to the devices that a selector matches
    Create(Box<Create>),
    /// List deployments, the newest first
    List(Listing),
    /// Make no new offers until it is resumed
    Pause(Step),
    /// Go on with a deployment that is paused or halted
    Resume(Step),
    /// End it: what is in flight comes to its end
    Cancel(Step),
    /// Send its devices back to what they ran before
    Rollback(Step),
    /// Show where a deployment stands
    Show {
        #[command(flatten)]
        server: Server,
        /// The deployment (dep_…)
        deployment: DeploymentId,
        /// Print every change, until nothing more happens by itself
        #[arg(long)]
        watch: bool,
    },
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
        let shown: Shown = self.server.operator().await?.post(&path, &body).await?;
        print!("{}", describe(&shown));
        Ok(())
    }
}

/// Deploy a bundle to the devices that a selector matches.
#[derive(Debug, clap::Args)]
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
    /// Print every change, until nothing more happens by itself
    #[arg(long)]
    watch: bool,
}

/// A deployment as far as it is shown.
#[derive(Deserialize)]
struct Shown {
    id: DeploymentId,
    name: DeploymentName,
    state: DeploymentState,
    #[serde(default)]
    reason: Option<StateReason>,
    waves: Vec<ShownWave>,
    #[serde(default)]
    exclusions: Vec<ExclusionCount>,
    #[serde(default)]
    settled: bool,
}

#[derive(Deserialize)]
struct ShownWave {
    name: String,
    state: WaveState,
    counts: BTreeMap<String, u64>,
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
            Self::Pause(step) => step.ask("pause").await,
            Self::Resume(step) => step.ask("resume").await,
            Self::Cancel(step) => step.ask("cancel").await,
            Self::Rollback(step) => step.ask("rollback").await,
            Self::Show { server, deployment, watch } => {
                let operator = server.operator().await?;
                let shown = read(&operator, deployment).await?;
                print!("{}", describe(&shown));
                if watch { follow(&server, shown).await } else { Ok(()) }
            }
        }
    }
}

impl Create {
    async fn run(self) -> Result<(), CliError> {
        let operator = self.server.operator().await?;
        let shown: Shown = operator.post("/api/v1/deployments", &self.body()).await?;
        print!("{}", describe(&shown));
        if self.watch { follow(&self.server, shown).await } else { Ok(()) }
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

async fn read(operator: &Operator, id: DeploymentId) -> Result<Shown, CliError> {
    Ok(operator.get(&format!("/api/v1/deployments/{id}")).await?)
}

/// Prints what changes, and in the end how it all stands. The login is asked for each time, because a
/// deployment may take longer than an access token lives.
async fn follow(server: &Server, mut shown: Shown) -> Result<(), CliError> {
    while !shown.settled {
        tokio::time::sleep(WATCH_INTERVAL).await;
        let now = read(&server.operator().await?, shown.id).await?;
        let change = difference(&shown, &now);
        if !change.is_empty() {
            println!("{}  {change}", chrono::Local::now().format("%H:%M:%S"));
        }
        shown = now;
    }
    print!("{}", describe(&shown));
    Ok(())
}

/// What is not as it was, in one line: the state with its reason, and the waves that moved.
fn difference(before: &Shown, now: &Shown) -> String {
    let mut parts = Vec::new();
    if before.state != now.state {
        let reason = now.reason.as_ref().map(|reason| format!(" because {}", reason.message)).unwrap_or_default();
        parts.push(format!("{}{reason}", now.state.as_str()));
    }
    for (at, wave) in now.waves.iter().enumerate() {
        let same = before.waves.get(at).is_some_and(|old| old.state == wave.state && old.counts == wave.counts);
        if !same {
            parts.push(format!("{} {}: {}", wave.name, wave.state_text(), wave.counts_text()));
        }
    }
    parts.join(" | ")
}

impl ShownWave {
    fn state_text(&self) -> &'static str {
        match self.state {
            WaveState::Waiting => "waiting",
            WaveState::Open => "open",
            WaveState::Passed => "passed",
            WaveState::Failed => "failed",
        }
    }

    fn counts_text(&self) -> String {
        let counts = self.counts.iter().filter(|(_, count)| **count > 0);
        let texts: Vec<String> = counts.map(|(state, count)| format!("{count} {state}")).collect();
        if texts.is_empty() { "no devices".to_owned() } else { texts.join(", ") }
    }
}

fn describe(shown: &Shown) -> String {
    let mut text = format!("{}  {}  {}\n", shown.id, shown.state.as_str(), shown.name);
    if let Some(reason) = &shown.reason {
        text.push_str(&format!("  because {} ({}, by {})\n", reason.message, reason.code, reason.by));
    }
    for wave in &shown.waves {
        text.push_str(&format!("  wave {:<12} {:<8} {}\n", wave.name, wave.state_text(), wave.counts_text()));
    }
    for exclusion in &shown.exclusions {
        text.push_str(&format!(
            "  left out: {} devices, {} ({})\n",
            exclusion.count, exclusion.message, exclusion.code
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_described() {
        let shown: Shown = serde_json::from_value(serde_json::json!({
            "id": "dep_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D", "name": "two", "state": "rolling_back",
            "reason": { "code": "failure-share", "message": "3 of 5 failed", "by": "policy:guardian" },
            "waves": [{ "name": "canary", "state": "failed", "counts": { "failed": 3, "verified": 2, "queued": 0 } }],
        }))
        .expect("a deployment");
        let text = describe(&shown);
        assert!(
            text.contains("rolling_back  two") && text.contains("3 of 5 failed (failure-share, by policy:guardian)")
        );
        assert!(text.contains("failed   3 failed, 2 verified\n"), "{text}");
    }

    #[test]
    fn a_change_is_one_line() {
        let shown = |state: &str, canary: u64| -> Shown {
            serde_json::from_value(serde_json::json!({
                "id": "dep_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D", "name": "two", "state": state,
                "reason": { "code": "c", "message": "so it is", "by": "host" },
                "waves": [
                    { "name": "canary", "state": "open", "counts": { "running": canary } },
                    { "name": "all", "state": "waiting", "counts": { "queued": 5 } },
                ],
            }))
            .expect("a deployment")
        };
        assert_eq!(difference(&shown("running", 1), &shown("running", 1)), "");
        assert_eq!(difference(&shown("running", 1), &shown("running", 2)), "canary open: 2 running");
        assert_eq!(
            difference(&shown("running", 2), &shown("paused", 0)),
            "paused because so it is | canary open: no devices"
        );
    }

    #[test]
    fn settings_keep_their_types() {
        assert_eq!(setting("a=5"), Ok(("a".to_owned(), 5.into())));
        assert_eq!(setting("a=true"), Ok(("a".to_owned(), true.into())));
        assert_eq!(setting("a=b=c"), Ok(("a".to_owned(), "b=c".into())));
        assert_eq!(setting("a={}"), Ok(("a".to_owned(), "{}".into())));
        assert!(setting("a").is_err());
    }
}
