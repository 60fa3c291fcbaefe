//! Heartbeats a second of the real server (authenticated by a device's token, authorized by the plugin) beside a
//! bare poem-openapi handler with the same body, in one run, by wrk (Debian's package of that name).
//!
//! `cargo bench --profile dev --bench heartbeat -- [seconds of each measurement] [connections]`

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kernex_tests::harness::{ProcessOptions, ServerProcess, TestDevice, eventually, run, tool};
use poem::listener::{Acceptor, Listener, TcpListener};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi, OpenApiService};
use reqwest::Method;
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
const SECONDS: u32 = 3;
/// Measurements of each server; they take turns, so that a busy machine is busy for both. What is told is the median of
/// the rounds' ratios: from round to round a shared machine may be half as fast.
const ROUNDS: usize = 7;
/// What a device says.
const BODY: &str = r#"{"health":"healthy"}"#;
/// The share of requests that are traced, where telemetry is on.
const TRACED: f64 = 0.01;
/// With telemetry on, the server must keep at least this share of its rate.
const TOLD_GOAL: f64 = 0.9;
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

/// What is measured.
struct Contender {
    name: &'static str,
    address: String,
    script: PathBuf,
    server: Option<ServerProcess>,
}

impl Contender {
    /// The bare handler, with the same requests as another's: it looks at no token.
    async fn bare(other: &Self) -> Self {
        let script = other.script.clone();
        Self { name: "bare poem-openapi handler", address: bare().await, script, server: None }
    }

    async fn server(name: &'static str, options: ProcessOptions, directory: &Path) -> Self {
        let server = ServerProcess::start(options).await;
        let devices = devices(&server).await;
        devices[0].heartbeat(json!({"health": "healthy"})).await.expect(200);
        let tokens: Vec<String> = devices.iter().map(|device| device.client.token().to_owned()).collect();
        let script = script(directory, name, &tokens);
        Self { name, address: server.base(), script, server: Some(server) }
    }

    /// Exports of its telemetry that failed so far, of all signals.
    async fn failed_exports(&self) -> f64 {
        let Some(server) = &self.server else { return 0.0 };
        let call = server.admin().await.root(Method::GET, "/metrics");
        let text = String::from_utf8(call.await.expect(200).body).expect("text");
        let counts = text.lines().filter(|line| line.starts_with("kernex_telemetry_export_failures_total{"));
        let counts: Vec<f64> = counts.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        assert!(!counts.is_empty(), "no failures are counted in\n{text}");
        counts.iter().sum()
    }
}

/// A collector that takes everything in and throws it away.
struct Collector {
    port: u16,
    process: std::process::Child,
}

impl Collector {
    async fn start() -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        drop(listener);
        let process = Command::new(tool("rotel"))
            .args(["start", "--exporter", "blackhole", "--otlp-http-endpoint", "127.0.0.1:0"])
            .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{port}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("rotel runs");
        let collector = Self { port, process };
        eventually("the collector listens", async || {
            tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()
        })
        .await;
        collector
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn devices(server: &ServerProcess) -> Vec<TestDevice> {
    let mut devices = Vec::with_capacity(DEVICES);
    for _ in 0..DEVICES {
        devices.push(server.device().await);
    }
    devices
}

/// A script for wrk: the devices' requests in turn, made beforehand.
fn script(directory: &Path, name: &str, tokens: &[String]) -> PathBuf {
    let path = directory.join(format!("{name}.lua"));
    let mut file = std::fs::File::create(&path).expect("a file for the script");
    let tokens: Vec<String> = tokens.iter().map(|token| format!("{token:?}")).collect();
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
        let collector = Collector::start().await;
        let options = || ProcessOptions::new().set("admission", "automatic");
        let telling = options()
            .set("telemetry.otlp_endpoint", format!("http://127.0.0.1:{}", collector.port))
            .set("telemetry.sample_ratio", TRACED);
        let kernex = Contender::server("kernex", options(), directory.path()).await;
        let contenders = [
            Contender::bare(&kernex).await,
            kernex,
            Contender::server("kernex, telemetry on", telling, directory.path()).await,
        ];
        let mut rates = vec![Vec::new(); contenders.len()];
        for round in 1..=ROUNDS {
            for (contender, rates) in contenders.iter().zip(&mut rates) {
                let (address, script) = (contender.address.clone(), contender.script.clone());
                let measuring = tokio::task::spawn_blocking(move || measure(&address, &script, seconds, connections));
                let rate = measuring.await.expect("the measurement ends");
                println!("round {round}: {} {rate:.0}/s", contender.name);
                rates.push(rate);
            }
        }
        println!("heartbeats, median of {ROUNDS} x {seconds} s with {connections} connections and {DEVICES} devices:");
        let ratio = |of: usize, to: usize| median(rates[of].iter().zip(&rates[to]).map(|(of, to)| of / to).collect());
        let told = ratio(2, 1);
        let line = |of: usize, what: &str| {
            println!("  {:<24} {:>8.0}/s   {what}", contenders[of].name, median(rates[of].clone()));
        };
        line(0, "");
        line(1, &format!("{:.2} of it (goal: {GOAL})", ratio(1, 0)));
        line(2, &format!("{told:.2} of that without (goal: {TOLD_GOAL})"));
        // Telemetry that is thrown away costs less than telemetry that is sent: the rate would be another thing's.
        let failed = contenders[2].failed_exports().await;
        assert!(failed == 0.0, "{failed} exports failed: the collector did not take what the server sent");
    });
}
