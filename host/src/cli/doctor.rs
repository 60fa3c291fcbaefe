//! Owns `doctor`: looks at what a server needs before it is started, and says what to do about what is wrong.

use std::net::TcpListener;
use std::path::Path;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use kernex_store::{MigrationState, OpenError};

use super::CliError;
use crate::app::{Context, Policies};
use crate::config::Settings;
use crate::host::{self, StartError};

/// Room below which a server stops being ready soon, in bytes.
const LEAST_DISK_BYTES: u64 = 1024 * 1024 * 1024;
/// 2026-01-01T00:00:00Z: a clock before this program was made is wrong.
const BUILT_AFTER_MILLIS: i64 = 1_767_225_600_000;
/// Bits that let others than the owner in.
const OTHERS: u32 = 0o077;

/// What one look found.
struct Finding {
    part: &'static str,
    state: State,
    text: String,
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
    Finding { part, state: State::Good, text: text.into() }
}

fn odd(part: &'static str, text: impl Into<String>) -> Finding {
    Finding { part, state: State::Odd, text: text.into() }
}

fn bad(part: &'static str, text: impl Into<String>) -> Finding {
    Finding { part, state: State::Bad, text: text.into() }
}

/// Looks at everything and prints what it found.
///
/// # Errors
/// Where something is wrong.
pub(super) async fn run(settings: &Settings) -> Result<(), CliError> {
    let context = Context::system();
    let mut findings = vec![
        good("settings", "they are read; `kernex config show` prints them"),
        directory(settings.data_dir()),
        disk(settings.data_dir()),
        clock(&context),
        port(settings),
    ];
    findings.extend(store(settings).await);
    let mut table = Table::new();
    table.load_preset(NOTHING);
    for finding in &findings {
        table.add_row([finding.part, finding.state.word(), &finding.text]);
    }
    println!("{table}");
    let wrong = findings.iter().filter(|finding| finding.state == State::Bad).count();
    if wrong > 0 { Err(CliError::Failed(format!("{wrong} wrong"))) } else { Ok(()) }
}

fn directory(path: &Path) -> Finding {
    use std::os::unix::fs::PermissionsExt;
    let name = path.display();
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            odd("data_dir", format!("{name} does not exist yet; the first start makes it"))
        }
        Err(error) => bad("data_dir", format!("{name}: {error}; let the server's user in, or set `data_dir`")),
        Ok(found) if !found.is_dir() => bad("data_dir", format!("{name} is no directory; set `data_dir`")),
        Ok(found) if found.permissions().mode() & OTHERS != 0 => {
            bad("data_dir", format!("others may read {name}, which holds keys: chmod 700 {name}"))
        }
        Ok(_) => match tempfile::tempfile_in(path) {
            Ok(_) => good("data_dir", format!("{name} can be written")),
            Err(error) => bad("data_dir", format!("{name} cannot be written: {error}")),
        },
    }
}

fn disk(path: &Path) -> Finding {
    let existing = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    match rustix::fs::statvfs(existing) {
        Err(error) => bad("disk", error.to_string()),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let text = format!("{} MiB are free", free >> 20);
            if free < LEAST_DISK_BYTES {
                bad("disk", format!("{text}: make room for bundles and data"))
            } else {
                good("disk", text)
            }
        }
    }
}

fn clock(context: &Context) -> Finding {
    let now = context.now();
    if now.as_millis() < BUILT_AFTER_MILLIS {
        return bad("clock", format!("it says {now}: tokens would be refused; set the time (NTP)"));
    }
    good("clock", format!("it says {now}"))
}

fn port(settings: &Settings) -> Finding {
    let listen = settings.http.listen;
    match TcpListener::bind(listen) {
        Ok(_) => good("listen", format!("{listen} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            odd("listen", format!("somebody listens at {listen}: a running server, or choose another with --listen"))
        }
        Err(error) => bad("listen", format!("{listen}: {error}; set `http.listen`")),
    }
}

async fn store(settings: &Settings) -> Vec<Finding> {
    let exists = settings.store.url.is_some() || settings.data_dir().join("store").exists();
    if !exists {
        return vec![odd("store", "there is none yet; the first start makes it"), plugins(None).await];
    }
    let store = match host::open_store(settings).await {
        Ok(store) => store,
        Err(StartError::Store(OpenError::Held(_))) => {
            return vec![odd("store", "a running server has it open: stop it first to look closer")];
        }
        Err(error) => return vec![bad("store", error.to_string())],
    };
    let migrations = match store.migrations().status().await {
        Err(error) => bad("migrations", error.to_string()),
        Ok(all) => {
            let count = |wanted: fn(&MigrationState) -> bool| all.iter().filter(|one| wanted(&one.state)).count();
            let pending = count(|state| matches!(state, MigrationState::Pending));
            let foreign = count(|state| matches!(state, MigrationState::Drifted | MigrationState::Unknown));
            match (foreign, pending) {
                (0, 0) => good("migrations", "the schema is up to date"),
                (0, pending) => odd("migrations", format!("{pending} will be applied by the next start")),
                (foreign, _) => {
                    bad("migrations", format!("{foreign} are another program's: see `kernex migrate status`"))
                }
            }
        }
    };
    let up_to_date = migrations.state == State::Good;
    let mut findings = vec![good("store", "it opens"), migrations];
    findings.push(plugins(up_to_date.then_some(&store)).await);
    if let Err(error) = store.close().await {
        findings.push(bad("store", format!("it does not close in order: {error}")));
    }
    findings
}

/// Whether the active policies can be prepared.
async fn plugins(store: Option<&kernex_store::Store>) -> Finding {
    let Some(store) = store else {
        return odd("policies", "they are loaded by the first start");
    };
    let loaded = match host::engine() {
        Err(error) => return bad("policies", error.to_string()),
        Ok(engine) => Policies::check(&engine, store).await,
    };
    match loaded {
        Ok(count) => good("policies", format!("{count} are ready")),
        Err(error) => bad("policies", format!("{error}; `kernex policy restore` brings the bundled one back")),
    }
}
