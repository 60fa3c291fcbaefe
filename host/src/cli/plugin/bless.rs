//! Owns writing fuel budgets into a case file: as little of the text changes as possible, and nothing of its meaning.

use std::ops::Range;

use super::cases::{Case, parse};

/// The key that is written.
const KEY: &str = "fuel_at_most";

/// Twice the fuel that was used, rounded up to two digits.
pub(super) fn budget(fuel: u64) -> u64 {
    let double = fuel.saturating_mul(2).max(1);
    let mut unit: u64 = 1;
    while double / unit >= 100 {
        unit = unit.saturating_mul(10);
    }
    double.div_ceil(unit).saturating_mul(unit)
}

/// The text with these budgets, one for each case in order; a case without one stays as it is.
///
/// # Errors
/// A sentence where the text is written in a way that this cannot edit: then the author writes the numbers.
pub(super) fn bless(text: &str, budgets: &[Option<u64>]) -> Result<String, String> {
    let before = parse(text)?;
    let unclear = || {
        let pairs = before.iter().zip(budgets).filter_map(|(case, budget)| Some((case, (*budget)?)));
        let lines: Vec<String> = pairs.map(|(case, budget)| format!("  {}: {KEY}: {budget}", case.name)).collect();
        format!("the case file is written in a way that cannot be edited here; write:\n{}", lines.join("\n"))
    };
    let items = items(text);
    if items.len() != before.len() || items.len() != budgets.len() {
        return Err(unclear());
    }
    let mut edited = text.to_owned();
    // From the end, so that what was found before keeps its place.
    for (item, budget) in items.iter().zip(budgets).rev() {
        let Some(budget) = budget else { continue };
        let (place, written) = edit(&text[item.clone()], *budget).ok_or_else(unclear)?;
        edited.replace_range(item.start + place.start..item.start + place.end, &written);
    }
    let wanted: Vec<Case> = before.iter().zip(budgets).map(|(case, budget)| with(case, *budget)).collect();
    // Whatever the text looked like: it says the same as before, and the budgets.
    if parse(&edited).is_ok_and(|after| after == wanted) { Ok(edited) } else { Err(unclear()) }
}

fn with(case: &Case, budget: Option<u64>) -> Case {
    let mut case = case.clone();
    case.expect.fuel_at_most = budget.or(case.expect.fuel_at_most);
    case
}

