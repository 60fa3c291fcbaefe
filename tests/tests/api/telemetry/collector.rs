//! Owns the collectors of the tests: a real one, rotel, which prints what it gets, and one that never says a word.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kernex_tests::harness::{eventually_within, tool};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;

/// How long a collector may take to show what it got.
pub(super) const PATIENCE: Duration = Duration::from_secs(40);
/// Pause between two looks at what it printed.
const PAUSE: Duration = Duration::from_millis(100);
/// A record's attributes stand together: so many lines from the first one.
const RECORD_LINES: usize = 8;

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// A collector that takes every connection and never answers; gives its port.
pub(super) async fn silent() -> u16 {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    port
}

/// A collector that prints what it gets.
pub(super) struct Collector {
    grpc: u16,
    http: u16,
    printed: Arc<Mutex<String>>,
    _process: Child,
}

/// A span as it was printed.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) trace: String,
    pub(super) parent: String,
    pub(super) id: String,
    name: String,
    kind: String,
    attributes: Vec<String>,
}

impl Collector {
    pub(super) async fn start() -> Self {
        let (grpc, http) = (free_port(), free_port());
        let mut process = tokio::process::Command::new(tool("rotel"))
            .args(["start", "--exporter", "blackhole", "--debug-log", "traces", "--debug-log", "metrics"])
            .args(["--debug-log", "logs"])
            .args(["--debug-log-verbosity", "detailed"])
            .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")])
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("rotel runs");
        let printed = Arc::<Mutex<String>>::default();
        keep(process.stdout.take().expect("piped"), &printed);
        keep(process.stderr.take().expect("piped"), &printed);
        eventually_within(PATIENCE, "the collector listens", async || {
            tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, grpc)).await.ok()
        })
        .await;
        Self { grpc, http, printed, _process: process }
    }

    /// Where it takes this protocol.
    pub(super) fn port(&self, protocol: &str) -> u16 {
        if protocol == "grpc" { self.grpc } else { self.http }
    }

    fn text(&self) -> String {
        self.printed.lock().expect("nobody panicked while printing").clone()
    }

    /// Looks at what it has printed until there is something to see.
    async fn until<T>(&self, what: &str, look: impl Fn(&str) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            let text = self.text();
            if let Some(seen) = look(&text) {
                return seen;
            }
            assert!(start.elapsed() < PATIENCE, "not shown: {what}\n{text}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until it has shown all of these.
    pub(super) async fn shows(&self, wanted: &[&str]) {
        self.until(&wanted.join(", "), |text| wanted.iter().all(|wanted| text.contains(*wanted)).then_some(())).await;
    }

    /// Waits until it has shown such a span.
    pub(super) async fn span(&self, what: &str, wanted: impl Fn(&Span) -> bool) -> Span {
        self.until(what, |text| text.split("\nSpan #").skip(1).map(Span::read).find(&wanted)).await
    }

    /// Waits until it has shown a log record of this request and principal.
    pub(super) async fn record(&self, request: &str, principal: &str) {
        let what = format!("a record of {request} by {principal}");
        let id = format!("request.id: Str({request})");
        let whose = format!("principal: Str({principal})");
        let look = |text: &str| {
            let after = text.split(&id).skip(1);
            let mut records = after.map(|rest| rest.lines().take(RECORD_LINES));
            records.any(|mut record| record.any(|line| line.contains(&whose))).then_some(())
        };
        self.until(&what, look).await;
    }
}

impl Span {
    /// Reads what stands between the head of one span and that of the next.
    fn read(text: &str) -> Self {
        // The last span of a batch is followed by another batch.
        let text = text.split("\nResource").next().unwrap_or_default();
        let field = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        Self {
            trace: field("Trace ID"),
            parent: field("Parent ID"),
            id: field("ID"),
            name: field("Name"),
            kind: field("Kind"),
            attributes: text.lines().filter_map(|line| line.trim().strip_prefix("-> ")).map(str::to_owned).collect(),
        }
    }

    /// Whether it is called so and is of this kind: `SERVER` or `INTERNAL`.
    pub(super) fn is(&self, kind: &str, name: &str) -> bool {
        self.name == name && self.kind == format!("SPAN_KIND_{kind}")
    }

    /// Whether it has all of these attributes.
    pub(super) fn has(&self, wanted: &[(&str, &str)]) -> bool {
        wanted.iter().all(|(key, value)| self.attributes.contains(&format!("{key}: Str({value})")))
    }
}

fn keep(stream: impl AsyncRead + Unpin + Send + 'static, printed: &Arc<Mutex<String>>) {
    let printed = printed.clone();
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut printed = printed.lock().expect("nobody panicked while printing");
            printed.push_str(&line);
            printed.push('\n');
        }
    });
}
