//! Owns `fleet simulate`: many devices with keys of their own, over real HTTP, until they are told to stop.

mod admission;
mod device;
mod display;
mod outcome;
mod protocol;
mod roster;
mod tally;
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kernex_model::name::BundleVersion;
use rand::Rng;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::CliError;
use super::api::Api;
use super::operator::Server;
use admission::Admitter;
use roster::Roster;
use tally::Tally;

/// Devices in one simulated fleet.
const MAX_DEVICES: u32 = 200_000;
/// Calls that meet a busy or absent server are made this often: long enough for a restart.
const ATTEMPTS: u32 = 12;
/// How often what happened to the devices is written down, so that a second run goes on from there.
const SAVE_INTERVAL: Duration = Duration::from_secs(5);

/// For `kernex fleet --help` and `kernex fleet simulate --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  kernex fleet simulate --devices 1000 --poll 2
  kernex fleet simulate --devices 1000 --poll 2 --fail-rate 0.6 --fail-version 2.0.0
  kernex fleet simulate --devices 50 --until-idle 20";

/// Run simulated devices, with real keys and real HTTP, against a server.
///
/// With a login (or --username, or --token) the keys are admitted beforehand and given the labels
/// channel, site and simulated=true; otherwise the server must admit devices by itself (admission = "automatic"),
/// or somebody must. A login that is no longer good ends the command, unless --no-admit says that it does not matter.
/// A second run with the same state directory is the same fleet; two at a time are refused.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Simulate {
    #[command(flatten)]
    server: Server,
    /// Log in as this user to admit the devices; the password comes from KERNEX_PASSWORD, the terminal or standard input
    #[arg(long, conflicts_with = "token")]
    username: Option<String>,
    /// How many devices
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_DEVICES)))]
    devices: u32,
    /// The share of devices, 0 to 1, on which an installation fails
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    fail_rate: f64,
    /// Only this version fails; every version, if none is named
    #[arg(long, value_name = "VERSION")]
    fail_version: Option<BundleVersion>,
    /// Decides which devices fail, together with the version: the same seed, the same devices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds between two heartbeats, instead of what the server asks for
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    poll: Option<f64>,
    /// Seconds that an installation takes
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5, value_parser = seconds)]
    install: f64,
    /// Where the devices' keys are kept; made for its owner only, where it does not exist
    #[arg(long, value_name = "DIR", default_value = "./data/simulated-fleet")]
    state_dir: PathBuf,
    /// The name that the server goes by (its setting server.name)
    #[arg(long, default_value = "kernex")]
    audience: String,
    /// Calls that are made at the same time, at most
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=4096))]
    concurrency: u16,
    /// Do not admit the devices, even if somebody is logged in
    #[arg(long)]
    no_admit: bool,
    /// End after this time
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    lasts: Option<f64>,
    /// End once no device has had anything to do for this time
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30", value_parser = seconds)]
    until_idle: Option<f64>,
}

/// What all devices of a fleet share.
struct World {
    api: Api,
    options: Simulate,
    /// Admits the devices.
    admitter: Option<Admitter>,
    roster: Roster,
    tally: Tally,
    /// Bounds the calls that are under way.
    permits: Semaphore,
    stop: CancellationToken,
}

impl World {
    /// Waits for leave to make a call; `None` only where the fleet has ended.
    async fn permit(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.permits.acquire().await.ok()
    }
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "a number from 0 to 1".to_owned())
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|s| (0.0..=86_400.0).contains(s)).ok_or_else(|| "seconds, from 0 to 86400".to_owned())
}

impl Simulate {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let api = Api::new(&self.server.address()?, ATTEMPTS)?;
        let admitter = if self.no_admit { None } else { admission::admitter(&self, &api).await? };
        let roster = Roster::open(&self.state_dir, self.devices).map_err(|error| {
            CliError::Failed(format!("cannot use the state directory {}: {error}", self.state_dir.display()))
        })?;
        let world = Arc::new(World {
            api,
            tally: Tally::new(self.devices),
            permits: Semaphore::new(usize::from(self.concurrency)),
            stop: CancellationToken::new(),
            roster,
            admitter,
            options: self,
        });
        let saver = tokio::spawn(save_often(world.clone()));
        let display = tokio::spawn(display::show(world.clone()));
        let ender = tokio::spawn(end_in_time(world.clone()));
        live(&world).await;
        world.stop.cancel();
        // The three only wait for the token or the clock; how they ended says nothing more.
        let _ = tokio::join!(saver, display, ender);
        world.roster.save().map_err(CliError::failed)?;
        display::summary(&world);
        Ok(())
    }
}

/// Lets every device live until the fleet is stopped.
async fn live(world: &Arc<World>) {
    let devices = TaskTracker::new();
    for number in 0..world.options.devices {
        let world = world.clone();
        devices.spawn(async move {
            // What a device knows is kept in the roster with every step, so it may be cut off anywhere.
            world.stop.run_until_cancelled(device::live(&world, number)).await;
        });
    }
    devices.close();
    devices.wait().await;
}

async fn save_often(world: Arc<World>) {
    while world.stop.run_until_cancelled(tokio::time::sleep(SAVE_INTERVAL)).await.is_some() {
        if let Err(error) = world.roster.save() {
            world.tally.trouble(format!("cannot write the state: {error}"));
        }
    }
}

/// Ends the fleet at Ctrl-C, after `--for`, or when it has been idle for long enough.
async fn end_in_time(world: Arc<World>) {
    let after = |seconds: Option<f64>| async move {
        match seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs_f64(seconds)).await,
            None => std::future::pending().await,
        }
    };
    let idle = async {
        match world.options.until_idle {
            Some(seconds) => {
                while world.tally.idle_for() < Duration::from_secs_f64(seconds) {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = after(world.options.lasts) => {}
        () = idle => {}
        () = world.stop.cancelled() => {}
    }
    world.stop.cancel();
}

/// `seconds`, more or less by a tenth: devices that were started together drift apart.
fn about(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds * rand::rng().random_range(0.9..1.1))
}
