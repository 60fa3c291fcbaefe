//! Owns the house rules that a machine can check: who depends on whom, lengths, headers, names, pairs, links,
//! examples.
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
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/tree.rs"]
mod tree;

use tree::{Source, root, sources};

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

#[test]
fn what_the_sdk_offers_is_shown() {
    let files = sources(&[examples::SDK], "rs");
    assert!(files.len() > 15, "only {} files of the SDK were found", files.len());
    assert_tidy(&files.iter().flat_map(examples::missing).collect::<Vec<_>>());
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut complaints = Vec::new();
    for name in ["README.md", "ARCHITECTURE.md"] {
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        complaints.extend(links::broken(name, &text, |target| root().join(target).exists()));
    }
    let chapters = sources(&["docs"], "md");
    assert!(chapters.len() > 5, "the book has chapters");
    for chapter in &chapters {
        let folder = root().join(&chapter.path).parent().expect("a file is in a folder").to_owned();
        complaints.extend(links::broken(&chapter.path, &chapter.text, |target| folder.join(target).exists()));
    }
    assert_tidy(&complaints);
}
