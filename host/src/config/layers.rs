//! Owns how the layers of settings are put together, and what is said where one of them is wrong.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, Environment, File, FileFormat, Map, Value, ValueKind};
use tracing_subscriber::EnvFilter;

use super::address::{names_a_user, scheme};
use super::suggestion::suggestion;
use super::{OtlpProtocol, Settings, declared};

/// The file that is read where no other is named, if it exists.
const DEFAULT_FILE: &str = "kernex.toml";
/// Variables are `KERNEX__HTTP__LISTEN` for `http.listen`.
const ENVIRONMENT_PREFIX: &str = "KERNEX";
const ENVIRONMENT_SEPARATOR: &str = "__";

/// What flags set; the last word.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `http.listen`
    pub listen: Option<SocketAddr>,
    /// `data_dir`
    pub data_dir: Option<PathBuf>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read or is no TOML.
    #[error("cannot read the settings: {0}")]
    Unreadable(String),
    /// There is no setting of that name.
    #[error("there is no setting `{key}`{origin}; {suggestion}")]
    Unknown {
        /// The key as it was given.
        key: String,
        /// ` (in kernex.toml)`, where it is known.
        origin: String,
        /// What was most likely meant, and what there is in the same table.
        suggestion: String,
    },
    /// A value does not fit its setting.
    #[error("a setting is wrong: {0}")]
    Invalid(String),
}

impl Settings {
    /// Reads all layers: defaults < `file` (or `./kernex.toml`) < environment < `overrides`.
    ///
    /// # Errors
    /// [`SettingsError`], which names the key and where it stands.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Self, SettingsError> {
        let environment = Environment::with_prefix(ENVIRONMENT_PREFIX)
            .prefix_separator(ENVIRONMENT_SEPARATOR)
            .separator(ENVIRONMENT_SEPARATOR);
        Self::layered(file, environment, overrides)
    }

    fn layered(file: Option<&Path>, environment: Environment, overrides: &Overrides) -> Result<Self, SettingsError> {
        let file = match file {
            Some(path) => File::from(path).format(FileFormat::Toml).required(true),
            None => File::from(Path::new(DEFAULT_FILE)).format(FileFormat::Toml).required(false),
        };
        let unreadable = |error: ConfigError| SettingsError::Unreadable(error.to_string());
        let layers = Config::builder()
            .add_source(file)
            .add_source(environment)
            .set_override_option("http.listen", overrides.listen.map(|address| address.to_string()))
            .map_err(unreadable)?
            .set_override_option(
                "data_dir",
                overrides.data_dir.as_ref().map(|path| path.to_string_lossy().into_owned()),
            )
            .map_err(unreadable)?
            .build()
            .map_err(unreadable)?;
        let table = layers.cache.clone().into_table().map_err(unreadable)?;
        refuse_unknown(&table, "", &known_keys())?;
        let settings: Self = layers.try_deserialize().map_err(|error| SettingsError::Invalid(error.to_string()))?;
        settings.check()?;
        Ok(settings)
    }

    /// What the types alone do not say.
    fn check(&self) -> Result<(), SettingsError> {
        let wrong = |text: String| Err(SettingsError::Invalid(text));
        if self.data_dir.0.as_os_str().is_empty() {
            return wrong("`data_dir` is empty".to_owned());
        }
        if self.server.name.trim().is_empty() {
            return wrong("`server.name` is empty".to_owned());
        }
        if let Err(error) = self.store_url() {
            return wrong(format!("`store.url`: {error}"));
        }
        self.check_addresses()?;
        self.check_collector()?;
        if let Err(error) = EnvFilter::try_new(&self.log.filter) {
            return wrong(format!("`log.filter`: {error}"));
        }
        let values = serde_json::to_value(self).map_err(|error| SettingsError::Invalid(error.to_string()))?;
        for setting in declared::settings() {
            let Some((least, most)) = setting.range() else { continue };
            let key = &setting.key;
            let value = values.pointer(&format!("/{}", key.replace('.', "/"))).unwrap_or(&serde_json::Value::Null);
            // What is no finite number has no JSON form. Only a setting that has no value by default may lack one.
            if value.as_f64().map_or(setting.default.is_null(), |number| (least..=most).contains(&number)) {
                continue;
            }
            let value = value.as_f64().map_or_else(|| "no number".to_owned(), |number| number.to_string());
            return wrong(format!("`{key}` is {value}; it must lie between {least} and {most}"));
        }
        Ok(())
    }

    /// Where an address holds what must not be printed. It is not repeated.
    fn check_addresses(&self) -> Result<(), SettingsError> {
        let addresses = [
            ("bundles.url", &self.bundles.url, "the variables AWS_…, GOOGLE_… or AZURE_…"),
            (
                "telemetry.otlp_endpoint",
                &self.telemetry.otlp_endpoint,
                "`telemetry.otlp_headers`, as `authorization=Basic …` for instance",
            ),
        ];
        for (key, address, place) in addresses {
            if address.as_deref().is_some_and(names_a_user) {
                let text = format!("`{key}`: user and password do not belong in an address; they go into {place}");
                return Err(SettingsError::Invalid(text));
            }
        }
        Ok(())
    }

    /// Whether the collector can be spoken to like that. The address is not repeated: it may hold what is secret.
    fn check_collector(&self) -> Result<(), SettingsError> {
        let Some(endpoint) = &self.telemetry.otlp_endpoint else { return Ok(()) };
        let why = match (scheme(endpoint).as_deref(), self.telemetry.otlp_protocol) {
            (Some("http"), _) | (Some("https"), OtlpProtocol::Http) => return Ok(()),
            (Some("https"), OtlpProtocol::Grpc) => {
                "there is no TLS over gRPC; for https:// set `telemetry.otlp_protocol` to \"http\", and the address to \
                 where the collector takes that, usually port 4318"
            }
            (_, OtlpProtocol::Grpc) => "write http://HOST:PORT",
            (_, OtlpProtocol::Http) => "write http://HOST:PORT or https://HOST:PORT",
        };
        Err(SettingsError::Invalid(format!("`telemetry.otlp_endpoint`: {why}")))
    }
}

