//! Owns `plugin check`: what a server would say to a component, and to its settings.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::component::Component;
use super::file::read;
use super::report::{grouped, shown};
use crate::cli::CliError;
use crate::cli::output::say;

/// Size of a file with settings, in bytes: a server takes a quarter of a MiB of JSON.
const MAX_SETTINGS_BYTES: u64 = 1 << 20;

const EXAMPLES: &str = "\
Looks at a component as a server does: its size and form, what it imports, its manifest and JSON Schema. Settings are
compared with the schema first, then the plugin is configured with them; each mistake is shown with a JSON pointer.

Examples:
  kernex plugin check target/kernex/my-rings.wasm
  kernex plugin check target/kernex/my-rings.wasm --settings settings.json
  kernex plugin check rings.wasm --settings policies/rings.toml    # a policy document: its [settings]

Exit code 1 where a server would refuse it.";

/// See whether a server would take a component, and settings for it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Check {
    /// The component
    file: PathBuf,
    /// Settings in JSON, YAML or TOML, or a policy document in TOML
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
}

impl Check {
    pub(super) fn run(self) -> Result<(), CliError> {
        let component = Component::open(&self.file).map_err(CliError::failed)?;
        let size = u64::try_from(component.bytes.len()).unwrap_or(u64::MAX);
        say!("component  {} bytes, sha256 {}", grouped(size), component.inspection.digest);
        say!("plugin     {}", shown(&component.title()));
        say!("imports    {}", component.inspection.imports.join(", "));
        say!("schema     can be used");
        let Some(path) = self.settings else { return Ok(()) };
        let settings = settings(&path)?;
        let mut wrong = 0;
        // A plugin serves one gate; one for several is configured for each.
        for gate in &component.inspection.gates {
            match component.prepare(*gate, &settings) {
                Ok(_) => say!("settings   are accepted for the {gate} gate"),
                Err(unprepared) => {
                    let lines = unprepared.lines();
                    wrong += lines.len();
                    lines.iter().for_each(|line| say!("WRONG      {}", shown(line)));
                }
            }
        }
        if wrong > 0 { Err(CliError::Failed(format!("{}: {wrong} wrong", path.display()))) } else { Ok(()) }
    }
}

/// Reads settings; of a policy document, its `settings`.
fn settings(path: &Path) -> Result<Value, CliError> {
    let bytes = read(path, MAX_SETTINGS_BYTES).map_err(CliError::failed)?;
    let text = String::from_utf8(bytes).map_err(|_| CliError::Failed(format!("{} is no UTF-8", path.display())))?;
    let toml = path.extension().is_some_and(|extension| extension == "toml");
    parse(&text, toml).map_err(|why| CliError::Failed(format!("{}: {why}", path.display())))
}

fn parse(text: &str, toml: bool) -> Result<Value, String> {
    if !toml {
        // JSON is YAML.
        return serde_yaml_ng::from_str(text).map_err(|error| error.to_string());
    }
    let document: Value = toml::from_str(text).map_err(|error| error.to_string())?;
    let is_policy = ["name", "gate", "plugin"].iter().all(|key| document[key].is_string());
    let empty = || Value::Object(serde_json::Map::new());
    Ok(if is_policy { document.get("settings").cloned().unwrap_or_else(empty) } else { document })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_come_in_three_languages_and_in_policy_documents() {
        let wanted = json!({ "sites": ["berlin"], "share": 0.5 });
        assert_eq!(parse(r#"{"sites": ["berlin"], "share": 0.5}"#, false), Ok(wanted.clone()));
        assert_eq!(parse("sites: [berlin]\nshare: 0.5\n", false), Ok(wanted.clone()));
        assert_eq!(parse("sites = ['berlin']\nshare = 0.5\n", true), Ok(wanted.clone()));
        let document = "name = 'a'\ngate = 'targeting'\nplugin = 'b'\n[settings]\nsites = ['berlin']\nshare = 0.5\n";
        assert_eq!(parse(document, true), Ok(wanted));
        assert_eq!(parse("name = 'a'\ngate = 'targeting'\nplugin = 'b'\n", true), Ok(json!({})));
        assert!(parse("{", false).is_err() && parse("=", true).is_err());
    }
}
