//! Owns clients that others generate from the document: each walks through a device's life on the real server, and
//! the documented devices take an update.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use kernex_tests::harness::{ProcessOptions, ServerProcess, eventually_within, run, tool};
use serde_json::json;
use tokio::process::Command;

/// Generates the clients and walks them; see its own words.
const WALK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/walk.sh");
/// The device of the book, in Python.
const DEVICE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/device.py");
/// How long a device may take to enrol and to update itself.
const PATIENCE: Duration = Duration::from_secs(60);

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

        let mut in_python = Command::new(tool("clients/python/bin/python"));
        in_python.arg(DEVICE).env("PYTHONPATH", scratch.path().join("python"));
        takes_an_update(in_python).await;
    });
}

#[test]
fn the_documented_device_in_rust_takes_an_update() {
    run(takes_an_update(Command::new(example("device"))));
}

/// An example of this workspace, which cargo builds with its tests.
fn example(name: &str) -> std::path::PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let path = test.ancestors().nth(2).expect("a target directory").join("examples").join(name);
    assert!(path.is_file(), "{} is missing: run cargo build --workspace --examples first", path.display());
    path
}

/// Starts the device on a server of its own, deploys a bundle to it, and sees that it has it.
async fn takes_an_update(mut device: Command) {
    let options = ProcessOptions::new().set("admission", "automatic").set("heartbeat.poll_s", 1);
    let server = ServerProcess::start(options).await;
    let home = tempfile::tempdir().expect("a temporary directory");
    device.args([server.base().as_str()]).arg(home.path().join("device")).stdin(Stdio::null());
    let mut device = device.kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");

    let admin = server.admin().await;
    let content = b"the first image".repeat(1_000);
    let bundle = server.bundle("gateway-os", "1.0.0", &content).await;
    let enrolled = async || admin.get("/devices").await.expect(200).items().first().map(|device| device["id"].clone());
    let id = eventually_within(PATIENCE, "the device enrols", enrolled).await;
    let plan = json!({ "soak_s": 1, "canary": 1 });
    let order = json!({ "name": "first", "bundle_id": bundle, "selector": "*", "plan": plan });
    let deployment = admin.post("/deployments").json(order).await.expect(201).id();

    let path = format!("/deployments/{deployment}");
    let done = async || {
        assert!(device.try_wait().expect("a child").is_none(), "the device has ended");
        (admin.get(&path).await.expect(200)["state"] == "completed").then_some(())
    };
    eventually_within(PATIENCE, "the device runs the bundle", done).await;
    let device = admin.get(&format!("/devices/{}", id.as_str().expect("an identifier"))).await.expect(200);
    assert_eq!(device["verified_bundle_id"], bundle.as_str(), "{device}");
    let kept = std::fs::read(home.path().join("device/running.img")).expect("the image");
    assert!(kept == content, "the image is the one that was uploaded");
}
