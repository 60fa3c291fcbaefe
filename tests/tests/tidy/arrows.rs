//! Owns the rules about who may know whom: crates by their manifests, modules and libraries by their names.

use super::scrub::scrub;
use super::tree::Source;

/// Every crate of the workspace with those of ours that it may use. A crate that is missing here fails.
pub(crate) const ALLOWED: [(&str, &[&str]); 18] = [
    ("kernex-model", &[]),
    ("kernex-store", &["kernex-model"]),
    ("kernex-engine", &["kernex-model"]),
    ("kernex-client", &[]),
    (
        "kernex",
        &["kernex-client", "kernex-componentize", "kernex-engine", "kernex-model", "kernex-plugins", "kernex-store"],
    ),
    ("kernex-sdk", &[]),
    ("kernex-componentize", &[]),
    ("kernex-plugins", &["kernex-componentize"]),
    ("kernex-plugin-rbac", &["kernex-sdk"]),
    ("kernex-plugin-rings", &["kernex-sdk"]),
    ("kernex-plugin-guardian", &["kernex-sdk"]),
    ("kernex-plugin-freeze", &["kernex-sdk"]),
    ("kernex-plugin-sites", &["kernex-sdk"]),
    ("kernex-plugin-four-eyes", &["kernex-sdk"]),
    ("kernex-plugin-compat", &["kernex-sdk"]),
    ("kernex-plugin-ramp", &["kernex-sdk"]),
    ("kernex-plugin-sequential", &["kernex-sdk"]),
    // The tests may see everything but the SDK: what a plugin is, they know from the contract.
    (
        "kernex-tests",
        &["kernex", "kernex-componentize", "kernex-engine", "kernex-model", "kernex-plugins", "kernex-store"],
    ),
];

/// Guests in the tests are authors like any other.
const TEST_GUESTS: [&str; 2] = ["tests/plugins/", "tests/released/"];

/// Libraries that one crate keeps to itself.
const OWNED: [(&str, &str); 2] = [("surrealdb", "kernex-store"), ("wasmtime", "kernex-engine")];

/// A word, and where alone it may stand.
const WORDS: [(&str, &[&str]); 4] = [
    ("surrealdb", &["host/store/"]),
    ("wasmtime", &["host/engine/"]),
    ("opentelemetry", &["host/src/telemetry.rs", "host/src/telemetry/"]),
    ("StatusCode", &["host/src/http.rs", "host/src/http/", "host/src/cli/", "tests/"]),
];

/// Modules of the host crate, and what they must not know.
const MODULES: [(&str, &[&str]); 5] = [
    ("host/src/app", &["crate::http", "crate::worker", "crate::cli", "crate::host", "poem::"]),
    ("host/src/worker", &["crate::http", "crate::cli", "crate::host", "poem::"]),
    ("host/src/http", &["crate::worker", "crate::cli", "crate::host", "kernex_engine", ".authorize("]),
    ("host/src/telemetry", &["crate::http", "crate::worker", "crate::cli", "crate::host", "crate::app"]),
    ("host/src/config", &["crate::http", "crate::worker", "crate::cli", "crate::host", "crate::app"]),
];

/// Dependencies go from the left to the right of [`ALLOWED`] only.
pub(crate) fn manifest(source: &Source) -> Vec<String> {
    let table: toml::Table = match source.text.parse() {
        Ok(table) => table,
        Err(error) => return vec![format!("{}: {error}", source.path)],
    };
    let Some(name) = table.get("package").and_then(|package| package.get("name")?.as_str()) else {
        return vec![format!("{}: no package name", source.path)];
    };
    let guest: (&str, &[&str]) = (name, &["kernex-sdk"]);
    let rule = ALLOWED.iter().find(|(crate_name, _)| *crate_name == name).copied();
    let Some((_, allowed)) =
        rule.or_else(|| TEST_GUESTS.iter().any(|place| source.path.starts_with(place)).then_some(guest))
    else {
        return vec![format!("{}: {name} is not among the crates that tests/tests/tidy/arrows.rs knows", source.path)];
    };
    let mut complaints = Vec::new();
    for dependency in dependencies(&table) {
        if dependency.starts_with("kernex") && !allowed.contains(&dependency.as_str()) {
            complaints.push(format!("{}: {name} must not depend on {dependency}", source.path));
        }
        for (library, owner) in OWNED {
            if dependency.starts_with(library) && name != owner {
                complaints.push(format!("{}: only {owner} may depend on {dependency}", source.path));
            }
        }
    }
    complaints
}

