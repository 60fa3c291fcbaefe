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
mod lock;
mod login;
mod migrate;
mod operator;
mod output;
mod plugin;
mod policy;
mod serve;
mod settings;
mod simulate;
mod user;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::{Overrides, Settings, SettingsError};
use crate::host::{self, StartError};

pub use api::ApiError;

/// Exit codes beyond 0 (done), 1 (failed) and 2 (wrong arguments, by clap).
const EXIT_SETTINGS: u8 = 3;
const EXIT_ADDRESS_IN_USE: u8 = 4;
const EXIT_STORE_HELD: u8 = 5;
const EXIT_NOT_COMPLETED: u8 = 6;
/// As shells have it: 128 and the number of the signal.
const EXIT_INTERRUPTED: u8 = 130;

/// Kernex: a control plane for fleets of devices.
#[derive(Debug, Parser)]
#[command(name = "kernex", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  kernex serve --listen 127.0.0.1:8080 --data-dir ./data
  kernex register --username ada --email ada@example.org --setup-token TOKEN
  kernex bundle upload ./gateway-os-1.0.0.img --name gateway-os --version 1.0.0
  kernex deployment create --bundle bun_… --selector channel=stable --watch
  kernex device list --selector channel=stable --output json
  kernex fleet simulate --devices 1000 --poll 2
  kernex plugin new --gate targeting my-rings
  kernex doctor
  kernex completions bash > /etc/bash_completion.d/kernex

Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 wrong settings, 4 the address is in use,
5 another process has the data directory, 6 the watched deployment ended and is not completed,
130 ended by Ctrl-C.";

