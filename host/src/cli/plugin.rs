//! Owns `plugin`: what authors of plugins do on their own machine, and how a plugin comes to a server.

mod ask;
mod bench;
mod bless;
mod build;
mod cases;
mod check;
mod component;
pub(super) mod file;
mod inspect;
mod keys;
mod new;
mod opening;
mod probes;
mod push;
mod recorded;
mod reference;
mod removal;
mod report;
mod test;
mod trial;

use clap::Subcommand;

use super::CliError;
use super::listing::Listing;

pub(super) const EXAMPLES: &str = "\
Examples:
  kernex plugin new --gate targeting my-rings
  kernex plugin build my-rings
  kernex plugin test my-rings --bless
  kernex plugin check my-rings/target/kernex/my-rings.wasm --settings my-rings/settings.json
  kernex plugin bench my-rings --samples 5000
  kernex plugin keygen --out plugin-key.pem
  kernex plugin sign my-rings/target/kernex/my-rings.wasm --key plugin-key.pem
  kernex plugin push my-rings/target/kernex/my-rings.wasm
  kernex plugin list";

/// Plugins: write, build, test, measure and sign them, without a server, and bring them to one.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write the crate of a new plugin, which builds and passes its tests
    New(new::New),
    /// Build a crate into a component
    Build(build::Build),
    /// See whether a server would take a component, and settings for it
    Check(check::Check),
    /// Run a plugin's cases against the real component
    Test(test::Test),
    /// Measure how long a plugin takes to answer its cases, and the fuel that they use
    Bench(bench::Bench),
    /// Show what a component is: name, version, gate, imports, exports, digest, schema
    Inspect(inspect::Inspect),
    /// Sign a component
    Sign(keys::Sign),
    /// Make a key that plugins are signed with
    Keygen(keys::Keygen),
    /// Bring a component to a server
    Push(push::Push),
    /// Print the book's chapter on policies: the contract, and the bundled plugins with their settings
    Reference(reference::Reference),
    /// List the plugins of a server
    List(Listing),
}

impl Command {
    /// Does it; what needs no server on this thread: there is nothing else that this process has to do meanwhile.
    pub(super) async fn run(self) -> Result<(), CliError> {
        match self {
            Self::New(new) => new.run(),
            Self::Build(build) => build.run(),
            Self::Check(check) => check.run(),
            Self::Test(test) => test.run().await,
            Self::Bench(bench) => bench.run(),
            Self::Inspect(inspect) => inspect.run(),
            Self::Sign(sign) => sign.run(),
            Self::Keygen(keygen) => keygen.run(),
            Self::Reference(reference) => reference.run(),
            Self::Push(push) => push.run().await,
            Self::List(listing) => listing.print("/api/v1/plugins", &[], &push::COLUMNS).await,
        }
    }
}
