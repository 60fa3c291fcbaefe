//! Owns the rule that a document's links lead to files and headings that are there, and its paths to files.

/// What a path of the repository begins with, where a document names one.
const FOLDERS: [&str; 5] = ["docs/", "host/", "plugins/", "policies/", "sdk/"];

/// Every relative link of a Markdown text that leads nowhere; code is passed over. `look` finds a file and gives its
/// text where it is Markdown, or says what is wrong with it.
pub(crate) fn broken(
    name: &str,
    text: &str,
    look: impl Fn(&str) -> Result<Option<String>, &'static str>,
) -> Vec<String> {
    let mut complaints = Vec::new();
    for (line, said) in prose(text) {
        for target in targets(said) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
            let found = if file.is_empty() { Ok(Some(text.to_owned())) } else { look(file) };
            let wrong = match (found, anchor) {
                (Err(why), _) => why,
                (Ok(Some(text)), Some(anchor)) if !anchors(&text).iter().any(|there| there == anchor) => {
                    "is no heading there"
                }
                (Ok(_), _) => continue,
            };
            complaints.push(format!("{name}:{line}: `{target}` {wrong}"));
        }
    }
    complaints
}

/// Every path of the repository that a Markdown text names as code and that is not there.
pub(crate) fn dead_paths(name: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for (line, said) in prose(text) {
        for code in said.split('`').skip(1).step_by(2) {
            let is_path = FOLDERS.iter().any(|folder| code.starts_with(folder)) && !code.contains([' ', '*', '…']);
            if is_path && !exists(code) {
                complaints.push(format!("{name}:{line}: `{code}` does not exist"));
            }
        }
    }
    complaints
}

/// The lines outside of fences, counted from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((at + 1, line))
    })
}

/// What stands between `](` and `)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(at, open)| line[at + open.len()..].split(')').next())
}

/// The anchors of a text's headings, as mdbook makes them: letters, digits, `_` and `-` stay, in small letters; white
/// space becomes `-`; all else goes, and what is there already is counted. None of our headings has
/// a link in it, or emphasis.
fn anchors(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut plain: Vec<String> = Vec::new();
    for (_, line) in prose(text) {
        let heading = line.trim_start_matches('#');
        if !(1..=6).contains(&(line.len() - heading.len())) || !heading.starts_with(' ') {
            continue;
        }
        let letter = |letter: char| match letter {
            '_' | '-' => Some(letter),
            letter if letter.is_alphanumeric() => Some(letter.to_ascii_lowercase()),
            letter if letter.is_whitespace() => Some('-'),
            _ => None,
        };
        let anchor: String = heading.trim().chars().filter_map(letter).collect();
        let before = plain.iter().filter(|earlier| **earlier == anchor).count();
        found.push(if before == 0 { anchor.clone() } else { format!("{anchor}-{before}") });
        plain.push(anchor);
    }
    found
}

#[cfg(test)]
mod shown_bad_text {
    use super::*;

    #[test]
    fn a_dead_link_is_found() {
        let text = "# Here\n[a](there.md) [b](gone.md#x)\n```\n[c](gone.md)\n```\n[d](https://x.y/z) [e](#here)\n\
                    [f](there.md#exit-codes) [g](there.md#codes)\n[h](../out.json) [i](#there) [j](image.png#x)\n";
        let look = |target: &str| match target {
            "there.md" => Ok(Some("# There\n```\n# Codes\n```\n## Exit codes\n".to_owned())),
            "image.png" => Ok(None),
            "../out.json" => Err("leaves the book"),
            _ => Err("does not exist"),
        };
        assert_eq!(
            broken("R", text, look),
            [
                "R:2: `gone.md#x` does not exist",
                "R:7: `there.md#codes` is no heading there",
                "R:8: `../out.json` leaves the book",
                "R:8: `#there` is no heading there",
            ]
        );
    }

    #[test]
    fn anchors_are_those_of_mdbook() {
        let text = "# What a plugin can see\n## `store.url`, and more_so\n### 1. A token\n## Plans\n## Plans\n#no\n";
        let expected = ["what-a-plugin-can-see", "storeurl-and-more_so", "1-a-token", "plans", "plans-1"];
        assert_eq!(anchors(text), expected);
    }

    #[test]
    fn a_dead_path_is_found() {
        let text = "see `host/src/a.rs`, `host/src/b.rs`, `x/c.rs`, `docs/examples/*.rs`\n```\n`host/d`\n```\n";
        assert_eq!(dead_paths("R", text, |path| path == "host/src/a.rs"), ["R:1: `host/src/b.rs` does not exist"]);
    }
}
