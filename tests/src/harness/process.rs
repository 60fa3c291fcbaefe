//! Owns the real server as a process of its own, for what a test must do to a process: kill it, weigh it, signal it.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::site::Site;

/// How long the server may take until it is ready, and until it has stopped.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at what it printed.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the last line may come after the one before it.
const LAST_LINE: Duration = Duration::from_millis(200);
/// What stands in front of the first admin's token.
const SETUP_TOKEN: &str = "Set-up token: ";
/// Lines of output that are kept.
const KEPT_LINES: usize = 10_000;

/// How a server process is started.
#[derive(Debug, Clone, Default)]
pub struct ProcessOptions {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl ProcessOptions {
    /// As `make run` starts it, on a port and in a directory of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default().set("shutdown.grace_s", 2)
    }

    /// One more argument of `kernex serve`.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// One more variable of the environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// One more setting, by its dotted name.
    #[must_use]
    pub fn set(self, key: &str, value: impl ToString) -> Self {
        self.variable(&format!("KERNEX__{}", key.to_uppercase().replace('.', "__")), value)
    }
}

/// The real server in a process. Calls on it are those of [`Site`]. It is killed when it is dropped.
#[derive(Debug)]
pub struct ServerProcess {
    site: Site,
    options: ProcessOptions,
    child: Child,
    output: Output,
    directory: TempDir,
}

type Output = Arc<Mutex<Vec<String>>>;

impl Deref for ServerProcess {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl ServerProcess {
    /// Starts it with its data in a temporary directory; returns when it is ready.
    pub async fn start(options: ProcessOptions) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (child, output, ready) = launch(&options, directory.path()).await;
        let site = Site::new("kernex", ready.address, ready.setup_token);
        Self { site, options, child, output, directory }
    }

    /// The program under test, built beside the test.
    #[must_use]
    pub fn program() -> PathBuf {
        let test = std::env::current_exe().expect("a test knows its own path");
        let program = test.ancestors().nth(2).map(|directory| directory.join("kernex")).unwrap_or_default();
        assert!(program.is_file(), "{} is missing: run cargo build --workspace first", program.display());
        program
    }

    /// A command with the server's settings and directory, for what is done while it is stopped.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(&self.options, self.directory.path());
        command.args(arguments);
        command
    }

    /// The process's number.
    ///
    /// # Panics
    /// Where it has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("a running process")
    }

    /// The directory with its data.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// What it printed since it was started last, standard output and error together.
    #[must_use]
    pub fn output(&self) -> String {
        printed(&self.output)
    }

    /// Kills it at once, as a power cut does to a process.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a process of ours can be killed");
    }

    /// Sends SIGTERM and waits for its end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM").await;
        self.wait().await
    }

    /// Sends a signal by its name.
    pub async fn signal(&self, name: &str) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.pid())).status().await;
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {name}");
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> ExitStatus {
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => status.expect("a process of ours can be waited for"),
            Err(_) => panic!("the server does not stop\n{}", self.output()),
        }
    }

    /// Starts it again on the same directory. Clients and tokens go on.
    pub async fn resume(&mut self) {
        let ended = self.child.try_wait().expect("a process of ours can be waited for");
        assert!(ended.is_some(), "the server runs already");
        let (child, output, ready) = launch(&self.options, self.directory.path()).await;
        (self.child, self.output) = (child, output);
        self.site.moved(ready.address, ready.setup_token);
    }

    /// Memory that it occupies, in KiB.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS")
    }

    /// The most memory that it occupied since [`ServerProcess::forget_peak`], in KiB.
    #[must_use]
    pub fn peak_resident_kib(&self) -> u64 {
        self.status_kib("VmHWM")
    }

    /// Lets [`ServerProcess::peak_resident_kib`] begin anew.
    pub fn forget_peak(&self) {
        let path = format!("/proc/{}/clear_refs", self.pid());
        std::fs::write(&path, "5").unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    fn status_kib(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')?.strip_suffix("kB"));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("no {field} in {path}"))
    }
}

/// What a server says when it is ready.
struct Ready {
    address: String,
    setup_token: Option<String>,
}

fn command(options: &ProcessOptions, directory: &Path) -> Command {
    let mut command = Command::new(ServerProcess::program());
    // What the developer has set for their own server must not reach this one.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KERNEX")) {
        command.env_remove(name);
    }
    command
        .current_dir(directory)
        .env("KERNEX__DATA_DIR", directory.join("data"))
        .envs(options.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn launch(options: &ProcessOptions, directory: &Path) -> (Child, Output, Ready) {
    let mut command = command(options, directory);
    command.args(["serve", "--listen", "127.0.0.1:0"]).args(&options.arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the server's program runs");
    let output = Output::default();
    collect(child.stdout.take().expect("piped"), &output);
    collect(child.stderr.take().expect("piped"), &output);
    let ready = wait_until_ready(&mut child, &output).await;
    (child, output, ready)
}

/// Keeps what the process prints, and so keeps it from waiting for a reader.
fn collect(stream: impl AsyncRead + Unpin + Send + 'static, output: &Output) {
    let output = output.clone();
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut kept = output.lock().expect("nobody panicked while printing");
            if kept.len() < KEPT_LINES {
                kept.push(line);
            }
        }
    });
}

fn printed(output: &Output) -> String {
    output.lock().expect("nobody panicked while printing").join("\n")
}

async fn wait_until_ready(child: &mut Child, output: &Output) -> Ready {
    let start = Instant::now();
    loop {
        let text = printed(output);
        if text.contains("Documentation: ") {
            // The token is printed after it, where there is one.
            let text = if text.contains(SETUP_TOKEN) {
                text
            } else {
                tokio::time::sleep(LAST_LINE).await;
                printed(output)
            };
            let after =
                |label: &str| text.lines().find_map(|line| line.strip_prefix(label)).map(|rest| rest.trim().to_owned());
            return Ready {
                address: after("Address: ").expect("an address is printed first"),
                setup_token: after(SETUP_TOKEN),
            };
        }
        let ended = child.try_wait().expect("a process of ours can be waited for");
        assert!(ended.is_none(), "the server ended with {ended:?}\n{text}");
        assert!(start.elapsed() < PATIENCE, "the server is not ready within {PATIENCE:?}\n{text}");
        tokio::time::sleep(PAUSE).await;
    }
}
