//! Owns the rules about one file: how long, how it begins, what it is called, and what it must not allow.

use super::scrub::scrub;
use super::tree::Source;

/// Lines of one file.
const MAX_FILE_LINES: usize = 400;
/// Lines of one function, from `fn` to its closing brace.
const MAX_FUNCTION_LINES: usize = 70;
/// Names that say nothing about what is inside.
const BANNED: [&str; 8] = ["util", "utils", "helper", "helpers", "common", "manager", "state", "misc"];
/// Crates whose macros write unsafe code for the component model, and the one that takes up native code.
const MAY_BE_UNSAFE: [&str; 5] = ["sdk/", "plugins/", "tests/plugins/", "tests/released/", "host/engine/"];

/// Files and functions have a limit.
pub(crate) fn lengths(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    let lines = source.text.lines().count();
    if lines > MAX_FILE_LINES {
        complaints.push(format!("{}: {lines} lines; at most {MAX_FILE_LINES}: split it by what it owns", source.path));
    }
    for function in functions(&source.text) {
        if function.lines > MAX_FUNCTION_LINES {
            complaints.push(format!(
                "{}:{}: `{}` has {} lines; at most {MAX_FUNCTION_LINES}",
                source.path, function.line, function.name, function.lines
            ));
        }
    }
    complaints
}

#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    line: usize,
    lines: usize,
}

/// Every function with a body: `fn name` and the braces that follow.
fn functions(text: &str) -> Vec<Function> {
    let clean = scrub(text);
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = clean[from..].find("fn ").map(|at| from + at) {
        from = at + 3;
        let word_before = clean[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let name: String = clean[from..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if word_before || name.is_empty() {
            continue;
        }
        if let Some(end) = body_end(&clean[from..]) {
            let lines = clean[at..from + end].lines().count();
            found.push(Function { name, line: clean[..at].lines().count().max(1), lines });
        }
    }
    found
}

/// Where the body ends; `None` for a function without one. A semicolon inside brackets is an array's.
fn body_end(text: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if braces == 0 && brackets == 0 => return None,
            '{' => braces += 1,
            '}' if braces <= 1 => return (braces == 1).then_some(at + 1),
            '}' => braces -= 1,
            _ => {}
        }
    }
    None
}

/// A file begins with one line about what it owns.
pub(crate) fn header(source: &Source) -> Vec<String> {
    let first = source.text.lines().next().unwrap_or_default();
    let says = first.strip_prefix("//! ").is_some_and(|said| said.trim().len() >= 10);
    if says { Vec::new() } else { vec![format!("{}: begins with `{first}` instead of `//! Owns …`", source.path)] }
}

/// Modules are not called after nothing.
pub(crate) fn names(source: &Source) -> Vec<String> {
    let parts = source.path.trim_end_matches(".rs").split('/');
    let from_path = parts.filter(|part| BANNED.contains(part)).map(str::to_owned);
    let clean = scrub(&source.text);
    let inline = clean.lines().filter_map(|line| {
        let name = line.trim().trim_start_matches("pub ").strip_prefix("mod ")?.split_whitespace().next()?;
        BANNED.contains(&name).then(|| name.to_owned())
    });
    let complain = |name| format!("{}: a module named `{name}` says nothing; name what it owns", source.path);
    from_path.chain(inline).map(complain).collect()
}

/// `expect` ends by itself when its reason is gone; `allow` stays for ever.
pub(crate) fn attributes(source: &Source) -> Vec<String> {
    let clean = scrub(&source.text);
    let lines = clean.lines().enumerate();
    lines
        .filter(|(_, line)| line.contains("#[allow(") || line.contains("#![allow("))
        .map(|(at, _)| format!("{}:{}: use #[expect(…, reason = …)] instead of #[allow(…)]", source.path, at + 1))
        .collect()
}

/// No unsafe code, and no way to allow it further down.
pub(crate) fn crate_root(source: &Source) -> Vec<String> {
    let is_root = ["/src/lib.rs", "/src/main.rs"].iter().any(|end| source.path.ends_with(end));
    let exempt = MAY_BE_UNSAFE.iter().any(|folder| source.path.starts_with(folder));
    if is_root && !exempt && !scrub(&source.text).contains("#![forbid(unsafe_code)]") {
        return vec![format!("{}: lacks #![forbid(unsafe_code)]", source.path)];
    }
    Vec::new()
}

