//! Owns `device`: lists a server's devices, shows one and why it is as it is, and admits, blocks and retires them.

mod change;
mod config;

use clap::Subcommand;
use kernex_model::id::{DeploymentId, DeviceId};
use kernex_model::selector::Selector;
use serde::Deserialize;
use serde_json::Value;

use super::CliError;
use super::listing::{Column, Listing, one_line};
use super::operator::Server;
use crate::cli::output::say;

const COLUMNS: [Column; 7] = [
    ("id", "/id"),
    ("name", "/name"),
    ("model", "/model"),
    ("status", "/status"),
    ("bundle", "/bundle_id"),
    ("last seen", "/last_seen_at"),
    ("labels", "/labels"),
];
const TIMELINE: [Column; 4] =
    [("at", "/at"), ("code", "/code"), ("message", "/message"), ("deployment", "/deployment_id")];

/// For `kernex device --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  kernex device list --status pending
  kernex device list --selector 'channel=stable,!legacy' --output json
  kernex device admit dev_…
  kernex device explain dev_…
  kernex device timeline dev_… --limit 20
  kernex device label dev_… channel=stable legacy=
  kernex device config put dev_… ./config.json
  kernex device config get dev_… --output json
  kernex device config history dev_…
  kernex device rollback dev_… --to bun_…
  kernex device retire dev_…";

/// Devices on a server.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List devices in the order in which they enrolled
    List {
        #[command(flatten)]
        listing: Listing,
        /// Only those that match: channel=stable,site in (berlin,paris),!legacy
        #[arg(long)]
        selector: Option<Selector>,
        /// Only those of this standing
        #[arg(long, value_enum)]
        status: Option<Standing>,
    },
    /// Show one device in full
    Show(One),
    /// What happened to a device, the newest first
    Timeline {
        #[command(flatten)]
        listing: Listing,
        /// The device (dev_…)
        device: DeviceId,
    },
    /// Say for each deployment under way why the device gets it, or does not
    Explain(One),
    /// Set labels of a device, or take them away
    Label(change::Label),
    /// A device's config
    #[command(subcommand)]
    Config(config::Config),
    /// Send a device back to an earlier bundle
    Rollback(change::Rollback),
    /// Admit devices that wait
    Admit(Several),
    /// Block devices: their tokens stop at once
    Block(Several),
    /// Let blocked devices in again
    Unblock(Several),
    /// Take devices out of the fleet for good
    Retire(Several),
}

/// Which devices.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Standing {
    /// They wait to be admitted.
    Pending,
    /// They take part.
    Active,
    /// They are kept out.
    Blocked,
    /// They are gone.
    Retired,
}

impl Standing {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Blocked => "blocked",
            Self::Retired => "retired",
        }
    }
}

/// One device on a server.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    #[command(flatten)]
    server: Server,
    /// The device (dev_…)
    device: DeviceId,
}

/// Some devices on a server.
#[derive(Debug, clap::Args)]
pub(crate) struct Several {
    #[command(flatten)]
    server: Server,
    /// The devices (dev_…)
    #[arg(required = true)]
    devices: Vec<DeviceId>,
}

#[derive(Deserialize)]
struct Explained {
    explanations: Vec<Explanation>,
}

#[derive(Deserialize)]
struct Explanation {
    deployment_id: DeploymentId,
    name: String,
    code: String,
    message: String,
}

impl Explanation {
    /// For people; the message may be what a device has reported.
    fn line(&self) -> String {
        let Self { deployment_id, name, code, message } = self;
        format!("{deployment_id}  {}: {} ({})", one_line(name), one_line(message), one_line(code))
    }
}

impl Command {
    pub(super) async fn run(self) -> Result<(), CliError> {
        match self {
            Self::List { listing, selector, status } => {
                let query = [
                    ("selector", selector.map(|selector| selector.to_string())),
                    ("status", status.map(|status| status.as_str().to_owned())),
                ];
                listing.print("/api/v1/devices", &query, &COLUMNS).await
            }
            Self::Show(one) => {
                let path = format!("/api/v1/devices/{}", one.device);
                let device: Value = one.server.operator().await?.get(&path).await?;
                say!("{}", serde_json::to_string_pretty(&device).map_err(CliError::failed)?);
                Ok(())
            }
            Self::Timeline { listing, device } => {
                listing.print(&format!("/api/v1/devices/{device}/timeline"), &[], &TIMELINE).await
            }
            Self::Explain(one) => {
                let path = format!("/api/v1/devices/{}/timeline?limit=1", one.device);
                let timeline: Explained = one.server.operator().await?.get(&path).await?;
                if timeline.explanations.is_empty() {
                    say!("no deployment under way concerns the device");
                }
                for explanation in timeline.explanations {
                    say!("{}", explanation.line());
                }
                Ok(())
            }
            Self::Label(label) => label.run().await,
            Self::Config(config) => config.run().await,
            Self::Rollback(rollback) => rollback.run().await,
            Self::Admit(devices) => devices.each("admit").await,
            Self::Block(devices) => devices.each("block").await,
            Self::Unblock(devices) => devices.each("unblock").await,
            Self::Retire(devices) => devices.each("retire").await,
        }
    }
}

impl Several {
    /// One after the other; the first that fails ends it.
    async fn each(self, step: &str) -> Result<(), CliError> {
        let operator = self.server.operator().await?;
        for device in self.devices {
            let path = format!("/api/v1/devices/{device}/{step}");
            let changed: Value = operator.post(&path, &serde_json::json!({})).await?;
            say!("{device} is {}", changed["status"].as_str().unwrap_or("?"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_reports_does_not_move_the_cursor() {
        let explanation = Explanation {
            deployment_id: "dep_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D".parse().expect("an identifier"),
            name: "a\u{1b}[2J".to_owned(),
            code: "back\roff".to_owned(),
            message: "disk\nfull\u{9b}1A".to_owned(),
        };
        assert_eq!(explanation.line(), "dep_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D  a [2J: disk full 1A (back off)");
    }
}
