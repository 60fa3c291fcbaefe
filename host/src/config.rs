//! Owns the settings: defaults, then a TOML file, then the environment, then flags, parsed once into typed values.

mod address;
mod codec;
mod declared;
mod layers;
mod plugins;
mod reference;
mod suggestion;
mod telemetry;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use kernex_model::name::RoleName;
use kernex_store::{InvalidStoreUrl, StoreOptions, StoreUrl, Sync};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

pub use layers::{Overrides, SettingsError};
pub use plugins::Plugins;
pub use reference::chapter;
pub use telemetry::{OtlpProtocol, TelemetrySettings};

/// Everything that can be set. What is said of a key here is what the book's chapter on settings says, so it is
/// Markdown for operators; `range` is what is checked, `x-type` names a type where the Rust one would say little, and
/// `x-unit` what a number counts where the key does not end in it.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The HTTP listener.
    pub http: Http,
    /// Where everything is kept that no URL puts elsewhere; made on the first start, for its owner only.
    #[schemars(extend("x-type" = "path"))]
    pub data_dir: DataDir,
    /// The database.
    pub store: StoreSettings,
    /// Bundle bytes.
    pub bundles: Bundles,
    /// The server's name.
    pub server: Server,
    /// Who may make an account, once there is a first one.
    pub registration: Registration,
    /// Roles of accounts that people make themselves where `registration` is `open`.
    #[serde(deserialize_with = "codec::list")]
    #[schemars(with = "Vec<String>", extend("x-type" = "list of role names"))]
    pub registration_roles: Vec<RoleName>,
    /// How a device that enrols becomes active.
    pub admission: AdmissionRule,
    /// What one address or account may do in a minute.
    pub limits: Limits,
    /// Last-seen times.
    pub presence: Presence,
    /// How often devices poll.
    pub heartbeat: Heartbeat,
    /// The decision log.
    pub decisions: Decisions,
    /// Plugins that administrators upload.
    pub plugins: Plugins,
    /// Stopping.
    pub shutdown: Shutdown,
    /// The log on standard error.
    pub log: Log,
    /// Traces, metrics and logs for a collector.
    pub telemetry: TelemetrySettings,
}

/// The directory of data. Made on the first start, readable by its owner only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct DataDir(pub PathBuf);

impl Default for DataDir {
    fn default() -> Self {
        Self(PathBuf::from("./data"))
    }
}

/// `http.*`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Where the server listens; port 0 takes any free one. A host name is refused.
    #[schemars(extend("x-type" = "IP address and port"))]
    pub listen: SocketAddr,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)) }
    }
}

/// `store.*`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// `rocksdb://PATH`, `mem://`, or a SurrealDB server at `ws://…`, `wss://…`, `http://…` or `https://…`; RocksDB
    /// in `store` below the data directory where there is none.
    #[schemars(extend("x-type" = "URL"))]
    pub url: Option<String>,
    /// The user at a SurrealDB server.
    pub username: Option<String>,
    /// That user's password.
    #[serde(deserialize_with = "codec::secret", serialize_with = "codec::masked")]
    #[schemars(with = "Option<String>", extend("x-type" = "text, secret"))]
    pub password: Option<SecretString>,
    /// Memory for RocksDB's block cache, in MiB.
    #[schemars(range(min = 8, max = 1_048_576))]
    pub cache_mib: u32,
    /// Size of one RocksDB memtable, in KiB; the engine's choice where there is none. Small ones flush often.
    #[schemars(range(min = 64, max = 1_048_576))]
    pub memtable_kib: Option<u32>,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { url: None, username: None, password: None, cache_mib: 256, memtable_kib: None }
    }
}

/// `bundles.*`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bundles {
    /// `file:///directory`, `s3://bucket/prefix`, `gs://…` or `az://…`; `bundles` below the data directory where there
    /// is none. Without a user or password.
    #[schemars(extend("x-type" = "URL"))]
    pub url: Option<String>,
    /// The largest bundle that is taken, in bytes.
    pub max_bytes: u64,
}

impl Default for Bundles {
    fn default() -> Self {
        Self { url: None, max_bytes: 4 * 1024 * 1024 * 1024 }
    }
}

/// `server.*`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Issuer of access tokens, and audience of device assertions; not empty.
    pub name: String,
}

impl Default for Server {
    fn default() -> Self {
        Self { name: "kernex".to_owned() }
    }
}

