//! Builds a guest crate into a WebAssembly component: a nested cargo, then wit-component.
//!
//! The bytes depend on the sources, `Cargo.lock` and the toolchain only: paths are remapped, names
//! are stripped, and what the outer cargo puts into the environment does not get through.

mod environment;
mod sections;
mod standalone;
mod watch;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wit_component::ComponentEncoder;

pub use standalone::{Crate, build_crate, cargo};
pub use watch::watch;

/// What guests are compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";
/// The profile in the workspace's `Cargo.toml` that guests are compiled with.
const PROFILE: &str = "guest";
/// How cargo is asked for a guest. Together with the rlib that native tests use, it would be built without link-time
/// optimisation.
const COMPILE: [&str; 4] = ["rustc", "--lib", "--crate-type", "cdylib"];
/// A guest's stack: an instance is faster to make the less memory it touches.
const STACK_BYTES: usize = 65_536;
/// How much of cargo's output is shown when a guest does not build.
const SHOWN_LINES: usize = 60;

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The standard library for the target is not installed.
    #[error("the Rust target {TARGET} is not installed; run `rustup target add {TARGET}`, then build again")]
    TargetMissing,
    /// A program did not start.
    #[error("could not start `{program}`")]
    NotStarted {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The guest does not compile.
    #[error("cargo could not build the guest {package}:\n{output}")]
    Cargo {
        /// The guest's package.
        package: String,
        /// The end of what cargo said.
        output: String,
    },
    /// What cargo built is not there, or not readable.
    #[error("could not read {path}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What cargo built is no policy plugin.
    #[error("the guest {package} does not export a policy world: {reason}")]
    NotAComponent {
        /// The guest's package.
        package: String,
        /// What is missing.
        reason: String,
    },
}

/// `<target>/guests`, found from a build script's `OUT_DIR`, `<target>/<profile>/build/<package>/out`:
/// beside the outer build, and shared by every build script that builds guests.
#[must_use]
pub fn guests_directory(out: &Path) -> PathBuf {
    out.ancestors().nth(4).unwrap_or(out).join("guests")
}

/// Builds the package, a member of the workspace at `workspace`, and returns the component.
///
/// `target` is a directory of its own below which cargo keeps the guests' artefacts: the outer
/// cargo holds the lock of its own. Needs no network once the lock file's crates are downloaded.
///
/// # Errors
///
/// See [`BuildError`].
pub fn build(workspace: &Path, package: &str, target: &Path) -> Result<Vec<u8>, BuildError> {
    let toolchain = environment::Toolchain::find(workspace)?;
    if !toolchain.has_target(TARGET) {
        return Err(BuildError::TargetMissing);
    }
    compile(workspace, package, target, &toolchain)?;
    let module = target.join(TARGET).join(PROFILE).join(format!("{}.wasm", package.replace('-', "_")));
    wrap(&read(module)?).map_err(|reason| BuildError::NotAComponent { package: package.to_owned(), reason })
}

/// Wraps a core module, built with the SDK, as a component.
///
/// # Errors
///
/// A sentence that says what the module lacks.
pub fn wrap(core: &[u8]) -> Result<Vec<u8>, String> {
    let core = sections::without_names(core)?;
    ComponentEncoder::default()
        .validate(true)
        .module(&core)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| format!("{error:#}"))
}

fn read(path: PathBuf) -> Result<Vec<u8>, BuildError> {
    std::fs::read(&path).map_err(|source| BuildError::Unreadable { path, source })
}

fn compile(
    workspace: &Path,
    package: &str,
    target: &Path,
    toolchain: &environment::Toolchain,
) -> Result<(), BuildError> {
    let program = environment::cargo();
    let mut command = Command::new(&program);
    environment::clear(&mut command);
    let output = command
        .current_dir(workspace)
        .args(COMPILE)
        .args(["--locked", "--package", package, "--profile", PROFILE, "--target", TARGET])
        .arg("--target-dir")
        .arg(target)
        .env("CARGO_ENCODED_RUSTFLAGS", toolchain.flags(Some(workspace), STACK_BYTES).join("\x1f"))
        .stdin(Stdio::null())
        .output()
        .map_err(|source| BuildError::NotStarted { program: program.to_string_lossy().into_owned(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    Err(BuildError::Cargo { package: package.to_owned(), output: shown.join("\n") })
}
