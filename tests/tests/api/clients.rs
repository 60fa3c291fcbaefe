//! Owns clients that others generate from the document: each walks through a device's life on the real server.

use std::path::Path;
use std::process::Stdio;

use kernex_tests::harness::{ProcessOptions, ServerProcess, run};
use tokio::process::Command;

/// Generates the clients and walks them; see its own words.
const WALK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/walk.sh");

#[test]
fn generated_clients_walk_through_a_devices_life() {
    run(async {
        let server = ServerProcess::start(ProcessOptions::new().set("admission", "automatic")).await;
        let scratch = tempfile::tempdir().expect("a temporary directory");
        assert!(Path::new(WALK).is_file());
        let walk = Command::new("bash")
            .args([WALK, &server.base(), &server.setup_token().expect("a fresh server has one")])
            .arg(scratch.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .expect("bash runs");
        let said = String::from_utf8_lossy(&walk.stdout).into_owned() + &String::from_utf8_lossy(&walk.stderr);
        assert!(walk.status.success(), "{said}\n{}", server.output());
        for client in ["python", "typescript", "openapi-generator"] {
            assert!(said.contains(&format!("{client}: walked")), "{said}");
        }
    });
}
