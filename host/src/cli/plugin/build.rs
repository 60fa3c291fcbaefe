//! Owns `plugin build`: a crate becomes a component.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use kernex_componentize::{BuildError, Crate};
use kernex_model::digest::Digest;
use serde::Deserialize;

use super::component::Component;
use super::report::grouped;
use crate::cli::CliError;
use crate::cli::output::say;

/// Where the component lies, below the crate's folder.
pub(super) const OUTPUT: &str = "target/kernex";
/// The kind of library that becomes a component.
const CDYLIB: &str = "cdylib";
/// The package of the SDK.
const SDK: &str = "kernex-sdk";

const EXAMPLES: &str = "\
Builds for wasm32-unknown-unknown with the settings that the bundled plugins are built with, and wraps the module as a
component. CARGO_TARGET_DIR, where it is set, is where cargo keeps the rest of what it builds.

Examples:
  kernex plugin build                # the crate in this folder: target/kernex/NAME.wasm
  kernex plugin build ~/src/my-rings";

/// Build a crate into a component.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Build {
    /// The folder of the crate
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
}

/// A component that was just made.
pub(super) struct Built {
    /// Where it is.
    pub(super) file: PathBuf,
    bytes: Vec<u8>,
}

impl Build {
    pub(super) fn run(self) -> Result<(), CliError> {
        let Built { file, bytes } = build(&self.directory)?;
        // A crate can compile without exporting anything.
        Component::open(&file).map_err(CliError::failed)?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        say!("{}  {} bytes  sha256 {}", file.display(), grouped(size), Digest::of(&bytes));
        Ok(())
    }
}

/// Builds the crate in `directory`.
///
/// # Errors
/// A sentence for the author.
pub(super) fn build(directory: &Path) -> Result<Built, CliError> {
    let directory = directory
        .canonicalize()
        .map_err(|error| CliError::Failed(format!("cannot open {}: {error}", directory.display())))?;
    if !directory.join("Cargo.toml").is_file() {
        let message = format!("{} is not the folder of a crate: it has no Cargo.toml", directory.display());
        return Err(CliError::Failed(message));
    }
    let built = found(&directory)?;
    let bytes = kernex_componentize::build_crate(&built).map_err(|error| CliError::Failed(told(&error)))?;
    let folder = directory.join(OUTPUT);
    let file = folder.join(format!("{}.wasm", built.package));
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&file, &bytes))
        .map_err(|error| CliError::Failed(format!("cannot write {}: {error}", file.display())))?;
    Ok(Built { file, bytes })
}

/// With what lies behind it, and what to do about it.
fn told(error: &BuildError) -> String {
    match error {
        BuildError::NotStarted { source, .. } => {
            format!("{error}: {source}; plugins are built with Rust, which https://rustup.rs installs")
        }
        BuildError::Unreadable { source, .. } => format!("{error}: {source}"),
        BuildError::TargetMissing | BuildError::Cargo { .. } | BuildError::NotAComponent { .. } => error.to_string(),
    }
}

/// The part of `cargo metadata` that matters here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    source: Option<String>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

/// What cargo knows of the crate.
fn found(directory: &Path) -> Result<Crate, CliError> {
    let mut command = kernex_componentize::cargo(directory);
    command.args(["metadata", "--format-version", "1", "--filter-platform", kernex_componentize::TARGET]);
    // The one variable of an outer cargo that authors set for themselves.
    if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
        // A relative one is meant from here, not from the crate.
        command.env("CARGO_TARGET_DIR", std::path::absolute(&target).map_err(CliError::failed)?);
    }
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| CliError::Failed(told(&BuildError::NotStarted { program: "cargo".to_owned(), source })))?;
    if !output.status.success() {
        return Err(CliError::Failed(format!("cargo cannot read {}", directory.join("Cargo.toml").display())));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .map_err(|error| CliError::Failed(format!("cargo's answer cannot be read: {error}")))?;
    let manifest = directory.join("Cargo.toml");
    let package = metadata.packages.iter().find(|package| package.manifest_path == manifest);
    let package = package.ok_or_else(|| CliError::Failed(format!("{} has no package", manifest.display())))?;
    let is_component = |target: &&Target| target.crate_types.iter().any(|kind| kind == CDYLIB);
    let library = package.targets.iter().find(is_component).ok_or_else(|| {
        let manifest = manifest.display();
        CliError::Failed(format!(
            "{manifest} makes no component; add\n\n[lib]\ncrate-type = [\"{CDYLIB}\", \"rlib\"]\n"
        ))
    })?;
    // From a registry it lies in cargo's own folder, which is left out anyway.
    let sdk = metadata.packages.iter().find(|package| package.name == SDK && package.source.is_none());
    Ok(Crate {
        directory: directory.to_owned(),
        package: package.name.clone(),
        library: library.name.replace('-', "_"),
        target: metadata.target_directory,
        sdk: sdk.and_then(|sdk| sdk.manifest_path.ancestors().nth(2)).map(Path::to_owned),
    })
}
