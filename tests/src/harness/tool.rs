//! Owns where the programs are that look at a server from outside; `make test` has put them there.

use std::path::PathBuf;

/// A program by its name.
///
/// # Panics
/// Where it is missing; it says what to run.
#[must_use]
pub fn tool(name: &str) -> PathBuf {
    let home = || std::env::var("HOME").map(|home| format!("{home}/.cache/kernex/tools"));
    let tools = std::env::var("KERNEX_TOOLS").or_else(|_| home()).expect("a home directory");
    let path = PathBuf::from(tools).join(name);
    assert!(path.is_file(), "{} is missing: run `.ci/setup {name}`, as `make test` does", path.display());
    path
}