/// Every key there is, dotted, tables included: read off the defaults, so that it cannot fall behind.
fn known_keys() -> BTreeSet<String> {
    fn walk(value: &serde_json::Value, path: &str, keys: &mut BTreeSet<String>) {
        if let serde_json::Value::Object(table) = value {
            for (name, value) in table {
                let key = join(path, name);
                walk(value, &key, keys);
                keys.insert(key);
            }
        }
    }
    let mut keys = BTreeSet::new();
    walk(&serde_json::to_value(Settings::default()).unwrap_or_default(), "", &mut keys);
    keys
}

/// The variable of the environment that sets `key`.
pub(super) fn variable(key: &str) -> String {
    let name = key.to_uppercase().replace('.', ENVIRONMENT_SEPARATOR);
    format!("{ENVIRONMENT_PREFIX}{ENVIRONMENT_SEPARATOR}{name}")
}

/// serde would refuse it as well, but names neither the table nor the file.
fn refuse_unknown(table: &Map<String, Value>, path: &str, known: &BTreeSet<String>) -> Result<(), SettingsError> {
    for (name, value) in table {
        let key = join(path, name);
        if !known.contains(&key) {
            let origin = value.origin().map(|origin| format!(" (in {origin})")).unwrap_or_default();
            let suggestion = suggestion(&key, known);
            return Err(SettingsError::Unknown { key, origin, suggestion });
        }
        if let ValueKind::Table(inner) = &value.kind {
            refuse_unknown(inner, &key, known)?;
        }
    }
    Ok(())
}

