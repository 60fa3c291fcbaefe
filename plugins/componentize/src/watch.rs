//! Which changes make cargo run a build script that builds guests again.

use std::path::Path;

/// Prints the `rerun-if` lines for guests in the given folders (relative to the workspace), and for
/// all that every guest is made of: the SDK, the contract and the workspace's own files.
pub fn watch(workspace: &Path, guests: &[&str]) {
    let shared = ["sdk/src", "sdk/wit", "sdk/Cargo.toml", "Cargo.toml", "Cargo.lock", "rust-toolchain.toml"];
    for path in shared.iter().chain(guests) {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
}
