//! Owns `doctor`: looks at what a server needs before it is started, and says what to do about what is wrong.

mod bundles;
mod clock;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use kernex_store::{MigrationState, OpenError, Store, StoreUrl};
use rustix::fs::Access;

use super::CliError;
use super::output::say;
use crate::app::{Context, Policies};
use crate::config::Settings;
use crate::host::{self, StartError};

/// Room below which a server stops being ready soon, in bytes.
const LEAST_DISK_BYTES: u64 = 1024 * 1024 * 1024;
/// Bits that let others than the owner in.
const OTHERS: u32 = 0o077;

/// What one look found.
struct Finding {
    part: &'static str,
    state: State,
    text: String,
    /// What to do; always there where something is wrong.
    remedy: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    /// It works, and should be looked at.
    Odd,
    Bad,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Odd => "look",
            Self::Bad => "WRONG",
        }
    }
}

fn good(part: &'static str, text: impl Into<String>) -> Finding {
    Finding { part, state: State::Good, text: text.into(), remedy: None }
}

fn odd(part: &'static str, text: impl Into<String>) -> Finding {
    Finding { part, state: State::Odd, text: text.into(), remedy: None }
}

fn bad(part: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { part, state: State::Bad, text: text.into(), remedy: Some(remedy.into()) }
}

impl Finding {
    fn with(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

/// Looks at everything and prints what it found, and what to do where it is not well.
///
/// # Errors
/// Where something is wrong, or the data is another user's.
pub(super) async fn run(settings: &Settings) -> Result<(), CliError> {
    // Root may do what the server may not, and leaves files behind that are root's.
    host::require_owner(settings)?;
    let context = Context::system();
    // In this order: opening the store makes directories.
    let directory = directory(settings.data_dir());
    let store = store(settings).await;
    let mut findings = vec![
        good("settings", "they are read; `kernex config show` prints them"),
        directory,
        disk(settings.data_dir()),
        bundles::bundles(&host::storage_settings(settings)).await,
        clock::clock(&context, settings),
        port(settings.http.listen, store.held),
    ];
    findings.extend(store.findings);
    let mut table = Table::new();
    table.load_preset(NOTHING);
    for finding in &findings {
        table.add_row([finding.part, finding.state.word(), &finding.text]);
        if let Some(remedy) = &finding.remedy {
            table.add_row(["", "", &format!("to do: {remedy}")]);
        }
    }
    say!("{table}");
    let wrong = findings.iter().filter(|finding| finding.state == State::Bad).count();
    if wrong > 0 { Err(CliError::Failed(format!("{wrong} wrong"))) } else { Ok(()) }
}

fn directory(path: &Path) -> Finding {
    use std::os::unix::fs::PermissionsExt;
    let name = path.display();
    let elsewhere = "or set `data_dir` (--data-dir) to another directory";
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => not_there(path),
        Err(error) => bad(
            "data_dir",
            format!("{name} cannot be looked at: {error}"),
            format!("see that all above it are directories that the server's user may enter, {elsewhere}"),
        ),
        Ok(found) if !found.is_dir() => {
            bad("data_dir", format!("{name} is no directory"), format!("move it away, {elsewhere}"))
        }
        Ok(found) if found.permissions().mode() & OTHERS != 0 => {
            bad("data_dir", format!("others may read {name}, which holds keys"), format!("chmod 700 {name}"))
        }
        Ok(_) => match tempfile::tempfile_in(path) {
            Ok(_) => good("data_dir", format!("{name} can be written")),
            Err(error) => bad("data_dir", format!("{name} cannot be written: {error}"), own(path)),
        },
    }
}

/// The first start makes it, where it may.
fn not_there(path: &Path) -> Finding {
    let name = path.display();
    match can_be_made(path) {
        Ok(()) => odd("data_dir", format!("{name} does not exist yet; the first start makes it"))
            .with("if the data should be elsewhere, set `data_dir` (--data-dir)"),
        Err(error) => bad(
            "data_dir",
            format!("{name} does not exist and cannot be made: {error}"),
            format!("`install -d -m 700 -o USER {name}`, USER being the server's, or set `data_dir` (--data-dir)"),
        ),
    }
}

/// Whether a directory can be made at this path, as far as can be told without trying.
fn can_be_made(path: &Path) -> Result<(), String> {
    let above = existing(path);
    if !above.is_dir() {
        return Err(format!("{} is no directory", above.display()));
    }
    rustix::fs::access(above, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| format!("{}: {}", above.display(), std::io::Error::from(error)))
}

/// What lets the server's user write below a directory.
fn own(path: &Path) -> String {
    let name = path.display();
    format!(
        "`chown -R USER {name} && chmod 700 {name}`, USER being the server's; mount the file system anew if it is read-only"
    )
}

/// The path or the nearest directory above it that is there.
fn existing(path: &Path) -> &Path {
    let mut above = path.ancestors().filter(|above| !above.as_os_str().is_empty());
    above.find(|above| above.exists()).unwrap_or(Path::new("."))
}

fn disk(path: &Path) -> Finding {
    match rustix::fs::statvfs(existing(path)) {
        Err(error) => bad("disk", format!("it cannot be looked at: {error}"), "see that the disk is mounted"),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let text = format!("{} MiB are free", free >> 20);
            if free < LEAST_DISK_BYTES {
                let least = LEAST_DISK_BYTES >> 20;
                bad("disk", text, format!("make room for bundles and data: {least} MiB at least, or set `data_dir`"))
            } else {
                good("disk", text)
            }
        }
    }
}

