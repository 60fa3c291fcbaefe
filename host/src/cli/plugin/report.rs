//! Owns what a run of cases prints: a line for each case and a table of fuel for people, or JSON for programs.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde_json::{Value, json};

use super::component::Component;
use super::trial::Verdict;

/// Widest name of a case that the lines are aligned by, in characters.
const NAME_WIDTH: usize = 48;

/// What a plugin or a file says in one line: it must not move the terminal's cursor.
pub(super) fn shown(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A table without lines; all columns but the first two have numbers.
pub(super) fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(headings);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// For people.
pub(super) fn text(component: &Component, verdicts: &[Verdict<'_>]) -> String {
    let mut lines = vec![format!("{}, {} cases", shown(&component.title()), verdicts.len()), String::new()];
    let longest = verdicts.iter().map(|verdict| verdict.case.name.chars().count()).max().unwrap_or(0);
    let width = longest.min(NAME_WIDTH);
    for verdict in verdicts {
        let answer = match &verdict.heard {
            Some(heard) => match &heard.outcome {
                Ok(answer) => answer.described(),
                Err(fault) => format!("fault {}", fault.code()),
            },
            None => "not configured".to_owned(),
        };
        let word = if verdict.passed() { "ok  " } else { "FAIL" };
        lines.push(format!("{word}  {:width$}  {}", verdict.case.name, shown(&answer)).trim_end().to_owned());
        lines.extend(failures(verdict).iter().map(|failure| format!("      {}", shown(failure))));
        lines.extend(verdict.notes.iter().map(|note| format!("      note: {}", shown(note))));
        if !verdict.passed() {
            lines.extend(verdict.log().iter().map(|line| format!("      log: {}", shown(&line.message))));
            lines.extend(verdict.is_log_truncated().then(|| "      note: it wrote more than is kept".to_owned()));
        }
    }
    lines.push(String::new());
    let rows = verdicts.iter().filter_map(|verdict| {
        let (fuel, at_most) = (verdict.fuel()?, verdict.fuel_at_most);
        let share = at_most.map(|at_most| format!("{} %", fuel.saturating_mul(100) / at_most.max(1)));
        Some(vec![
            verdict.case.name.clone(),
            verdict.case.inquiry.question.name().to_owned(),
            grouped(fuel),
            at_most.map_or_else(|| "-".to_owned(), grouped),
            share.unwrap_or_else(|| "-".to_owned()),
        ])
    });
    let table = table(&["CASE", "ASKED", "FUEL", "AT MOST", "USED"], rows).to_string();
    lines.extend(table.lines().map(|line| line.trim_end().to_owned()));
    lines.push(String::new());
    lines.push(summary(verdicts));
    lines.join("\n")
}

fn summary(verdicts: &[Verdict<'_>]) -> String {
    let passed = verdicts.iter().filter(|verdict| verdict.passed()).count();
    let runs: usize = verdicts.iter().map(|verdict| verdict.runs).sum();
    format!(
        "{passed} of {} cases passed. The plugin was asked {runs} times: again, in reused instances, with devices in \
         other batches, with too little fuel and memory, and without each fact.",
        verdicts.len()
    )
}

fn failures(verdict: &Verdict<'_>) -> Vec<String> {
    let mut failures = verdict.failures.clone();
    if let (true, Some(at_most), Some(fuel)) = (verdict.is_over_budget(), verdict.fuel_at_most, verdict.fuel()) {
        failures.push(format!("it uses {} fuel; the case allows {}", grouped(fuel), grouped(at_most)));
    }
    failures
}

/// For programs.
pub(super) fn json(component: &Component, verdicts: &[Verdict<'_>]) -> Value {
    let inspection = &component.inspection;
    let cases: Vec<Value> = verdicts
        .iter()
        .map(|verdict| {
            let answer = verdict.heard.as_ref().and_then(|heard| heard.outcome.as_ref().ok());
            let fault = verdict.heard.as_ref().and_then(|heard| heard.outcome.as_ref().err());
            json!({
                "name": verdict.case.name,
                "asked": verdict.case.inquiry.question.name(),
                "passed": verdict.passed(),
                "outcome": answer.map(|answer| answer.outcome()),
                "code": answer.and_then(|answer| answer.code()),
                "message": answer.and_then(|answer| answer.reason()).map(|reason| &reason.message),
                "fault": fault.map(|fault| fault.code()),
                "fuel": verdict.fuel(),
                "fuel_at_most": verdict.fuel_at_most,
                "facts_read": verdict.heard.as_ref().map(|heard| &heard.facts_read),
                "failures": failures(verdict),
                "notes": verdict.notes,
                "log": verdict.log(),
                "log_truncated": verdict.is_log_truncated(),
                "runs": verdict.runs,
            })
        })
        .collect();
    let passed = verdicts.iter().filter(|verdict| verdict.passed()).count();
    json!({
        "plugin": {
            "name": inspection.manifest.name,
            "version": inspection.manifest.version,
            "gates": inspection.gates,
            "digest": inspection.digest,
        },
        "passed": passed,
        "failed": verdicts.len() - passed,
        "cases": cases,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_plugin_does_not_move_the_cursor() {
        assert_eq!(shown("a\u{1b}[2J\nb"), "a [2J b");
    }
}
