//! Owns clients that others generate from the document: each walks through a device's life on the real server, and
//! the documented devices take an update.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernex_tests::harness::{ProcessOptions, ServerProcess, eventually_within, run, tool};
use serde_json::json;
use tokio::process::Command;

/// Generates the clients and walks them; see its own words.
const WALK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/walk.sh");
/// The devices of the book.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples");
/// Lines of code that a bare device may have.
const MAX_BARE_LINES: usize = 40;
/// What stands before the 32 bytes of an Ed25519 key in PKCS#8, as OpenSSL writes it (RFC 8410, section 7).
const PKCS8_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
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

        let in_python = |file: &str| {
            let mut command = Command::new(tool("clients/python/bin/python"));
            command.arg(Path::new(EXAMPLES).join(file)).env("PYTHONPATH", scratch.path().join("python"));
            command
        };
        let home = tempfile::tempdir().expect("a temporary directory");
        takes_an_update(in_python("device.py"), &home.path().join("device")).await;
        takes_an_update(in_python("bare_device.py"), with_a_key().path()).await;
    });
}

#[test]
fn the_documented_devices_in_rust_take_an_update() {
    run(async {
        let home = tempfile::tempdir().expect("a temporary directory");
        takes_an_update(Command::new(example("device")), &home.path().join("device")).await;
        takes_an_update(Command::new(example("bare_device")), with_a_key().path()).await;
    });
}

#[test]
fn a_bare_device_has_at_most_forty_lines() {
    for (file, comment) in [("bare_device.py", "#"), ("bare_device.rs", "//")] {
        let text = std::fs::read_to_string(Path::new(EXAMPLES).join(file)).expect("an example");
        // What a file in Python says of itself stands between the first two triple quotes.
        let code = if comment == "#" { text.splitn(3, "\"\"\"").nth(2).expect("code") } else { &text };
        let counts = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with(comment);
        let lines = code.lines().filter(counts).count();
        assert!((10..=MAX_BARE_LINES).contains(&lines), "{file} has {lines} lines of code");
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{file} has lines that are too long");
    }
}

/// A device's directory with the key that was made for it, as `openssl genpkey` writes one.
fn with_a_key() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a temporary directory");
    let key = STANDARD.encode([PKCS8_HEAD.as_slice(), &rand::random::<[u8; 32]>()].concat());
    let dashes = "-----";
    let pem = format!("{dashes}BEGIN PRIVATE KEY{dashes}\n{key}\n{dashes}END PRIVATE KEY{dashes}\n");
    std::fs::write(home.path().join("key.pem"), pem).expect("a key");
    home
}

/// An example of this workspace, which cargo builds with its tests.
fn example(name: &str) -> std::path::PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let path = test.ancestors().nth(2).expect("a target directory").join("examples").join(name);
    assert!(path.is_file(), "{} is missing: run cargo build --workspace --examples first", path.display());
    path
}

/// Starts the device on a server of its own, deploys a bundle to it, and sees that it has it.
async fn takes_an_update(mut device: Command, home: &Path) {
    let options = ProcessOptions::new().set("admission", "automatic").set("heartbeat.poll_s", 1);
    let server = ServerProcess::start(options).await;
    device.args([server.base().as_str()]).arg(home).stdin(Stdio::null());
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
    let kept = std::fs::read(home.join("running.img")).expect("the image");
    assert!(kept == content, "the image is the one that was uploaded");
}
