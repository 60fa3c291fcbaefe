//! Building a crate of somebody else's, outside of this workspace, as a guest of this workspace is built.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{BuildError, COMPILE, PROFILE, STACK_BYTES, TARGET, environment, read, wrap};

/// The workspace's profile `guest`, for crates whose manifest does not have it. A test compares the two.
const PROFILE_SETTINGS: [(&str, &str); 6] = [
    ("inherits", "\"release\""),
    ("opt-level", "3"),
    ("lto", "true"),
    ("codegen-units", "1"),
    ("panic", "\"abort\""),
    ("strip", "\"debuginfo\""),
];

/// A crate that is to become a component.
#[derive(Debug, Clone)]
pub struct Crate {
    /// The folder of its manifest.
    pub directory: PathBuf,
    /// Its package.
    pub package: String,
    /// Its library, as `rustc` names it.
    pub library: String,
    /// Where cargo keeps what it builds.
    pub target: PathBuf,
    /// The folder of the SDK's repository, where it is known: its path is left out of the component.
    pub sdk: Option<PathBuf>,
}

/// A cargo for a crate in `directory`, without what an outer cargo has set.
#[must_use]
pub fn cargo(directory: &Path) -> Command {
    let mut command = Command::new(environment::cargo());
    environment::clear(&mut command);
    command.current_dir(directory).stdin(Stdio::null());
    command
}

/// Builds the crate and returns the component. What cargo says goes to standard error as it comes.
///
/// # Errors
///
/// See [`BuildError`].
pub fn build_crate(built: &Crate) -> Result<Vec<u8>, BuildError> {
    let toolchain = environment::Toolchain::find(&built.directory)?;
    if !toolchain.has_target(TARGET) {
        return Err(BuildError::TargetMissing);
    }
    let mut command = cargo(&built.directory);
    command.args(COMPILE).args(["--package", &built.package]).args(["--profile", PROFILE, "--target", TARGET]);
    for (key, value) in PROFILE_SETTINGS {
        command.arg("--config").arg(format!("profile.{PROFILE}.{key}={value}"));
    }
    let flags = toolchain.flags(built.sdk.as_deref(), STACK_BYTES).join("\x1f");
    command.arg("--target-dir").arg(&built.target).env("CARGO_ENCODED_RUSTFLAGS", flags);
    // Standard output is for the result.
    command.stdout(Stdio::null());
    let status = command.status().map_err(|source| BuildError::NotStarted {
        program: environment::cargo().to_string_lossy().into_owned(),
        source,
    })?;
    if !status.success() {
        let output = "what cargo says is above".to_owned();
        return Err(BuildError::Cargo { package: built.package.clone(), output });
    }
    let module = built.target.join(TARGET).join(PROFILE).join(format!("{}.wasm", built.library));
    wrap(&read(module)?).map_err(|reason| BuildError::NotAComponent { package: built.package.clone(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_the_workspaces() {
        let manifest = include_str!("../../../Cargo.toml");
        let (_, after) = manifest.split_once("[profile.guest]").expect("the workspace has the profile");
        let section = after.split("\n[").next().expect("a section ends");
        let lines: Vec<&str> = section.lines().filter(|line| line.contains(" = ")).collect();
        let wanted = PROFILE_SETTINGS.map(|(key, value)| format!("{key} = {value}"));
        assert_eq!(lines, wanted);
    }
}