/// `NNNN_verb_noun.up.surql` and `.down.surql`, counted without a gap.
pub(crate) fn migrations(names: &[&str]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut ups: Vec<&str> = Vec::new();
    for name in names {
        if let Some(stem) = name.strip_suffix(".up.surql") {
            ups.push(stem.rsplit('/').next().unwrap_or(stem));
            let down = format!("{stem}.down.surql");
            if !names.contains(&down.as_str()) {
                complaints.push(format!("{name} has no {down}"));
            }
        } else if let Some(stem) = name.strip_suffix(".down.surql") {
            let up = format!("{stem}.up.surql");
            if !names.contains(&up.as_str()) {
                complaints.push(format!("{name} has no {up}"));
            }
        } else {
            complaints.push(format!("{name}: neither .up.surql nor .down.surql"));
        }
    }
    ups.sort_unstable();
    for (at, stem) in ups.iter().enumerate() {
        let number = format!("{:04}_", at + 1);
        if !stem.starts_with(&number) {
            complaints.push(format!("{stem}: expected the number {number}"));
        }
    }
    complaints
}

#[cfg(test)]
mod shown_bad_text {
    use super::*;

    fn of(check: fn(&Source) -> Vec<String>, path: &str, text: &str) -> usize {
        check(&Source::made_up(path, text)).len()
    }

    #[test]
    fn long_files_and_functions() {
        let long = format!("pub async fn long(\n    a: [u8; 2],\n) {{\n{}}}\n", "    f('{', \"}\");\n".repeat(67));
        assert_eq!(of(lengths, "a.rs", &long), 1, "71 lines");
        let short = format!("fn short() {{\n{}}}\nfn next();\n", "    x();\n".repeat(68));
        assert_eq!(of(lengths, "a.rs", &short), 0, "70 lines");
        assert_eq!(of(lengths, "a.rs", &"// line\n".repeat(401)), 1);
        assert_eq!(of(lengths, "a.rs", &"// line\n".repeat(400)), 0);
        let found = functions("trait T { fn a(); fn b() { { } } }\nconst F: fn (u8) = x;\n");
        assert_eq!(found, [Function { name: "b".to_owned(), line: 1, lines: 1 }]);
    }

    #[test]
    fn headers_names_attributes_and_roots() {
        assert_eq!(of(header, "a.rs", "use std::fmt;\n"), 1);
        assert_eq!(of(header, "a.rs", "//! Owns the letter a.\n"), 0);
        assert_eq!(of(names, "host/src/utils.rs", ""), 1);
        assert_eq!(of(names, "host/src/common/a.rs", ""), 1);
        assert_eq!(of(names, "host/src/a.rs", "pub mod helpers {\n}\n// mod utils;\n"), 1);
        assert_eq!(of(names, "host/src/statement.rs", "mod tests {}\n"), 0);
        assert_eq!(of(attributes, "a.rs", "#[allow(dead_code)]\nfn a() {}\n"), 1);
        assert_eq!(of(attributes, "a.rs", "#[expect(dead_code, reason = \"x\")]\n// #[allow(x)]\n"), 0);
        assert_eq!(of(crate_root, "host/src/main.rs", "//! Owns.\nfn main() {}\n"), 1);
        assert_eq!(of(crate_root, "host/src/lib.rs", "#![forbid(unsafe_code)]\n"), 0);
        assert_eq!(of(crate_root, "host/src/app.rs", ""), 0);
    }

    #[test]
    fn lonely_migrations() {
        assert!(migrations(&["m/0001_a.up.surql", "m/0001_a.down.surql"]).is_empty());
        assert_eq!(migrations(&["m/0001_a.up.surql"]).len(), 1);
        assert_eq!(migrations(&["m/0001_a.down.surql"]).len(), 1);
        assert_eq!(migrations(&["m/0002_a.up.surql", "m/0002_a.down.surql"]).len(), 1);
    }
}