/// Where each item of the list under `cases:` is.
fn items(text: &str) -> Vec<Range<usize>> {
    let mut starts: Vec<usize> = Vec::new();
    let mut end = text.len();
    let mut indent = None;
    let mut inside = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let content = line.trim();
        let depth = line.len() - line.trim_start_matches(' ').len();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let is_item = content == "-" || content.starts_with("- ");
        if !inside {
            inside = depth == 0 && content.split('#').next().is_some_and(|key| key.trim() == "cases:");
        } else if is_item && indent.is_none_or(|indent| indent == depth) {
            indent = Some(depth);
            starts.push(start);
        } else if depth == 0 {
            end = start;
            break;
        }
    }
    let ends = starts.iter().skip(1).copied().chain([end]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// What to put where in the text of one case.
fn edit(item: &str, budget: u64) -> Option<(Range<usize>, String)> {
    let expect = key(item, "expect")?;
    if let Some(at) = key(&item[expect..], KEY) {
        let number = expect + at + KEY.len();
        let digits = number + item[number..].find(|letter: char| letter.is_ascii_digit())?;
        let length = item[digits..].find(|letter: char| !letter.is_ascii_digit()).unwrap_or(item.len() - digits);
        return Some((digits..digits + length, budget.to_string()));
    }
    let after = expect + item[expect..].find(':')? + 1;
    let rest = item[after..].lines().next().unwrap_or_default();
    if rest.trim_start().starts_with('{') {
        let close = after + closing(&item[after..])?;
        let inside = item[..close].trim_end();
        let comma = if inside.ends_with('{') || inside.ends_with(',') { " " } else { ", " };
        return Some((inside.len()..close, format!("{comma}{KEY}: {budget} ")));
    }
    // A block: the new line stands before its first one, at the same depth.
    let first = after + item[after..].find('\n')? + 1;
    let mut at = first;
    for line in item[first..].split_inclusive('\n') {
        let content = line.trim_start_matches(' ');
        if !content.trim().is_empty() && !content.starts_with('#') {
            let depth = line.len() - content.len();
            return Some((at..at, format!("{}{KEY}: {budget}\n", " ".repeat(depth))));
        }
        at += line.len();
    }
    None
}

/// Where a key stands that is followed by a colon and is in no comment.
fn key(item: &str, name: &str) -> Option<usize> {
    item.match_indices(name).map(|(at, _)| at).find(|at| {
        let line = item[..*at].rfind('\n').map_or(0, |end| end + 1);
        let before = item[line..*at].trim_end_matches(['"', '\'']);
        let begins = before.chars().all(|letter| letter == ' ' || letter == '-');
        let follows = before.ends_with(['{', ',', ' ']);
        let colon = item[at + name.len()..].trim_start_matches(['"', '\'']).starts_with(':');
        colon && (begins || follows) && !before.contains('#')
    })
}

/// Where the brace closes that opens first; braces in quotes do not count.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '{') => depth += 1,
            (None, '}') if depth == 1 => return Some(at),
            (None, '}') => depth = depth.checked_sub(1)?,
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERMIT: &str = "permit: { device: d, from_bundle: a, to_bundle: b }";

    #[test]
    fn budgets_are_round_and_at_least_twice() {
        for (fuel, at_most) in
            [(0, 1), (1, 2), (49, 98), (50, 100), (51, 110), (12_345, 25_000), (5_000_001, 11_000_000)]
        {
            assert_eq!(budget(fuel), at_most, "{fuel}");
        }
        assert!(budget(u64::MAX) > 0);
    }

    #[test]
    fn every_way_of_writing_keeps_its_form() {
        let text = format!(
            "# Comments stay.\ncases: # all of them\n  - name: a flow  # expect: nothing\n    {PERMIT}\n    \
             expect: {{ outcome: permitted }}\n\
             \n  # between\n  - name: a block\n    {PERMIT}\n    expect:\n      # why\n      \
             outcome: permitted # as always\n\
             \x20 - name: a budget\n    expect: {{ outcome: permitted, fuel_at_most: 7 }} # tight\n    {PERMIT}\n\
             \x20 - {{ name: \"fuel_at_most: 5 }}\", {PERMIT}, expect: {{ outcome: permitted }} }}\n\
             \x20 - name: left alone\n    {PERMIT}\n    expect: {{ outcome: permitted }}\nsettings: {{}}\n"
        );
        let blessed = bless(&text, &[Some(1), Some(2), Some(3), Some(4), None]).expect("it can be edited");
        let wanted = text
            .replacen("{ outcome: permitted }\n", "{ outcome: permitted, fuel_at_most: 1 }\n", 1)
            .replacen("      outcome: permitted #", "      fuel_at_most: 2\n      outcome: permitted #", 1)
            .replacen("fuel_at_most: 7", "fuel_at_most: 3", 1)
            .replacen("expect: { outcome: permitted } }", "expect: { outcome: permitted, fuel_at_most: 4 } }", 1);
        assert_eq!(blessed, wanted);
        let again = bless(&blessed, &[Some(1), Some(2), Some(3), Some(4), None]);
        assert_eq!(again.as_deref(), Ok(blessed.as_str()));
    }

    #[test]
    fn the_examples_can_be_blessed() {
        let text = include_str!("cases/examples.yaml");
        let count = parse(text).expect("they are right").len();
        let blessed = bless(text, &vec![Some(1_234); count]).expect("they can be edited");
        assert_eq!(blessed.matches("fuel_at_most: 1234").count(), count);
        assert_eq!(
            blessed.lines().filter(|line| line.trim().starts_with('#')).count(),
            text.lines().filter(|line| line.trim().starts_with('#')).count()
        );
    }

    #[test]
    fn what_cannot_be_edited_is_told_instead() {
        let anchors = format!("e: &e {{ outcome: permitted }}\ncases:\n- name: a\n  {PERMIT}\n  expect: *e\n");
        assert!(bless(&anchors, &[Some(5)]).is_err(), "an unknown key");
        let shared = format!(
            "cases:\n- name: a\n  {PERMIT}\n  expect: &e {{ outcome: permitted }}\n\
             - name: b\n  {PERMIT}\n  expect: *e\n"
        );
        let why = bless(&shared, &[None, Some(5)]).expect_err("an alias");
        assert!(why.contains("b: fuel_at_most: 5"), "{why}");
        let json = r#"{"cases": [{
            "name": "a",
            "permit": {"device": "d", "from_bundle": "a", "to_bundle": "b"},
            "expect": {"outcome": "permitted"}
        }]}"#;
        assert!(bless(json, &[Some(5)]).expect_err("JSON").contains("a: fuel_at_most: 5"));
    }
}