/// The key of what is called `name` in the table `path`.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The key of the table that a key is in.
pub(super) fn parent(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AdmissionRule, LogFormat};

    fn load(toml: &str, variables: &[(&str, &str)], overrides: &Overrides) -> Result<Settings, SettingsError> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("kernex.toml");
        std::fs::write(&file, toml).expect("a file");
        let variables = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let environment =
            Environment::with_prefix("KERNEX").prefix_separator("__").separator("__").source(Some(variables));
        Settings::layered(Some(&file), environment, overrides)
    }

    #[test]
    fn later_layers_win() {
        let toml = "admission = \"automatic\"\n[http]\nlisten = \"127.0.0.1:1\"\n[heartbeat]\npoll_s = 7\n";
        let variables = [
            ("KERNEX__HTTP__LISTEN", "127.0.0.1:2"),
            ("KERNEX__STORE__PASSWORD", "1e5"),
            ("KERNEX__LOG__FORMAT", "json"),
        ];
        let settings = load(toml, &variables, &Overrides::default()).expect("good settings");
        assert_eq!(settings.http.listen.port(), 2);
        assert_eq!(settings.heartbeat.poll_s, 7);
        assert_eq!(settings.admission, AdmissionRule::Automatic);
        assert_eq!(settings.log.format, LogFormat::Json);
        assert_eq!(settings.presence.flush_interval_s, 5);

        let flags = Overrides { listen: "127.0.0.1:3".parse().ok(), data_dir: Some("/tmp/elsewhere".into()) };
        let settings = load(toml, &variables, &flags).expect("good settings");
        assert_eq!(settings.http.listen.port(), 3);
        let url = settings.store_url().expect("the default").to_string();
        assert_eq!(url, "rocksdb:///tmp/elsewhere/store?sync=every");
    }

    #[test]
    fn a_secret_is_not_shown_and_not_bent() {
        use secrecy::ExposeSecret;
        let settings = load("", &[("KERNEX__STORE__PASSWORD", "1e5")], &Overrides::default()).expect("good settings");
        assert_eq!(settings.store.password.as_ref().map(|password| password.expose_secret()), Some("1e5"));
        let shown = settings.to_toml().expect("TOML");
        assert!(shown.contains("password = \"********\""), "{shown}");
        assert!(!shown.contains("1e5") && !format!("{settings:?}").contains("1e5"));
    }

    #[test]
    fn an_address_with_a_password_is_refused_and_not_repeated() {
        for (toml, key, place) in [
            (
                "[telemetry]\notlp_endpoint = \"http://kernex:hunter2@collector:4317\"\n",
                "`telemetry.otlp_endpoint`",
                "`telemetry.otlp_headers`",
            ),
            ("[bundles]\nurl = \"s3://AKIA:hunter2@bucket/prefix\"\n", "`bundles.url`", "AWS_…"),
        ] {
            let error = load(toml, &[], &Overrides::default()).expect_err(toml);
            assert!(matches!(error, SettingsError::Invalid(_)), "{error:?}");
            let error = error.to_string();
            assert!(error.contains(key) && error.contains(place), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let good = "[telemetry]\notlp_endpoint = \"http://collector:4317\"\n[bundles]\nurl = \"s3://bucket/prefix\"\n";
        assert!(load(good, &[], &Overrides::default()).is_ok());
    }

    #[test]
    fn tls_is_for_a_collector_over_http() {
        let set = |endpoint: &str, protocol: &str| {
            let toml = format!("[telemetry]\notlp_endpoint = \"{endpoint}\"\notlp_protocol = \"{protocol}\"\n");
            load(&toml, &[], &Overrides::default()).map(drop).map_err(|error| error.to_string())
        };
        for (endpoint, protocol) in [
            ("http://collector:4317", "grpc"),
            ("HTTP://collector:4317", "grpc"),
            ("http://collector:4318", "http"),
            ("https://collector:4318/otlp", "http"),
        ] {
            assert_eq!(set(endpoint, protocol), Ok(()), "{endpoint} {protocol}");
        }
        let error = set("https://hunter2:4317", "grpc").expect_err("no TLS");
        assert!(error.contains("`telemetry.otlp_endpoint`") && error.contains("`telemetry.otlp_protocol`"), "{error}");
        assert!(error.contains("\"http\"") && !error.contains("hunter2"), "{error}");
        for endpoint in ["hunter2:4317", "127.0.0.1:4317", "hunter2", "", "ftp://hunter2", "//hunter2:4317"] {
            for protocol in ["grpc", "http"] {
                let error = set(endpoint, protocol).expect_err(endpoint);
                assert!(error.contains("`telemetry.otlp_endpoint`: write http://"), "{error}");
                assert!(!error.contains("hunter2"), "{error}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("[http]\nlisten_on = 1\n", "`http.listen_on`"),
            ("colour = \"red\"\n", "`colour`"),
            ("[http]\nlisten = \"nowhere\"\n", "http.listen"),
            ("[heartbeat]\npoll_s = 0\n", "`heartbeat.poll_s` is 0"),
            ("admission = \"perhaps\"\n", "admission"),
            ("[store]\nurl = \"surrealkv://x\"\n", "`store.url`: surrealkv"),
            ("[telemetry]\nsample_ratio = nan\n", "`telemetry.sample_ratio` is no number"),
            ("[log]\nfilter = \"kernex=loud\"\n", "`log.filter`: "),
            ("registration_roles = [\"viewer\", \"No One\"]\n", "registration_roles"),
            ("registration_roles = 1\n", "list of texts"),
            ("not toml", "cannot read the settings"),
        ];
        for (toml, named) in cases {
            let error = load(toml, &[], &Overrides::default()).expect_err(toml).to_string();
            assert!(error.contains(named), "{toml:?} gave {error:?}");
        }
        let error = load("", &[("KERNEX__HTTP__PORT", "1")], &Overrides::default()).expect_err("an unknown key");
        assert!(error.to_string().contains("`http.port`"), "{error}");
        let error =
            load("[heartbeat]\npol_s = 1\n", &[], &Overrides::default()).expect_err("a misspelt key").to_string();
        assert!(error.ends_with("; did you mean `heartbeat.poll_s`?"), "{error}");
    }

    #[test]
    fn what_a_type_declares_is_what_is_checked() {
        let set = |key: &str, value: f64| load("", &[(&variable(key), &value.to_string())], &Overrides::default());
        let mut checked = 0;
        for setting in declared::settings() {
            let Some((least, most)) = setting.range() else { continue };
            let key = setting.key.as_str();
            for value in [least, most] {
                assert!(set(key, value).is_ok(), "{key} = {value}");
            }
            let error = set(key, most + 1.0).expect_err(key).to_string();
            let said = format!("`{key}` is {}; it must lie between {least} and {most}", most + 1.0);
            assert!(error.ends_with(&said), "{error}");
            assert!(set(key, least - 1.0).is_err(), "{key}");
            checked += 1;
        }
        assert!(checked > 10, "only {checked} settings have a range");
    }

    const PUBLIC_KEY: &str = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=";

    #[test]
    fn each_setting_can_be_set_by_its_variable() {
        for setting in declared::settings() {
            let value = match &setting.default {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Array(_) if setting.key == "plugins.trusted_keys" => PUBLIC_KEY.to_owned(),
                serde_json::Value::Array(_) => "viewer".to_owned(),
                serde_json::Value::Null if setting.key.ends_with("_kib") => "64".to_owned(),
                serde_json::Value::Null if setting.key == "store.url" => "mem://".to_owned(),
                serde_json::Value::Null if setting.key == "telemetry.otlp_endpoint" => "http://collector".to_owned(),
                serde_json::Value::Null => "something".to_owned(),
                other => other.to_string(),
            };
            let set = load("", &[(&variable(&setting.key), &value)], &Overrides::default());
            assert!(set.is_ok(), "{}={value}: {set:?}", variable(&setting.key));
        }
    }

    #[test]
    fn a_variable_gives_a_list_separated_by_commas() {
        let toml = "registration_roles = [\"operator\"]\n";
        let roles = |variables: &[(&str, &str)]| {
            let settings = load(toml, variables, &Overrides::default()).expect("good settings");
            settings.registration_roles.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(roles(&[]), ["operator"]);
        assert_eq!(roles(&[("KERNEX__REGISTRATION_ROLES", "viewer")]), ["viewer"]);
        assert_eq!(roles(&[("KERNEX__REGISTRATION_ROLES", "viewer, operator")]), ["viewer", "operator"]);
        assert_eq!(roles(&[("KERNEX__REGISTRATION_ROLES", "")]), [""; 0], "a variable can empty the list");
        let wrong = load(toml, &[("KERNEX__REGISTRATION_ROLES", "viewer,No One")], &Overrides::default());
        let error = wrong.expect_err("no role's name").to_string();
        assert!(error.contains("registration_roles") && error.contains("RoleName"), "{error}");
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let shown = Settings::default().to_toml().expect("TOML");
        let again = load(&shown, &[], &Overrides::default()).expect("what was shown");
        assert_eq!(again.to_toml().expect("TOML"), shown);
    }
}
