//! Owns the settings: defaults, then a TOML file, then the environment, then flags, parsed once into typed values.

mod layers;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use kernex_model::name::RoleName;
use kernex_store::{InvalidStoreUrl, StoreOptions, StoreUrl, Sync};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use layers::{Overrides, SettingsError};

/// What `config show` prints in place of a secret.
const MASKED: &str = "********";

/// Everything that can be set. Each key's documentation says its unit.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The HTTP listener.
    pub http: Http,
    /// Where everything is kept that no URL below puts elsewhere.
    pub data_dir: DataDir,
    /// The database.
    pub store: StoreSettings,
    /// Bundle bytes.
    pub bundles: Bundles,
    /// The server's name.
    pub server: Server,
    /// Who may make an account.
    pub registration: Registration,
    /// The roles of accounts that people make themselves.
    pub registration_roles: Vec<RoleName>,
    /// How devices are admitted.
    pub admission: AdmissionRule,
    /// What one address or account may do in a minute.
    pub limits: Limits,
    /// Last-seen times.
    pub presence: Presence,
    /// How often devices poll.
    pub heartbeat: Heartbeat,
    /// The decision log.
    pub decisions: Decisions,
    /// Stopping.
    pub shutdown: Shutdown,
    /// The log on standard error.
    pub log: Log,
    /// Traces, metrics and logs for a collector.
    pub telemetry: TelemetrySettings,
}

/// The directory of data. Made on the first start, readable by its owner only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct DataDir(pub PathBuf);

impl Default for DataDir {
    fn default() -> Self {
        Self(PathBuf::from("./data"))
    }
}

/// `http.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port; port 0 takes any free one.
    pub listen: SocketAddr,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)) }
    }
}

/// `store.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// `rocksdb://PATH?sync=every`, `mem://`, `ws://` or `wss://`; RocksDB below the data directory where absent.
    pub url: Option<String>,
    /// The user at a SurrealDB server.
    pub username: Option<String>,
    /// That user's password.
    #[serde(deserialize_with = "secret", serialize_with = "masked")]
    pub password: Option<SecretString>,
    /// Memory for RocksDB's block cache, in MiB.
    pub cache_mib: u32,
    /// Size of one memtable, in KiB; the engine's choice where absent. Small ones flush often.
    pub memtable_kib: Option<u32>,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { url: None, username: None, password: None, cache_mib: 256, memtable_kib: None }
    }
}

/// `bundles.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bundles {
    /// `file://`, `s3://`, `gs://` or `az://`; a folder below the data directory where absent.
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
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Issuer of tokens, and audience of device assertions.
    pub name: String,
}

impl Default for Server {
    fn default() -> Self {
        Self { name: "kernex".to_owned() }
    }
}

/// Who may make an account, once the first user is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
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

/// `limits.*`: calls in a minute; each has a default of its own where it is absent.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Attempts to log in, from one address.
    pub logins_per_address: Option<u32>,
    /// Attempts to log in to one account.
    pub logins_per_account: Option<u32>,
    /// Enrolments from one address.
    pub enrolments_per_address: Option<u32>,
}

/// `presence.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Presence {
    /// Seconds of last-seen times that a crash may forget.
    pub flush_interval_s: u32,
}

impl Default for Presence {
    fn default() -> Self {
        Self { flush_interval_s: 5 }
    }
}

/// `heartbeat.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Heartbeat {
    /// Seconds between two heartbeats of a device.
    pub poll_s: u32,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { poll_s: 60 }
    }
}

/// `decisions.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Decisions {
    /// Days that a decision is kept.
    pub keep_days: u32,
}

impl Default for Decisions {
    fn default() -> Self {
        Self { keep_days: 90 }
    }
}

/// `shutdown.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// Seconds that requests get to finish.
    pub grace_s: u32,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace_s: 20 }
    }
}

/// `log.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// One line for people, or one JSON object, per event.
    pub format: LogFormat,
    /// Which events, as `RUST_LOG` writes it.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Pretty, filter: "warn,kernex=info,kernex_store=info,kernex_engine=info".to_owned() }
    }
}

/// How log events are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// For machines.
    Json,
}

/// `telemetry.*`: what is sent to a collector over OTLP. Nothing is, where no endpoint is set.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// The collector's address, such as `http://127.0.0.1:4317`.
    pub otlp_endpoint: Option<String>,
    /// How it is spoken to.
    pub otlp_protocol: OtlpProtocol,
    /// Headers of every export, as `name=value` pairs separated by commas; a collector's API key, for example.
    #[serde(deserialize_with = "secret", serialize_with = "masked")]
    pub otlp_headers: Option<SecretString>,
    /// The share of requests that are traced, 0 to 1, where the caller has not decided it (W3C Trace Context).
    pub sample_ratio: f64,
    /// Seconds between two exports of metrics.
    pub interval_s: u32,
    /// What the server is called in what it sends.
    pub service_name: String,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_protocol: OtlpProtocol::Grpc,
            otlp_headers: None,
            sample_ratio: 0.01,
            interval_s: 10,
            service_name: "kernex".to_owned(),
        }
    }
}

/// The two ways of OTLP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OtlpProtocol {
    /// gRPC, usually at port 4317.
    #[default]
    Grpc,
    /// HTTP with Protocol Buffers, usually at port 4318.
    Http,
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

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

fn masked<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        // An empty one is worth seeing: it is most likely a mistake.
        Some(secret) if secret.expose_secret().is_empty() => serializer.serialize_some(""),
        Some(_) => serializer.serialize_some(MASKED),
        None => serializer.serialize_none(),
    }
}
