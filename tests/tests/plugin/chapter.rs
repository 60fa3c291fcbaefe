//! The chapter for authors, followed word for word, up to the policy that decides on a server.

use kernex_tests::harness::{ProcessOptions, ServerProcess, run};
use serde_json::json;

use super::desk::Desk;

const CHAPTER: &str = include_str!("../../../docs/src/writing-a-plugin.md");

/// What a reader does, one after the other.
#[derive(Debug, PartialEq)]
enum Step {
    /// A line to type.
    Type(String),
    /// A file to write, with what stands below.
    Write(String, String),
}

/// The steps of the sections between two headings.
fn steps(text: &str, from: &str, until: &str) -> Vec<Step> {
    let (_, text) = text.split_once(from).unwrap_or_else(|| panic!("the chapter has `{from}`"));
    let (text, _) = text.split_once(until).unwrap_or_else(|| panic!("the chapter has `{until}`"));
    let (mut steps, mut file, mut block): (_, Option<String>, Option<String>) = (Vec::new(), None, None);
    for line in text.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(_)) => block = Some(String::new()),
            (Some(_), Some(_)) => {
                let content = block.take().expect("it is open");
                steps.extend(file.take().map(|file| Step::Write(file, content)));
            }
            (Some(content), None) => *content += &format!("{line}\n"),
            (None, None) => {
                if let Some(typed) = line.strip_prefix("    ") {
                    steps.push(Step::Type(typed.to_owned()));
                }
                let words = ["Replace `", "Write `"];
                let written = words.iter().find_map(|word| line.rsplit_once(*word)?.1.strip_suffix("`:"));
                file = written.map(str::to_owned).or(file);
            }
        }
    }
    steps
}

/// Does them in a folder of the desk, which `cd` changes; gives what `kernex` printed.
fn follow(desk: &Desk, folder: &mut String, steps: &[Step]) -> String {
    let mut printed = String::new();
    for step in steps {
        match step {
            Step::Write(file, content) => desk.put(&format!("{folder}/{file}"), content),
            Step::Type(line) => {
                let words: Vec<&str> = line.split_whitespace().collect();
                match words.split_first().expect("a line has words") {
                    (&"cd", rest) => *folder = rest.concat(),
                    (&"cargo", rest) => drop(desk.cargo(folder, rest).done()),
                    (&"kernex", rest) => printed += &desk.kernex_in(folder, rest).done(),
                    (other, _) => panic!("nobody told this test how to type `{other}`"),
                }
            }
        }
    }
    printed
}

/// The files that they write.
fn written(steps: &[Step]) -> Vec<&str> {
    steps.iter().filter_map(|step| if let Step::Write(file, _) = step { Some(file.as_str()) } else { None }).collect()
}

#[test]
fn the_chapter_can_be_followed_word_for_word() {
    let mut desk = Desk::new();
    let mut folder = ".".to_owned();
    let steps_at_home = steps(CHAPTER, "\n## 1. A crate that works\n", "\n## 4. To a server\n");
    let printed = follow(&desk, &mut folder, &steps_at_home);
    assert_eq!(written(&steps_at_home), ["src/lib.rs", "cases.yaml"]);
    assert!(steps_at_home.len() > 10, "{steps_at_home:?}");
    assert_eq!(desk.read("by-site/cases.yaml").matches("fuel_at_most").count(), 3, "every case got its budget");
    assert!(desk.path("by-site/target/kernex/by-site.wasm.sig").is_file());

    let said = |label: &str| printed.lines().find_map(|line| line.strip_prefix(label)).expect(label).trim().to_owned();
    let (public_key, key_id) = (said("public key"), said("key id"));
    let steps_at_the_server = steps(CHAPTER, "\n## 4. To a server\n", "\n## 5. See it decide\n");
    assert_eq!(written(&steps_at_the_server), ["by-site.toml"]);
    run(async {
        let server = ServerProcess::start(ProcessOptions::new().set("plugins.trusted_keys", public_key)).await;
        let admin = server.admin().await;
        desk.log_in(&server.base(), admin.token());
        let printed = follow(&desk, &mut folder, &steps_at_the_server);
        assert!(printed.contains("by-site revision 1 looks on since"), "it is tried first: {printed}");
        let policy = admin.get("/policies/by-site").await.expect(200);
        let active = &policy["active"];
        assert_eq!((&active["revision"], &active["plugin"]), (&json!(1), &json!("by-site")), "{policy}");
        let digest = active["plugin_digest"].as_str().expect("a digest");
        let plugin = admin.get(&format!("/plugins/{digest}")).await.expect(200);
        assert_eq!(plugin["signed_by"], key_id, "{plugin}");
    });
}

#[test]
fn steps_are_read_as_a_reader_reads_them() {
    let text = "# X\n\n    before\n## A\nDo:\n\n    one\n    two words\n\nReplace `a/b`:\n\n```yaml\nx: 1\n\n    y\n```\n\n\
                ```rust\nnot this\n```\nWrite `c`:\n```toml\nz\n```\n## B\n    after\n";
    let wanted = [
        Step::Type("one".to_owned()),
        Step::Type("two words".to_owned()),
        Step::Write("a/b".to_owned(), "x: 1\n\n    y\n".to_owned()),
        Step::Write("c".to_owned(), "z\n".to_owned()),
    ];
    assert_eq!(steps(text, "## A\n", "## B\n"), wanted);
}