/// Who may make an account, once the first user is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// Anyone.
    Open,
    /// Nobody.
    #[default]
    Closed,
    /// Whoever was invited.
    Invitation,
}

/// How a device that enrols becomes active.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdmissionRule {
    /// An operator admits it, before or after.
    #[default]
    Manual,
    /// Only keys that an operator admitted before may enrol.
    Preauthorized,
    /// By itself.
    Automatic,
}

/// `limits.*`: calls in a minute, which may also come at once.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Attempts to log in from one address, to whatever account. Registrations count here, too.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub logins_per_address: u32,
    /// Attempts to log in to one account.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub logins_per_account: u32,
    /// Enrolments from one address; a whole site may stand behind one.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub enrolments_per_address: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { logins_per_address: 300, logins_per_account: 20, enrolments_per_address: 1_200 }
    }
}

/// `presence.*`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Presence {
    /// Seconds between two writings of last-seen times; a crash may forget as much.
    #[schemars(range(min = 1, max = 3_600))]
    pub flush_interval_s: u32,
}

impl Default for Presence {
    fn default() -> Self {
        Self { flush_interval_s: 5 }
    }
}

/// `heartbeat.*`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Heartbeat {
    /// Seconds between two heartbeats of a device; each answer says up to a tenth more or less.
    #[schemars(range(min = 1, max = 86_400))]
    pub poll_s: u32,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { poll_s: 60 }
    }
}

/// `decisions.*`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Decisions {
    /// Days that a decision is kept.
    #[schemars(range(min = 1, max = 36_500))]
    pub keep_days: u32,
    /// How many decisions are kept at most: what goes beyond is removed once an hour, the oldest of them.
    #[schemars(range(min = 1_000, max = 1_000_000_000), extend("x-unit" = "decisions"))]
    pub keep_max: u32,
    /// The share of decisions that allow what changes nothing (reading, listing, downloading) which is kept, in percent:
    /// they can then be replayed. Denials and what belongs to a change are always kept, heartbeats never are.
    #[schemars(range(max = 100), extend("x-unit" = "percent"))]
    pub reads_percent: u8,
}

impl Default for Decisions {
    fn default() -> Self {
        Self { keep_days: 90, keep_max: 5_000_000, reads_percent: 0 }
    }
}

/// `shutdown.*`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// Seconds that running requests get to finish when the server stops.
    #[schemars(range(min = 0, max = 3_600))]
    pub grace_s: u32,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace_s: 20 }
    }
}

/// `log.*`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How an event is written.
    pub format: LogFormat,
    /// Which events are written, in the form of `RUST_LOG`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Pretty, filter: "warn,kernex=info,kernex_store=info,kernex_engine=info".to_owned() }
    }
}

/// How log events are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One line, for people.
    #[default]
    Pretty,
    /// One JSON object, for machines.
    Json,
}

impl Settings {
    /// Where the database is.
    ///
    /// # Errors
    /// Where `store.url` is none; [`Settings::load`] has made sure that it is one.
    pub fn store_url(&self) -> Result<StoreUrl, InvalidStoreUrl> {
        match &self.store.url {
            Some(url) => url.parse(),
            None => Ok(StoreUrl::RocksDb { path: self.below("store"), sync: Sync::Every }),
        }
    }

    /// How the database is opened.
    #[must_use]
    pub fn store_options(&self) -> StoreOptions {
        StoreOptions {
            cache_bytes: u64::from(self.store.cache_mib) << 20,
            username: self.store.username.clone(),
            password: self.store.password.as_ref().map(|password| password.expose_secret().to_owned()),
            small_memtables: self.store.memtable_kib.map(|kib| u64::from(kib) << 10),
            ..StoreOptions::default()
        }
    }

    /// Where bundle bytes are, unless a URL says so: a directory.
    #[must_use]
    pub fn bundles_dir(&self) -> PathBuf {
        self.below("bundles")
    }

    /// Where plugins' native code is cached: a directory.
    #[must_use]
    pub fn native_code_dir(&self) -> PathBuf {
        self.below("native-code")
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir.0
    }

    /// The settings in force as TOML, without secrets.
    ///
    /// # Errors
    /// Where a value has no TOML form, which no setting has.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }

    fn below(&self, name: &str) -> PathBuf {
        self.data_dir.0.join(name)
    }
}
