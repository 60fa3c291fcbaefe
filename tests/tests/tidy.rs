//! Owns the house rules that a machine can check: who depends on whom, lengths, headers, names, pairs, links,
//! examples, and that no secret is checked in.
//!
//! Each checker takes text and gives sentences about what is wrong; each is shown a bad text first, so
//! that a checker which finds nothing is known to be able to.
#![forbid(unsafe_code)]

#[path = "tidy/arrows.rs"]
mod arrows;
#[path = "tidy/examples.rs"]
mod examples;
#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/scrub.rs"]
mod scrub;
#[path = "tidy/secrets.rs"]
mod secrets;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/workflow.rs"]
mod workflow;

use std::path::Path;

use tree::{Source, root, sources, tracked};

/// Fails with every sentence, not only the first.
fn assert_tidy(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} house rules are broken:\n  {}", complaints.len(), complaints.join("\n  "));
}

fn over_sources(check: impl Fn(&Source) -> Vec<String>) -> Vec<String> {
    let sources = sources(&["host", "sdk", "plugins", "tests"], "rs");
    assert!(sources.len() > 50, "only {} Rust files were found below {}", sources.len(), root().display());
    sources.iter().flat_map(check).collect()
}

#[test]
fn files_and_functions_are_short() {
    assert_tidy(&over_sources(shape::lengths));
}

#[test]
fn files_say_what_they_own() {
    assert_tidy(&over_sources(shape::header));
}

#[test]
fn modules_are_named_for_what_they_own() {
    assert_tidy(&over_sources(shape::names));
}

#[test]
fn lints_are_expected_not_allowed() {
    assert_tidy(&over_sources(shape::attributes));
}

#[test]
fn crate_roots_forbid_unsafe_code() {
    assert_tidy(&over_sources(shape::crate_root));
}

#[test]
fn only_their_owners_know_the_database_the_sandbox_and_status_codes() {
    assert_tidy(&over_sources(arrows::words));
}

#[test]
fn modules_of_the_host_depend_downwards() {
    assert_tidy(&over_sources(arrows::modules));
}

#[test]
fn crates_depend_downwards() {
    let manifests = sources(&["host", "sdk", "plugins", "tests"], "toml");
    let manifests: Vec<_> = manifests.into_iter().filter(|source| source.path.ends_with("Cargo.toml")).collect();
    assert!(manifests.len() >= arrows::ALLOWED.len(), "only {} manifests were found", manifests.len());
    assert_tidy(&manifests.iter().flat_map(arrows::manifest).collect::<Vec<_>>());
}

#[test]
fn migrations_go_both_ways() {
    let files = sources(&["migrations"], "surql");
    assert!(!files.is_empty(), "no migrations were found");
    let names: Vec<&str> = files.iter().map(|source| source.path.as_str()).collect();
    assert_tidy(&shape::migrations(&names));
}

/// The text of a file, where it is Markdown.
fn look(path: &Path) -> Result<Option<String>, &'static str> {
    let markdown = path.extension().is_some_and(|extension| extension == "md");
    let text = || std::fs::read_to_string(path).map_err(|_| "cannot be read");
    if markdown { text().map(Some) } else { Ok(None) }
}

#[test]
fn what_the_sdk_offers_is_shown() {
    let files = sources(&[examples::SDK], "rs");
    assert!(files.len() > 15, "only {} files of the SDK were found", files.len());
    assert_tidy(&files.iter().flat_map(examples::missing).collect::<Vec<_>>());
}

#[test]
fn links_in_documents_lead_somewhere() {
    let root = root().canonicalize().expect("the repository");
    let mut complaints = Vec::new();
    for name in ["README.md", "ARCHITECTURE.md"] {
        let text = std::fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let there = |target: &str| look(&root.join(target).canonicalize().map_err(|_| "does not exist")?);
        complaints.extend(links::broken(name, &text, there));
    }
    let book = root.join("docs/src");
    let chapters = sources(&["docs"], "md");
    assert!(chapters.len() > 5, "the book has chapters");
    for chapter in &chapters {
        let folder = root.join(&chapter.path).parent().expect("a file is in a folder").to_owned();
        let in_book = |target: &str| {
            let path = folder.join(target).canonicalize().map_err(|_| "does not exist")?;
            if path.starts_with(&book) { look(&path) } else { Err("leaves the book: name the path, as code") }
        };
        complaints.extend(links::broken(&chapter.path, &chapter.text, in_book));
        complaints.extend(links::dead_paths(&chapter.path, &chapter.text, |path| root.join(path).exists()));
    }
    assert_tidy(&complaints);
}

#[test]
fn no_secret_is_checked_in() {
    let files = tracked();
    assert!(files.len() > 500, "only {} files are checked in", files.len());
    assert_tidy(&secrets::complaints(&files));
}

#[test]
fn github_calls_the_same_targets() {
    let files = tracked();
    let makefile = files.iter().find(|file| file.path == "Makefile").expect("there is a Makefile");
    let workflows: Vec<_> = files.iter().filter(|file| file.path.starts_with(".github/workflows/")).collect();
    assert!(!workflows.is_empty(), "no workflows were found");
    let strangers = |workflow: &&Source| workflow::strangers(&workflow.path, &workflow.text, &makefile.text);
    assert_tidy(&workflows.iter().flat_map(strangers).collect::<Vec<_>>());
}