/// Who has the store open listens there, too: a server with these settings.
fn port(listen: SocketAddr, store: Held) -> Finding {
    let error = match TcpListener::bind(listen) {
        Ok(_) => return good("listen", format!("{listen} is free")),
        Err(error) => error,
    };
    let port = listen.port();
    let other = format!("`ss -ltnp 'sport = :{port}'` shows who it is; end it, or set `http.listen` (--listen)");
    match (error.kind(), store) {
        (ErrorKind::AddrInUse, Held::Yes) => {
            odd("listen", format!("{listen} is taken, it seems by the running server"))
        }
        (ErrorKind::AddrInUse, Held::Unknown) => {
            odd("listen", format!("{listen} is taken")).with(format!("if that is not the server: {other}"))
        }
        (ErrorKind::AddrInUse, Held::No) => {
            bad("listen", format!("{listen} is taken, and not by a server with this data"), other)
        }
        (ErrorKind::PermissionDenied, _) => bad(
            "listen",
            format!("{listen}: {error}"),
            "set `http.listen` to a port above 1023, or give the server CAP_NET_BIND_SERVICE",
        ),
        (ErrorKind::AddrNotAvailable, _) => bad(
            "listen",
            format!("{listen}: {error}"),
            format!("set `http.listen` to an address of this machine (`ip address`); 0.0.0.0:{port} is all of them"),
        ),
        _ => bad("listen", format!("{listen}: {error}"), "set `http.listen` (--listen) to another address"),
    }
}

/// Whether a running server has the store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Yes,
    No,
    /// A database server, or memory: anybody may have it, too.
    Unknown,
}

/// The store, and what is in it.
struct Looked {
    held: Held,
    findings: Vec<Finding>,
}

async fn store(settings: &Settings) -> Looked {
    let path = match settings.store_url() {
        Ok(StoreUrl::RocksDb { path, .. }) => Some(path),
        Ok(StoreUrl::Memory | StoreUrl::Server(_)) | Err(_) => None,
    };
    let held = if path.is_some() { Held::No } else { Held::Unknown };
    if let Some(path) = path.as_deref().filter(|path| !path.exists()) {
        return Looked { held, findings: vec![no_store(path), plugins(None).await] };
    }
    match host::open_store(settings).await {
        Ok(store) => Looked { held, findings: inside(store).await },
        Err(StartError::Store(OpenError::Held(_))) => {
            let running = odd("store", "a running server has it open").with("to look closer, stop it first");
            Looked { held: Held::Yes, findings: vec![running] }
        }
        Err(error) => {
            let remedy = mend(&error, path.as_deref().unwrap_or(settings.data_dir()));
            Looked { held, findings: vec![bad("store", error.to_string(), remedy)] }
        }
    }
}

