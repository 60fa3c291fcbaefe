//! Heartbeats a second of the real server (authenticated by a device's token, authorized by the plugin) beside a
//! bare poem-openapi handler with the same body, in one run, by wrk (Debian's package of that name).
//!
//! `cargo bench --profile dev --bench heartbeat -- [seconds of each measurement] [connections]`

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use kernex_tests::harness::{ProcessOptions, ServerProcess, TestDevice, run};
use poem::listener::{Acceptor, Listener, TcpListener};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi, OpenApiService};
use serde_json::json;

/// The same allocator as the server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Devices that send heartbeats: more than there are connections, as in a fleet.
const DEVICES: usize = 256;
/// Connections of wrk, where nothing else is asked for.
const CONNECTIONS: u32 = 64;
/// Threads of wrk.
const THREADS: u32 = 2;
/// Seconds of one measurement, where nothing else is asked for.
const SECONDS: u32 = 5;
/// Measurements of each server; they take turns, so that a busy machine is busy for both.
const ROUNDS: usize = 3;
/// What a device says.
const BODY: &str = r#"{"health":"healthy"}"#;
/// The server must answer at least this share of the bare handler's requests.
const GOAL: f64 = 0.5;

#[derive(Object)]
struct Heartbeat {
    bundle_id: Option<String>,
    config_version: Option<u64>,
    health: Option<String>,
}

#[derive(Object)]
struct HeartbeatReply {
    next_poll_s: u32,
    commands: Vec<String>,
}

struct Bare;

#[OpenApi(prefix_path = "/api/v1/device")]
impl Bare {
    #[oai(path = "/heartbeat", method = "post")]
    async fn heartbeat(&self, body: Json<Heartbeat>) -> Json<HeartbeatReply> {
        // What came is looked at, so that decoding it is not thrown away.
        let Heartbeat { bundle_id, config_version, health } = body.0;
        let known = bundle_id.is_some() || config_version.is_some() || health.is_some();
        Json(HeartbeatReply { next_poll_s: if known { 60 } else { 61 }, commands: Vec::new() })
    }
}

/// Starts the bare handler in this process; gives its address.
async fn bare() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).into_acceptor().await.expect("a free port");
    let address =
        listener.local_addr().first().and_then(|address| address.as_socket_addr().copied()).expect("an address");
    let service = OpenApiService::new(Bare, "bare", "1");
    tokio::spawn(poem::Server::new_with_acceptor(listener).run(service));
    format!("http://{address}")
}

async fn devices(server: &ServerProcess) -> Vec<TestDevice> {
    let mut devices = Vec::with_capacity(DEVICES);
    for _ in 0..DEVICES {
        devices.push(server.device().await);
    }
    devices
}

/// A script for wrk: the devices' requests in turn, made beforehand.
fn script(directory: &Path, devices: &[TestDevice]) -> PathBuf {
    let path = directory.join("heartbeat.lua");
    let mut file = std::fs::File::create(&path).expect("a file for the script");
    let tokens: Vec<String> = devices.iter().map(|device| format!("{:?}", device.client.token())).collect();
    let tokens = tokens.join(",\n");
    let body = format!("{BODY:?}");
    write!(
        file,
        r#"
local tokens = {{ {tokens} }}
local requests, turn = {{}}, 0
function init(args)
  for number, token in ipairs(tokens) do
    local headers = {{ ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. token }}
    requests[number] = wrk.format("POST", "/api/v1/device/heartbeat", headers, {body})
  end
  turn = math.random(#requests)
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
"#
    )
    .expect("a script");
    path
}

/// One measurement: answered requests a second. Fails where any answer is no success.
fn measure(address: &str, script: &Path, seconds: u32, connections: u32) -> f64 {
    let output = Command::new("wrk")
        .args(["-t", &THREADS.to_string(), "-c", &connections.to_string(), "-d", &format!("{seconds}s"), "-s"])
        .arg(script)
        .arg(format!("{address}/api/v1/device/heartbeat"))
        .output()
        .expect("wrk runs: apt-get install wrk");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        !printed.contains("Non-2xx") && !printed.contains("Socket errors"),
        "not every heartbeat was answered\n{printed}"
    );
    let rate = printed.lines().find_map(|line| line.strip_prefix("Requests/sec:")).map(str::trim);
    rate.and_then(|rate| rate.parse().ok()).unwrap_or_else(|| panic!("no rate in\n{printed}"))
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn main() {
    // `cargo bench` says that it is one; `cargo test --benches` only wants to know that this starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let numbers: Vec<u32> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let seconds = numbers.first().copied().unwrap_or(SECONDS);
    let connections = numbers.get(1).copied().unwrap_or(CONNECTIONS);
    run(async move {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let bare = bare().await;
        let server = ServerProcess::start(ProcessOptions::new().set("admission", "automatic")).await;
        let devices = devices(&server).await;
        devices[0].heartbeat(json!({"health": "healthy"})).await.expect(200);
        let script = script(directory.path(), &devices);
        let rate = async |address: String| {
            let script = script.clone();
            let measuring = tokio::task::spawn_blocking(move || measure(&address, &script, seconds, connections));
            measuring.await.expect("the measurement ends")
        };
        let (mut bares, mut ours) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            bares.push(rate(bare.clone()).await);
            ours.push(rate(server.base()).await);
            println!("round {round}: bare handler {:.0}/s, kernex {:.0}/s", bares[round - 1], ours[round - 1]);
        }
        let (bare, kernex) = (median(bares), median(ours));
        println!("heartbeats, median of {ROUNDS} x {seconds} s with {connections} connections and {DEVICES} devices:");
        println!("  bare poem-openapi handler {bare:>8.0}/s");
        println!("  kernex                    {kernex:>8.0}/s   {:.2} of it (goal: {GOAL})", kernex / bare);
    });
}
