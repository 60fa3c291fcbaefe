//! The chapter for authors, followed word for word as far as no server is needed.

use super::desk::Desk;

const CHAPTER: &str = include_str!("../../../docs/src/writing-a-plugin.md");

/// What a reader does, one after the other.
#[derive(Debug, PartialEq)]
enum Step {
    /// A line to type.
    Type(String),
    /// A file to replace with what stands below.
    Replace(String, String),
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
                steps.extend(file.take().map(|file| Step::Replace(file, content)));
            }
            (Some(content), None) => *content += &format!("{line}\n"),
            (None, None) => {
                if let Some(typed) = line.strip_prefix("    ") {
                    steps.push(Step::Type(typed.to_owned()));
                }
                let replaced = line.rsplit_once("Replace `").and_then(|(_, name)| name.strip_suffix("`:"));
                file = replaced.map(str::to_owned).or(file);
            }
        }
    }
    steps
}

#[test]
fn the_chapter_can_be_followed_word_for_word() {
    let desk = Desk::new();
    let mut folder = ".".to_owned();
    let steps = steps(CHAPTER, "\n## 1. A crate that works\n", "\n## 4. ");
    for step in &steps {
        match step {
            Step::Replace(file, content) => desk.put(&format!("{folder}/{file}"), content),
            Step::Type(line) => {
                let words: Vec<&str> = line.split_whitespace().collect();
                match words.split_first().expect("a line has words") {
                    (&"cd", rest) => rest.concat().clone_into(&mut folder),
                    (&"cargo", rest) => drop(desk.cargo(&folder, rest).done()),
                    (&"kernex", rest) => drop(desk.kernex_in(&folder, rest).done()),
                    (other, _) => panic!("nobody told this test how to type `{other}`"),
                }
            }
        }
    }
    let replaced: Vec<&str> = steps
        .iter()
        .filter_map(|step| if let Step::Replace(file, _) = step { Some(file.as_str()) } else { None })
        .collect();
    assert_eq!(replaced, ["src/lib.rs", "cases.yaml"]);
    assert!(steps.len() > 10, "{steps:?}");
    assert_eq!(desk.read("by-site/cases.yaml").matches("fuel_at_most").count(), 3, "every case got its budget");
    assert!(desk.path("by-site/target/kernex/by-site.wasm.sig").is_file());
}

#[test]
fn steps_are_read_as_a_reader_reads_them() {
    let text = "# X\n\n    before\n## A\nDo:\n\n    one\n    two words\n\nReplace `a/b`:\n\n```yaml\nx: 1\n\n    y\n```\n\n\
                ```rust\nnot this\n```\n## B\n    after\n";
    let wanted = [
        Step::Type("one".to_owned()),
        Step::Type("two words".to_owned()),
        Step::Replace("a/b".to_owned(), "x: 1\n\n    y\n".to_owned()),
    ];
    assert_eq!(steps(text, "## A\n", "## B\n"), wanted);
}