fn dependencies(table: &toml::Table) -> Vec<String> {
    let kinds = ["dependencies", "build-dependencies", "dev-dependencies"];
    kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()).flat_map(toml::Table::keys).cloned().collect()
}

/// A library's name stands in its owner's files only.
pub(crate) fn words(source: &Source) -> Vec<String> {
    let clean = scrub(&source.text);
    let strangers = WORDS.iter().filter(|(_, homes)| !homes.iter().any(|home| source.path.starts_with(home)));
    strangers
        .filter(|(word, _)| has_word(&clean, word))
        .map(|(word, homes)| format!("{}: mentions {word}, which belongs to {}", source.path, homes.join(", ")))
        .collect()
}

/// The word by itself or as the beginning of a crate's name (`surrealdb_core`).
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word)
        .any(|(at, _)| !text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_'))
}

/// What is below does not know what is above.
pub(crate) fn modules(source: &Source) -> Vec<String> {
    let clean = scrub(&source.text);
    let mut complaints = Vec::new();
    for (module, strangers) in MODULES {
        let inside = source.path == format!("{module}.rs") || source.path.starts_with(&format!("{module}/"));
        for stranger in strangers.iter().filter(|_| inside) {
            if clean.contains(stranger) {
                complaints.push(format!("{}: {module} must not know `{stranger}`", source.path));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod shown_bad_text {
    use super::*;

    #[test]
    fn manifests() {
        let of = |text: &str| manifest(&Source::made_up("host/x/Cargo.toml", text)).len();
        assert_eq!(of("[package]\nname = \"kernex-store\"\n[dependencies]\nkernex-engine.workspace = true\n"), 1);
        assert_eq!(of("[package]\nname = \"kernex-model\"\n[dev-dependencies]\nkernex-store = { path = \"\" }\n"), 1);
        assert_eq!(of("[package]\nname = \"kernex\"\n[dependencies]\nkernex-sdk.workspace = true\n"), 1);
        assert_eq!(of("[package]\nname = \"kernex\"\n[dependencies]\nsurrealdb = \"3\"\nwasmtime-wizer = \"48\"\n"), 2);
        assert_eq!(of("[package]\nname = \"kernex-new\"\n"), 1);
        assert_eq!(
            of(
                "[package]\nname = \"kernex-store\"\n[dependencies]\nkernex-model.workspace = true\nsurrealdb-core = \"3\"\n"
            ),
            0
        );
    }

    #[test]
    fn strangers() {
        let words_of = |path: &str, text: &str| words(&Source::made_up(path, text)).len();
        assert_eq!(words_of("host/src/app.rs", "use surrealdb_core::kvs;\n"), 1);
        assert_eq!(words_of("host/engine/src/a.rs", "use wasmtime::Engine;\n"), 0);
        assert_eq!(words_of("host/src/app/a.rs", "StatusCode::OK // wasmtime\n"), 1);
        assert_eq!(words_of("host/src/http.rs", "StatusCode::OK\n"), 0);
        let modules_of = |path: &str, text: &str| modules(&Source::made_up(path, text)).len();
        assert_eq!(modules_of("host/src/app.rs", "use crate::http::Problem;\n"), 1);
        assert_eq!(modules_of("host/src/http/a.rs", "self.app.gatekeeper.authorize(caller)\n"), 1);
        assert_eq!(modules_of("host/src/http/a.rs", "use crate::app::App;\n"), 0);
    }
}
