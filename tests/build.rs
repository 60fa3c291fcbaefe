//! Builds the guests of the tests, and says in environment variables where they are.

use std::path::PathBuf;
use std::process::ExitCode;

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
    kernex_componentize::watch(workspace, &["tests/plugins/misbehaving", "plugins/componentize/src"]);
    let target = kernex_componentize::guests_directory(&out);
    let component = kernex_componentize::build(workspace, "kernex-guest-misbehaving", &target)?;
    let path = out.join("misbehaving.wasm");
    std::fs::write(&path, component)?;
    println!("cargo::rustc-env=KERNEX_GUEST_MISBEHAVING={}", path.display());
    Ok(())
}
