//! Builds the guests of the tests, and says in environment variables where they are.

use std::path::PathBuf;
use std::process::ExitCode;

/// Packages of guests, and the variables that name their components.
const GUESTS: [(&str, &str); 2] =
    [("kernex-guest-misbehaving", "KERNEX_GUEST_MISBEHAVING"), ("kernex-released-1-0-0", "KERNEX_RELEASED_1_0_0")];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let package = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let workspace = package.parent().ok_or("the tests package lies in a workspace")?;
    kernex_componentize::watch(workspace, &["tests/plugins/misbehaving", "tests/released", "plugins/componentize/src"]);
    let target = kernex_componentize::guests_directory(&out);
    for (package, variable) in GUESTS {
        let component = kernex_componentize::build(workspace, package, &target)?;
        let path = out.join(format!("{package}.wasm"));
        std::fs::write(&path, component)?;
        println!("cargo::rustc-env={variable}={}", path.display());
    }
    Ok(())
}
