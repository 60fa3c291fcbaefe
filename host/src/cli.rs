//! Owns the command line: what it understands, and how each command ends.

mod api;
mod audit;
mod bundle;
mod credentials;
mod decision;
mod deployment;
mod device;
mod doctor;
mod listing;
mod login;
mod migrate;
mod operator;
mod plugin;
mod policy;
mod serve;
mod settings;
mod simulate;
mod user;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::{Overrides, Settings, SettingsError};
use crate::host::StartError;

pub use api::ApiError;

/// Exit codes beyond 0 (done), 1 (failed) and 2 (wrong arguments, by clap).
const EXIT_SETTINGS: u8 = 3;
const EXIT_ADDRESS_IN_USE: u8 = 4;
const EXIT_STORE_HELD: u8 = 5;

/// Kernex: a control plane for fleets of devices.
#[derive(Debug, Parser)]
#[command(name = "kernex", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

const EXAMPLES: &str = "\
Examples:
  kernex serve --listen 127.0.0.1:8080 --data-dir ./data
  kernex register --username ada --email ada@example.org --setup-token TOKEN
  kernex bundle upload ./gateway-os-1.0.0.img --name gateway-os --version 1.0.0
  kernex device list --selector channel=stable --output json
  kernex fleet simulate --devices 1000 --poll 2
  kernex plugin new --gate targeting my-rings
  kernex doctor
  kernex completions bash > /etc/bash_completion.d/kernex

Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 wrong settings, 4 the address is in use,
5 another process has the data directory.";

/// Options of every command that reads settings.
#[derive(Debug, clap::Args)]
struct Global {
    /// TOML file with settings [default: ./kernex.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "KERNEX_CONFIG")]
    config: Option<PathBuf>,
    /// Where the server keeps its data [default: ./data]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server
    Serve(serve::Serve),
    /// Bring the database's schema up or down, while the server is stopped
    #[command(subcommand)]
    Migrate(migrate::Migrate),
    /// Accounts, on this machine and while the server is stopped
    #[command(subcommand)]
    User(user::User),
    /// Policies: those on a server, and the way back in on this machine
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Plugins: write, build, test, measure and sign them, on this machine
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Settings
    #[command(subcommand)]
    Config(settings::Show),
    /// Print the OpenAPI document
    Openapi,
    /// Make an account on a server and log in to it
    Register(login::Register),
    /// Log in to a server; the following commands use the login
    Login(login::Login),
    /// Bundles on a server
    #[command(subcommand)]
    Bundle(bundle::Command),
    /// Deployments on a server
    #[command(subcommand)]
    Deployment(deployment::Command),
    /// What the policies of a server decided
    #[command(subcommand)]
    Decision(decision::Command),
    /// Devices on a server
    #[command(subcommand)]
    Device(device::Command),
    /// What was done on a server
    #[command(subcommand)]
    Audit(audit::Command),
    /// Look at what the server needs, and say what to do about what is wrong
    Doctor,
    /// Print a script that completes commands in a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Simulated devices
    #[command(subcommand)]
    Fleet(Fleet),
}

#[derive(Debug, Subcommand)]
enum Fleet {
    /// Run simulated devices, with real keys and real HTTP, against a server
    Simulate(Box<simulate::Simulate>),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The server, or the part of it that the command needs, does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A server did not do what was asked.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Anything else, in a sentence.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    /// What the process ends with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) => EXIT_SETTINGS,
            Self::Start(StartError::AddressInUse(_)) => EXIT_ADDRESS_IN_USE,
            Self::Start(StartError::Store(kernex_store::OpenError::Held(_))) => EXIT_STORE_HELD,
            Self::Start(_) | Self::Api(_) | Self::Failed(_) => 1,
        }
    }

    fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Global {
    fn settings(self, listen: Option<std::net::SocketAddr>) -> Result<Settings, SettingsError> {
        Settings::load(self.config.as_deref(), &Overrides { listen, data_dir: self.data_dir })
    }
}

/// Does what the command line says.
///
/// # Errors
/// [`CliError`], whose text is for the person at the terminal.
pub async fn run(cli: Cli) -> Result<(), CliError> {
    let global = cli.global;
    match cli.command {
        Command::Serve(serve) => serve.run(global).await,
        Command::Migrate(migrate) => migrate.run(&global.settings(None)?).await,
        Command::User(user) => user.run(&global.settings(None)?).await,
        Command::Policy(policy) => policy.run(global).await,
        Command::Plugin(plugin) => plugin.run(),
        Command::Config(show) => show.run(&global.settings(None)?),
        Command::Openapi => settings::openapi().await,
        Command::Register(register) => register.run().await,
        Command::Login(login) => login.run().await,
        Command::Bundle(bundle) => bundle.run().await,
        Command::Deployment(deployment) => deployment.run().await,
        Command::Decision(decision) => decision.run().await,
        Command::Device(device) => device.run().await,
        Command::Audit(audit) => audit.run().await,
        Command::Doctor => doctor::run(&global.settings(None)?).await,
        Command::Completions { shell } => {
            let mut command = <Cli as clap::CommandFactory>::command();
            clap_complete::generate(shell, &mut command, "kernex", &mut std::io::stdout());
            Ok(())
        }
        Command::Fleet(Fleet::Simulate(simulate)) => simulate.run().await,
    }
}
