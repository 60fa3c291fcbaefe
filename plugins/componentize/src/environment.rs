//! The nested cargo's environment: which toolchain, which flags, and what must not get through.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::BuildError;

/// What starts with one of these says where crates come from or how cargo talks to its user and its
/// job server; every other `CARGO_*` is about the outer build, such as its flags and target
/// directory.
const KEPT: [&str; 8] = [
    "CARGO_HOME",
    "CARGO_NET_",
    "CARGO_HTTP_",
    "CARGO_REGISTRY_",
    "CARGO_REGISTRIES_",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
    "CARGO_MAKEFLAGS",
];

/// What else the outer cargo sets for a build script, or a wrapper (clippy, coverage) sets for it.
const REMOVED: [&str; 14] = [
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "RUSTC",
    "RUSTDOC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_LINKER",
    "CLIPPY_ARGS",
    "LLVM_PROFILE_FILE",
    "TARGET",
    "HOST",
    "PROFILE",
    "OPT_LEVEL",
    "DEBUG",
];

/// The outer cargo, so that both are of the same toolchain.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Takes the outer build out of the command's environment.
pub(crate) fn clear(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let outer = (text.starts_with("CARGO") || text.starts_with("__CARGO"))
            && !KEPT.iter().any(|kept| text.starts_with(kept));
        if outer || REMOVED.contains(&text) {
            command.env_remove(&name);
        }
    }
}

/// The installed compiler.
pub(crate) struct Toolchain {
    sysroot: PathBuf,
}

impl Toolchain {
    /// The compiler that cargo will use in `workspace`.
    pub(crate) fn find(workspace: &Path) -> Result<Self, BuildError> {
        let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(&program)
            .current_dir(workspace)
            .args(["--print", "sysroot"])
            .output()
            .map_err(|source| BuildError::NotStarted { program: program.to_string_lossy().into_owned(), source })?;
        Ok(Self { sysroot: PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()) })
    }

    pub(crate) fn has_target(&self, target: &str) -> bool {
        self.sysroot.join("lib/rustlib").join(target).join("lib").is_dir()
    }

    /// Flags for guests: a small stack, and no path of this machine in a panic's message, as far as the workspace
    /// that the SDK lies in is known.
    pub(crate) fn flags(&self, workspace: Option<&Path>, stack_bytes: usize) -> Vec<String> {
        let mut flags = vec![format!("-Clink-arg=-zstack-size={stack_bytes}"), "-Clink-arg=--strip-debug".to_owned()];
        for (path, name) in [
            (workspace.map(Path::to_owned), "/kernex"),
            (cargo_home(), "/cargo"),
            (Some(self.sysroot.clone()), "/rust"),
        ] {
            if let Some(path) = path {
                flags.push(format!("--remap-path-prefix={}={name}", path.display()));
            }
        }
        flags
    }
}

fn cargo_home() -> Option<PathBuf> {
    let home = || std::env::home_dir().map(|home| home.join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}
