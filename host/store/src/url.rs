//! Owns the address of a store: which engine, where, and how it syncs. Checked here, because SurrealDB ignores what it cannot read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// The shortest span between two syncs that the engine accepts.
const MIN_SYNC: Duration = Duration::from_millis(100);
/// The longest span between two syncs that is taken for what somebody meant.
const MAX_SYNC: Duration = Duration::from_secs(3_600);

/// When the embedded engine makes a commit durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sync {
    /// Before the commit is acknowledged.
    #[default]
    Every,
    /// Whenever the operating system likes: a power loss loses everything since.
    Never,
    /// In intervals: even a crash of the process loses what came since the last one.
    Interval(Duration),
}

/// Where the store is.
///
/// `mem://` (gone with the process), `rocksdb:///absolute/path`, `rocksdb://relative/path`, either with
/// `?sync=every|never|<duration>`, or a SurrealDB server by `ws://`, `wss://`, `http://` or `https://`.
/// Users and passwords are settings of their own, so that no address shows one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// In memory.
    Memory,
    /// Embedded RocksDB.
    RocksDb {
        /// Its directory.
        path: PathBuf,
        /// When commits become durable.
        sync: Sync,
    },
    /// A SurrealDB server: scheme, host and port.
    Server(String),
}

/// An address is none that a store can be opened at. The address itself is not repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStoreUrl {
    /// The scheme is unknown.
    #[error("a store's address begins with rocksdb://, mem://, ws://, wss://, http:// or https://")]
    Scheme,
    /// SurrealKV is refused.
    #[error(
        "surrealkv:// is refused: its version 0.21 loses acknowledged transactions when a log rotates in the middle of a commit; use rocksdb://"
    )]
    SurrealKv,
    /// There is no path or host.
    #[error("the store's address lacks {0}")]
    Missing(&'static str),
    /// A user or password stands in the address.
    #[error("user and password do not belong in the store's address: they are settings of their own")]
    Credentials,
    /// Something after the question mark is not understood.
    #[error(
        "the store's address has the option `{0}`, which is not one of: sync=every, sync=never, sync=<duration from 100ms to 1h>"
    )]
    Option(String),
}

impl StoreUrl {
    /// Whether the engine runs in this process.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        !matches!(self, Self::Server(_))
    }

    /// The embedded engine's directory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::RocksDb { path, .. } => Some(path),
            Self::Memory | Self::Server(_) => None,
        }
    }
}

impl FromStr for StoreUrl {
    type Err = InvalidStoreUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(InvalidStoreUrl::Scheme)?;
        match scheme {
            "mem" | "memory" if rest.is_empty() => Ok(Self::Memory),
            "mem" | "memory" => Err(InvalidStoreUrl::Option("a path in memory".to_owned())),
            "rocksdb" => rocksdb(rest),
            "surrealkv" => Err(InvalidStoreUrl::SurrealKv),
            "ws" | "wss" | "http" | "https" => server(scheme, rest),
            _ => Err(InvalidStoreUrl::Scheme),
        }
    }
}

fn rocksdb(rest: &str) -> Result<StoreUrl, InvalidStoreUrl> {
    let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
    if path.trim_matches('/').is_empty() {
        return Err(InvalidStoreUrl::Missing("a path"));
    }
    let mut sync = Sync::Every;
    for option in options.split('&').filter(|option| !option.is_empty()) {
        sync = option
            .strip_prefix("sync=")
            .and_then(parse_sync)
            .ok_or_else(|| InvalidStoreUrl::Option(option.chars().take(64).collect()))?;
    }
    Ok(StoreUrl::RocksDb { path: PathBuf::from(path), sync })
}

fn parse_sync(text: &str) -> Option<Sync> {
    match text {
        "every" => Some(Sync::Every),
        "never" => Some(Sync::Never),
        _ => {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            let (number, unit) = text.split_at(digits);
            let number: u64 = number.parse().ok()?;
            let interval = match unit {
                "ms" => Duration::from_millis(number),
                "s" => Duration::from_secs(number),
                "m" => Duration::from_secs(number.checked_mul(60)?),
                "h" => Duration::from_secs(number.checked_mul(3_600)?),
                _ => return None,
            };
            (MIN_SYNC..=MAX_SYNC).contains(&interval).then_some(Sync::Interval(interval))
        }
    }
}

fn server(scheme: &str, rest: &str) -> Result<StoreUrl, InvalidStoreUrl> {
    if rest.contains('@') {
        return Err(InvalidStoreUrl::Credentials);
    }
    if let Some((_, option)) = rest.split_once('?') {
        return Err(InvalidStoreUrl::Option(option.chars().take(64).collect()));
    }
    let host = rest.trim_end_matches('/');
    if host.is_empty() || host.starts_with(':') || host.contains(char::is_whitespace) {
        return Err(InvalidStoreUrl::Missing("a host"));
    }
    Ok(StoreUrl::Server(format!("{scheme}://{host}")))
}

impl fmt::Display for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str("every"),
            Self::Never => f.write_str("never"),
            Self::Interval(interval) => write!(f, "{}ms", interval.as_millis()),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("mem://"),
            Self::RocksDb { path, sync } => write!(f, "rocksdb://{}?sync={sync}", path.display()),
            Self::Server(address) => f.write_str(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, written) in [
            ("mem://", "mem://"),
            ("rocksdb://data/store", "rocksdb://data/store?sync=every"),
            ("rocksdb:///var/lib/kernex?sync=never", "rocksdb:///var/lib/kernex?sync=never"),
            ("rocksdb://x?sync=2s", "rocksdb://x?sync=2000ms"),
            ("wss://db.example.org:8000/", "wss://db.example.org:8000"),
            ("http://localhost:8000", "http://localhost:8000"),
        ] {
            let url: StoreUrl = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(url.to_string(), written);
            assert_eq!(written.parse(), Ok(url));
        }
    }

    #[test]
    fn what_would_be_ignored_or_lose_data_is_refused() {
        for bad in ["", "data/store", "tikv://x", "rocksdb://", "rocksdb:///", "mem://x", "ws://", "ws://:80"] {
            assert!(bad.parse::<StoreUrl>().is_err(), "{bad}");
        }
        for option in ["sync=evry", "sync=", "sync=5", "sync=50ms", "sync=2h", "sink=every", "versioned=true"] {
            let refused = format!("rocksdb://x?{option}").parse::<StoreUrl>();
            assert_eq!(refused, Err(InvalidStoreUrl::Option(option.to_owned())));
        }
        assert_eq!("surrealkv://x".parse::<StoreUrl>(), Err(InvalidStoreUrl::SurrealKv));
        let error = "wss://root:hunter2@db".parse::<StoreUrl>().expect_err("credentials in the address");
        assert!(!error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"));
    }
}
