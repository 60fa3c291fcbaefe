//! Builds the bundled plugins into `OUT_DIR`, one component each.

use std::path::PathBuf;
use std::process::ExitCode;

/// Name of the plugin and of its folder.
const PLUGINS: [&str; 9] =
    ["rbac", "rings", "guardian", "freeze", "sites", "four-eyes", "compat", "ramp", "sequential"];

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
    let workspace = package.parent().ok_or("the plugins package lies in a workspace")?;
    kernex_componentize::watch(
        workspace,
        &[
            "plugins/rbac",
            "plugins/rings",
            "plugins/guardian",
            "plugins/freeze",
            "plugins/sites",
            "plugins/four-eyes",
            "plugins/compat",
            "plugins/ramp",
            "plugins/sequential",
            "plugins/componentize/src",
        ],
    );
    let target = kernex_componentize::guests_directory(&out);
    for plugin in PLUGINS {
        let package = format!("kernex-plugin-{plugin}");
        let component = kernex_componentize::build(workspace, &package, &target)?;
        std::fs::write(out.join(format!("{plugin}.wasm")), component)?;
    }
    Ok(())
}
