//! Owns `plugin new`: writes a crate that builds, passes its native tests and its cases, and is there to be changed.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use kernex_model::policy::Gate;

use crate::cli::CliError;
use crate::cli::output::say;

/// Longest name of a plugin, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// Names of crates that come with Rust, or that a plugin uses.
const TAKEN: [&str; 9] =
    ["alloc", "core", "kernex-sdk", "proc-macro", "schemars", "serde", "std", "test", "wit-bindgen"];
/// Words that Rust keeps to itself: no crate can be called by one of them.
const KEYWORDS: [&str; 51] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];
/// What every type's name ends with: neither the language nor the SDK has such a type, whatever the plugin is called.
const TYPE_SUFFIX: &str = "Policy";
/// Where the SDK lay when this program was built.
const SDK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sdk");
/// The compiler that the SDK is tested with.
const TOOLCHAIN: &str = include_str!("../../../../rust-toolchain.toml");
const MANIFEST: &str = include_str!("template/manifest.toml");
const README: &str = include_str!("template/README.md");
const IGNORED: &str = include_str!("template/gitignore");

const EXAMPLES: &str = "\
Writes a folder NAME with Cargo.toml, src/lib.rs, cases.yaml, settings.json and README.md.

Examples:
  kernex plugin new --gate targeting my-rings
  cd my-rings && cargo test && kernex plugin test

  kernex plugin new --gate authorization office-hours --sdk ~/src/kernex/sdk";

/// Write the crate of a new plugin, which builds and passes its tests.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct New {
    /// Its name: lower case letters, digits and hyphens
    name: PluginName,
    /// Which decision it makes
    #[arg(long, value_parser = gates())]
    gate: Gate,
    /// The SDK: the folder `sdk` of a checkout of Kernex [default: that of the checkout this program was built from]
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

fn gates() -> impl TypedValueParser<Value = Gate> {
    PossibleValuesParser::new(Gate::ALL.map(Gate::as_str)).try_map(|name| name.parse::<Gate>())
}

/// A name that a plugin, a package and a Rust type can have.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PluginName(String);

impl FromStr for PluginName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let begins = text.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        if !begins || text.len() > MAX_NAME_BYTES || !text.bytes().all(letters) || text.ends_with('-') {
            return Err(format!(
                "a name has 1 to {MAX_NAME_BYTES} lower case letters, digits and hyphens; it begins with a letter and \
                 does not end with a hyphen"
            ));
        }
        if TAKEN.contains(&text) {
            return Err("this name is taken".to_owned());
        }
        if KEYWORDS.contains(&text) { Err("this name is a word of Rust".to_owned()) } else { Ok(Self(text.to_owned())) }
    }
}

impl PluginName {
    /// `MyRingsPolicy` for `my-rings` and for `my-rings-policy`.
    fn type_name(&self) -> String {
        let capital = |part: &str| {
            let mut letters = part.chars();
            letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
        };
        let name: String = self.0.split('-').filter_map(capital).collect();
        if name.ends_with(TYPE_SUFFIX) { name } else { name + TYPE_SUFFIX }
    }
}

impl New {
    pub(super) fn run(self) -> Result<(), CliError> {
        let sdk = found(self.sdk.as_deref(), Path::new(SDK)).map_err(CliError::Failed)?;
        let folder = PathBuf::from(&self.name.0);
        let lock = sdk.parent().map(|checkout| checkout.join("Cargo.lock")).and_then(|path| std::fs::read(path).ok());
        write(&folder, &self.files(&sdk), lock.as_deref())
            .map_err(|error| CliError::Failed(format!("cannot write {}: {error}", folder.display())))?;
        say!("{} is written. What now:\n", folder.display());
        say!("    cd {}", self.name.0);
        say!("    cargo test             # native tests");
        say!("    kernex plugin test     # builds the component and runs cases.yaml against it");
        Ok(())
    }

    /// Path and text of each file.
    fn files(&self, sdk: &Path) -> Vec<(&'static str, String)> {
        let (code, cases, settings, about) = template(self.gate);
        // A debug text is not a TOML text; this is.
        let path = toml::Value::from(sdk.display().to_string()).to_string();
        let filled = |text: &str| {
            text.replace("template-name", &self.name.0)
                .replace("TemplateName", &self.name.type_name())
                .replace("template-gate", self.gate.as_str())
                .replace("\"template-sdk\"", &path)
        };
        vec![
            ("Cargo.toml", filled(MANIFEST)),
            ("rust-toolchain.toml", TOOLCHAIN.to_owned()),
            (".gitignore", IGNORED.to_owned()),
            ("src/lib.rs", filled(code)),
            ("cases.yaml", filled(cases)),
            ("settings.json", filled(settings)),
            ("README.md", filled(&README.replace("template-about\n", about))),
        ]
    }
}

/// Code, cases, settings and the end of the README.
fn template(gate: Gate) -> (&'static str, &'static str, &'static str, &'static str) {
    match gate {
        Gate::Authorization => (
            include_str!("template/authorization/lib.rs"),
            include_str!("template/authorization/cases.yaml"),
            include_str!("template/authorization/settings.json"),
            include_str!("template/authorization/README.md"),
        ),
        Gate::Targeting => (
            include_str!("template/targeting/lib.rs"),
            include_str!("template/targeting/cases.yaml"),
            include_str!("template/targeting/settings.json"),
            include_str!("template/targeting/README.md"),
        ),
        Gate::Rollback => (
            include_str!("template/rollback/lib.rs"),
            include_str!("template/rollback/cases.yaml"),
            include_str!("template/rollback/settings.json"),
            include_str!("template/rollback/README.md"),
        ),
    }
}

