//! Owns the rule that a document's links lead to files that are there.

/// Every relative link of a Markdown text whose target does not exist; code is passed over.
pub(crate) fn broken(name: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut fenced = false;
    let mut complaints = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for target in targets(line) {
            let file = target.split('#').next().unwrap_or_default();
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !elsewhere && !file.is_empty() && !exists(file) {
                complaints.push(format!("{name}:{}: `{target}` does not exist", at + 1));
            }
        }
    }
    complaints
}

/// What stands between `](` and `)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(at, open)| line[at + open.len()..].split(')').next())
}

#[test]
fn a_dead_link_is_found() {
    let text = "[a](there.md) [b](gone.md#x)\n```\n[c](gone.md)\n```\n[d](https://x.y/z) [e](#here)\n";
    assert_eq!(broken("R", text, |target| target == "there.md"), ["R:1: `gone.md#x` does not exist"]);
}