fn no_store(path: &Path) -> Finding {
    let name = path.display();
    match can_be_made(path) {
        Ok(()) => odd("store", format!("there is none yet at {name}; the first start makes it"))
            .with("if there should be one, set `data_dir` or `store.url` to where it is"),
        Err(error) => bad(
            "store",
            format!("there is none at {name}, and none can be made: {error}"),
            "set `data_dir` or `store.url` to where the server's user may write",
        ),
    }
}

/// What to do about a store that does not open.
fn mend(error: &StartError, path: &Path) -> String {
    match error {
        StartError::Store(OpenError::Unreachable { .. }) => {
            "start the database server, or set `store.url` to where it listens".to_owned()
        }
        StartError::Store(OpenError::Refused) => {
            "set `store.username` and `store.password` to those of a root user of the database server".to_owned()
        }
        StartError::Store(OpenError::Damaged { reason, .. }) if reason.contains("ermission denied") => own(path),
        StartError::Store(OpenError::Damaged { .. }) => {
            "set `store.url` to where the store is, or put a backup there (see Operating, Backup)".to_owned()
        }
        StartError::DataDir(..) => own(existing(path)),
        _ => "do it again; if it stays, look at the database server or the disk, and set `store.url` if it is another"
            .to_owned(),
    }
}

async fn inside(store: Store) -> Vec<Finding> {
    let migrations = migrations(&store).await;
    let up_to_date = migrations.state == State::Good;
    let mut findings = vec![good("store", "it opens"), migrations];
    findings.push(plugins(up_to_date.then_some(&store)).await);
    if let Err(error) = store.close().await {
        let text = format!("it does not close in order: {error}");
        findings.push(bad("store", text, "do it again; if it stays, put a backup there (see Operating, Backup)"));
    }
    findings
}

async fn migrations(store: &Store) -> Finding {
    let all = match store.migrations().status().await {
        Err(error) => return bad("migrations", error.to_string(), "see that `store.url` leads to a store of Kernex"),
        Ok(all) => all,
    };
    let count = |wanted: fn(&MigrationState) -> bool| all.iter().filter(|one| wanted(&one.state)).count();
    let pending = count(|state| matches!(state, MigrationState::Pending));
    let foreign = count(|state| matches!(state, MigrationState::Drifted | MigrationState::Unknown));
    match (foreign, pending) {
        (0, 0) => good("migrations", "the schema is up to date"),
        (0, pending) => odd("migrations", format!("{pending} will be applied by the next start"))
            .with("make a backup first, if the data matters"),
        (foreign, _) => bad(
            "migrations",
            format!("{foreign} are another program's"),
            "see `kernex migrate status`; start the program that made them, or put a backup there",
        ),
    }
}

/// Whether the active policies can be prepared, as a server does it: their plugins may be a stranger's.
async fn plugins(store: Option<&Store>) -> Finding {
    let Some(store) = store else {
        return odd("policies", "they are loaded by the first start");
    };
    // As after `migrate up` on a machine where no server has run yet.
    if store.policies().await.is_ok_and(|policies| policies.is_empty()) {
        return odd("policies", "there are none yet; the first start installs the bundled ones");
    }
    let loaded = match host::server_engine() {
        Err(error) => {
            return bad("policies", error.to_string(), "give the process more address space (`ulimit -v unlimited`)");
        }
        Ok(engine) => Policies::check(&engine, store, &Context::system()).await,
    };
    match loaded {
        Ok(count) => good("policies", format!("{count} are ready")),
        Err(error) => bad(
            "policies",
            error.to_string(),
            "`kernex policy restore` brings the bundled authorization policy back; for another policy, start the program that has its plugin",
        ),
    }
}
