//! Owns the rule that whatever the SDK offers is shown in an example that compiles and runs.

use std::collections::BTreeSet;

use super::tree::Source;

/// Where the SDK is.
pub(crate) const SDK: &str = "sdk/src";
/// What begins and ends an example that rustdoc runs; with a word behind it, it would run only sometimes, or never.
const FENCE: &str = "```";
/// What is public for the code that the export macros write, in a module that the documentation leaves out.
const UNDOCUMENTED: [&str; 2] = ["Adapter", "Export"];

/// Something that a file offers to authors.
struct Item {
    name: String,
    line: usize,
    /// A method is shown where the example of its type calls it.
    is_method: bool,
    has_example: bool,
}

/// Public functions, types, traits and macros have an example; of a method it is enough that one in its file calls it.
pub(crate) fn missing(source: &Source) -> Vec<String> {
    let (items, called) = read(&source.text);
    items
        .iter()
        .filter(|item| !UNDOCUMENTED.contains(&item.name.as_str()))
        .filter(|item| !(item.has_example || item.is_method && called.contains(&item.name)))
        .map(|item| format!("{}:{}: no example shows `{}`", source.path, item.line, item.name))
        .collect()
}

/// The items of a file, up to its tests, and the names of what its examples call.
fn read(text: &str) -> (Vec<Item>, BTreeSet<String>) {
    let (mut items, mut called) = (Vec::new(), BTreeSet::new());
    // While a code block is open: whether it is run.
    let mut block: Option<bool> = None;
    let (mut has_example, mut attributes) = (false, String::new());
    for (at, line) in text.lines().enumerate() {
        if line == "#[cfg(test)]" {
            break;
        }
        let trimmed = line.trim_start();
        if let Some(doc) = trimmed.strip_prefix("///").or_else(|| trimmed.strip_prefix("//!")) {
            if doc.trim().starts_with(FENCE) {
                block = if block.is_some() { None } else { Some(doc.trim() == FENCE) };
            } else if block == Some(true) {
                called.extend(calls(doc));
            }
            has_example |= block == Some(true);
        } else if trimmed.starts_with("#[") {
            attributes += trimmed;
        } else {
            if let Some((name, is_method)) = offered(line, &attributes) {
                items.push(Item { name, line: at + 1, is_method, has_example });
            }
            (has_example, attributes) = (false, String::new());
        }
    }
    (items, called)
}

/// The name of what a line declares for others, and whether it is a method.
fn offered(line: &str, attributes: &str) -> Option<(String, bool)> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let trimmed = line.trim_start();
    if let Some(rest) = trimmed.strip_prefix("macro_rules! ") {
        let is_public = attributes.contains("#[macro_export]") && !attributes.contains("#[doc(hidden)]");
        return is_public.then(|| (name(rest), false));
    }
    let rest = trimmed.strip_prefix("pub ")?;
    let rest = ["const ", "async ", "unsafe "].iter().fold(rest, |rest, word| rest.strip_prefix(*word).unwrap_or(rest));
    let (kind, rest) = rest.split_once(' ')?;
    let is_method = kind == "fn" && trimmed.len() < line.len();
    ["fn", "struct", "enum", "trait"].contains(&kind).then(|| (name(rest), is_method))
}

/// Names that stand before a parenthesis.
fn calls(line: &str) -> impl Iterator<Item = String> {
    line.match_indices('(').filter_map(|(at, _)| {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let name = line[..at].rsplit(|c: char| !word(c)).next()?;
        (!name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod shown_bad_text {
    use super::*;

    fn of(text: &str) -> usize {
        missing(&Source::made_up("sdk/src/a.rs", text)).len()
    }

    #[test]
    fn what_is_public_and_not_shown() {
        for item in ["pub fn a() {}", "pub const fn a() {}", "pub struct A;", "pub enum A {}", "pub trait A {}"] {
            assert_eq!(of(&format!("/// Words.\n#[must_use]\n{item}\n")), 1, "{item}");
            assert_eq!(of(&format!("/// ```\n/// a();\n/// ```\n#[must_use]\n{item}\n")), 0, "{item}");
            assert_eq!(of(&format!("/// ```ignore\n/// a();\n/// ```\n\n{item}\n")), 1, "{item} is not run");
        }
        for item in ["fn a() {}", "pub(crate) fn a() {}", "pub const A: u8 = 1;", "pub use a::b;", "pub mod a;"] {
            assert_eq!(of(item), 0, "{item}");
        }
        assert_eq!(of("#[macro_export]\nmacro_rules! a {\n"), 1);
        assert_eq!(of("#[doc(hidden)]\n#[macro_export]\nmacro_rules! a {\n") + of("macro_rules! a {\n"), 0);
        assert_eq!(of("/// ```\n/// a();\n/// ```\npub fn a() {}\n\npub fn b() {}\n"), 1, "an example is of one item");
        assert_eq!(of("#[cfg(test)]\nmod tests {\n    pub fn a() {}\n}\n"), 0);
    }

    #[test]
    fn methods_that_no_example_calls() {
        let text =
            |call: &str| format!("/// ```\n/// {call};\n/// ```\npub struct A;\nimpl A {{\n    pub fn of() {{}}\n}}\n");
        assert_eq!((of(&text("let a = A::of(1)")), of(&text("let of = A(1)"))), (0, 1));
    }
}