/// Options of the commands that read the server's settings, and of those below them.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
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
    #[command(after_help = migrate::EXAMPLES)]
    Migrate {
        #[command(subcommand)]
        migrate: migrate::Migrate,
        #[command(flatten)]
        global: Global,
    },
    /// Accounts, on this machine and while the server is stopped
    #[command(after_help = user::EXAMPLES)]
    User {
        #[command(subcommand)]
        user: user::User,
        #[command(flatten)]
        global: Global,
    },
    /// Policies: write, activate and take them back on a server, and the way back in on this machine
    #[command(subcommand, after_help = policy::EXAMPLES)]
    Policy(policy::Policy),
    /// Plugins: write, build, test, measure and sign them on this machine, and bring them to a server
    #[command(subcommand, after_help = plugin::EXAMPLES)]
    Plugin(plugin::Command),
    /// Settings
    #[command(subcommand, after_help = settings::EXAMPLES)]
    Config(settings::Command),
    /// Print the OpenAPI document
    Openapi,
    /// Make an account on a server and log in to it
    Register(login::Register),
    /// Log in to a server; the following commands use the login
    Login(login::Login),
    /// Bundles on a server
    #[command(subcommand, after_help = bundle::EXAMPLES)]
    Bundle(bundle::Command),
    /// Deployments on a server
    #[command(subcommand, after_help = deployment::EXAMPLES)]
    Deployment(deployment::Command),
    /// What the policies of a server decided
    #[command(subcommand, after_help = decision::EXAMPLES)]
    Decision(decision::Command),
    /// Devices on a server
    #[command(subcommand, after_help = device::EXAMPLES)]
    Device(device::Command),
    /// What was done on a server
    #[command(subcommand, after_help = audit::EXAMPLES)]
    Audit(audit::Command),
    /// Look at what the server needs, and say what to do about what is wrong
    Doctor(Global),
    /// Print a script that completes commands in a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Simulated devices
    #[command(subcommand, after_help = simulate::EXAMPLES)]
    Fleet(Fleet),
    /// Compile a plugin for the server that started this process
    #[command(name = host::COMPILE, hide = true)]
    CompilePlugin,
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
    /// A deployment was watched to its end, which is not the one that it was created for.
    #[error("{0}")]
    NotCompleted(String),
    /// Somebody pressed Ctrl-C: not done, and nothing went wrong.
    #[error("{0}")]
    Interrupted(String),
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
            Self::NotCompleted(_) => EXIT_NOT_COMPLETED,
            Self::Interrupted(_) => EXIT_INTERRUPTED,
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
    match cli.command {
        Command::Serve(serve) => serve.run().await,
        Command::Migrate { migrate, global } => migrate.run(&global.settings(None)?).await,
        Command::User { user, global } => user.run(&global.settings(None)?).await,
        Command::Policy(policy) => policy.run().await,
        Command::Plugin(plugin) => plugin.run().await,
        Command::Config(config) => config.run(),
        Command::Openapi => settings::openapi().await,
        Command::Register(register) => register.run().await,
        Command::Login(login) => login.run().await,
        Command::Bundle(bundle) => bundle.run().await,
        Command::Deployment(deployment) => deployment.run().await,
        Command::Decision(decision) => decision.run().await,
        Command::Device(device) => device.run().await,
        Command::Audit(audit) => audit.run().await,
        Command::Doctor(global) => doctor::run(&global.settings(None)?).await,
        Command::Completions { shell } => {
            let mut command = <Cli as clap::CommandFactory>::command();
            // It panics where it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "kernex", &mut script);
            output::say_no_newline!("{}", String::from_utf8(script).map_err(CliError::failed)?);
            Ok(())
        }
        Command::Fleet(Fleet::Simulate(simulate)) => simulate.run().await,
        Command::CompilePlugin => kernex_engine::compile_for_parent().map_err(CliError::failed),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// The words of a line, as a shell takes it apart; what goes to a file or another program, and a comment, is not
    /// ours.
    fn words(line: &str) -> Vec<String> {
        let ours = line.split(['>', '|', '#']).next().unwrap_or_default();
        let mut words = Vec::new();
        for (at, piece) in ours.split('\'').enumerate() {
            if at % 2 == 1 {
                words.push(piece.to_owned());
            } else {
                words.extend(piece.split_whitespace().map(|word| word.replace('…', "01JD5Z8Q0V3W4X5Y6Z7A8B9C0D")));
            }
        }
        words
    }

    fn examples(command: &clap::Command) -> Vec<String> {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        text.lines().map(str::trim_start).filter(|line| line.starts_with("kernex ")).map(str::to_owned).collect()
    }

    #[test]
    fn every_group_has_examples_that_are_understood() {
        let root = Cli::command();
        let mut looked_at = 0;
        for group in root.get_subcommands().filter(|command| command.has_subcommands()).chain([&root]) {
            let lines = examples(group);
            assert!(!lines.is_empty(), "`{} --help` has no examples", group.get_name());
            let below = group.get_subcommands().filter(|command| !command.has_subcommands()).flat_map(examples);
            for line in lines.into_iter().chain(below) {
                let parsed = Cli::try_parse_from(words(&line));
                assert!(parsed.is_ok(), "{line}: {}", parsed.err().map(|error| error.to_string()).unwrap_or_default());
                looked_at += 1;
            }
        }
        assert!(looked_at > 20, "only {looked_at} examples were found");
    }

    #[test]
    fn only_commands_that_read_settings_take_their_options() {
        let user = "user create --username ada --email ada@example.org";
        for words in ["serve", "migrate status", user, "policy restore", "config show", "doctor"] {
            for option in ["--data-dir /srv/kernex", "--config /etc/kernex.toml"] {
                let line = format!("kernex {words} {option}");
                let parsed = Cli::try_parse_from(line.split(' '));
                assert!(parsed.is_ok(), "{line}: {}", parsed.err().map(|error| error.to_string()).unwrap_or_default());
            }
        }
        let given = Cli::try_parse_from("kernex migrate up --data-dir /srv/kernex".split(' ')).expect("understood");
        let Command::Migrate { global, .. } = given.command else { panic!("another command") };
        assert_eq!(global.data_dir, Some(PathBuf::from("/srv/kernex")));
        for words in ["device list", "fleet simulate", "login --username ada", "policy list", "config reference"] {
            for option in ["--data-dir /srv/kernex", "--config /etc/kernex.toml"] {
                let line = format!("kernex {words} {option}");
                assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}: it would have no effect");
            }
        }
    }
}