/// The SDK's folder: the one that is named, or the one of the checkout.
fn found(named: Option<&Path>, built_from: &Path) -> Result<PathBuf, String> {
    let folder = named.unwrap_or(built_from);
    let is_sdk = std::fs::read_to_string(folder.join("Cargo.toml"))
        .ok()
        .and_then(|text| text.parse::<toml::Table>().ok())
        .is_some_and(|manifest| manifest.get("package").and_then(|it| it.get("name")?.as_str()) == Some("kernex-sdk"));
    match (is_sdk, named) {
        (true, _) => folder.canonicalize().map_err(|error| format!("cannot open {}: {error}", folder.display())),
        (false, Some(named)) => Err(format!("{} is not the SDK: the folder `sdk` of a checkout is", named.display())),
        (false, None) => Err("the checkout that this program was built from is not there; \
                              name its SDK with --sdk DIR, the folder `sdk` of a checkout of Kernex"
            .to_owned()),
    }
}

/// Writes into a new folder. The lock file of the checkout, where there is one, begins the crate's own: so it is built
/// with the versions that the SDK was tested with. Cargo takes out of it what is not needed.
fn write(folder: &Path, files: &[(&str, String)], lock: Option<&[u8]>) -> std::io::Result<()> {
    std::fs::create_dir(folder)?;
    for (path, text) in files {
        let path = folder.join(path);
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, text)?;
    }
    lock.map_or(Ok(()), |lock| std::fs::write(folder.join("Cargo.lock"), lock))
}

#[cfg(test)]
mod tests {
    use super::super::cases;
    use super::*;

    #[test]
    fn a_name_is_good_for_plugin_package_and_type() {
        for (name, type_name) in [
            ("my-rings", "MyRingsPolicy"),
            ("a", "APolicy"),
            ("x2-y", "X2YPolicy"),
            ("a--b", "ABPolicy"),
            ("my-policy", "MyPolicy"),
            ("policy", "Policy"),
        ] {
            assert_eq!(name.parse::<PluginName>().expect(name).type_name(), type_name);
        }
        for name in ["", "-a", "a-", "2a", "A", "a_b", "ä", "core", "kernex-sdk", "self", "match", &"a".repeat(65)] {
            assert!(name.parse::<PluginName>().is_err(), "{name}");
        }
    }

    /// The words of a text.
    fn words(text: &str) -> impl Iterator<Item = &str> {
        text.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
    }

    #[test]
    fn the_type_is_called_like_nothing_else_in_the_template() {
        let names = ["rollback", "targeting", "authorization", "plugin", "settings", "layout", "window", "decision"];
        let more = ["vec", "string", "option", "result", "some", "none", "ok", "err", "policy", "box-policy"];
        for gate in Gate::ALL {
            let (code, ..) = template(gate);
            for name in names.iter().chain(&more) {
                let type_name = name.parse::<PluginName>().expect(name).type_name();
                assert!(words(code).all(|word| word != type_name), "{type_name} in the template of {gate}");
            }
        }
    }

    #[test]
    fn every_template_is_filled_in() {
        for gate in Gate::ALL {
            let new = New { name: PluginName("my-plugin".to_owned()), gate, sdk: None };
            let files = new.files(Path::new("/with \"quotes\"/sdk"));
            for (path, text) in &files {
                assert!(!text.to_lowercase().contains("template"), "{path} of {gate}:\n{text}");
            }
            let manifest: toml::Table = files[0].1.parse().expect("TOML");
            assert_eq!(manifest["dependencies"]["kernex-sdk"]["path"].as_str(), Some("/with \"quotes\"/sdk"));
            let cases = files.iter().find(|(path, _)| *path == "cases.yaml").expect("there are cases");
            let cases = cases::parse(&cases.1).expect("the cases are right");
            assert!(cases.len() >= 3 && cases.iter().all(|case| case.inquiry.question.gate() == gate));
            assert!(cases.iter().all(|case| case.expect.fuel_at_most.is_some()), "each has a budget");
        }
    }

    #[test]
    fn the_sdk_is_the_checkouts_or_the_one_that_is_named() {
        let checkout = found(None, Path::new(SDK)).expect("this test runs in a checkout");
        assert!(checkout.is_absolute() && checkout.ends_with("sdk"));
        assert_eq!(found(Some(&checkout), Path::new("/nowhere")).as_ref(), Ok(&checkout));
        assert!(found(None, Path::new("/nowhere")).expect_err("it is not there").contains("--sdk"));
        assert!(found(checkout.parent(), Path::new(SDK)).expect_err("another crate").contains("not the SDK"));
    }

    #[test]
    fn nothing_is_overwritten() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let folder = directory.path().join("a");
        let files = [("src/lib.rs", "text".to_owned())];
        write(&folder, &files, Some(b"lock")).expect("a new folder");
        assert_eq!(std::fs::read(folder.join("Cargo.lock")).expect("it is there"), b"lock");
        assert!(write(&folder, &files, None).is_err());
    }
}
