//! Owns the SurrealQL of a unit of work: one text from `BEGIN` to `COMMIT`, its rows as parameters, never one statement per row.

use std::fmt::Write as _;

use surrealdb::types::Variables;

use crate::changes::{Changes, Group, Verb};

/// What a `THROW` begins with where a record moved on or is gone; the record follows.
pub(crate) const MOVED: &str = "MOVED ";

/// The text of a unit of work, and its parameters.
pub(crate) fn transaction(changes: Changes) -> (String, Variables) {
    let mut text = String::from("BEGIN;\n");
    let mut variables = Variables::new();
    for (number, ((verb, table), group)) in changes.groups.into_iter().enumerate() {
        statement(&mut text, verb, table, number, &group);
        if !group.terms.is_empty() {
            let terms = group.term_table.unwrap_or_default();
            let _ = writeln!(text, "INSERT IGNORE INTO {terms} $t{number} RETURN NONE;");
            variables.insert(format!("t{number}"), group.terms);
        }
        variables.insert(format!("g{number}"), group.rows);
    }
    text.push_str("COMMIT;");
    (text, variables)
}

fn statement(text: &mut String, verb: Verb, table: &str, number: usize, group: &Group) {
    // Writing into a `String` cannot fail.
    let _ = match verb {
        Verb::Expect => writeln!(
            text,
            "FOR $r IN $g{number} {{ IF (SELECT VALUE revision FROM $r.id) != [$r.revision] \
             {{ THROW '{MOVED}' + <string> $r.id }} }};"
        ),
        Verb::Create => writeln!(text, "INSERT INTO {table} $g{number} RETURN NONE;"),
        Verb::Put if group.append_only => writeln!(text, "INSERT IGNORE INTO {table} $g{number} RETURN NONE;"),
        Verb::Put => {
            let sets: Vec<String> = group.columns.iter().map(|column| format!("{column} = $input.{column}")).collect();
            writeln!(text, "INSERT INTO {table} $g{number} ON DUPLICATE KEY UPDATE {} RETURN NONE;", sets.join(", "))
        }
        Verb::Update => {
            let what = match group.edited {
                None => "CONTENT $r.row".to_owned(),
                Some(columns) => {
                    let sets: Vec<String> =
                        columns.iter().map(|column| format!("{column} = $r.row.{column}")).collect();
                    format!("SET {}", sets.join(", "))
                }
            };
            let terms = group
                .term_table
                .map_or_else(String::new, |terms| move_terms(terms, "$r.id", "$r.sort", "$r.row", &["terms"]));
            writeln!(
                text,
                "FOR $r IN $g{number} {{ LET $old = (UPDATE ONLY $r.id {what} WHERE revision = $r.revision RETURN BEFORE); \
                 IF $old = NONE {{ THROW '{MOVED}' + <string> $r.id }};{terms} }};"
            )
        }
        Verb::Patch => {
            let terms = move_terms(
                group.term_table.unwrap_or_default(),
                "$r.id",
                "$r.sort",
                "$r.fields",
                &["fact_terms", "model_terms"],
            );
            writeln!(
                text,
                "FOR $r IN $g{number} {{ LET $old = (UPDATE ONLY $r.id MERGE $r.fields RETURN BEFORE); \
                 IF $old = NONE {{ THROW '{MOVED}' + <string> $r.id }}; \
                 IF $r.facts != NONE {{ UPDATE $r.id SET facts = $r.facts RETURN NONE }};{terms} }};"
            )
        }
        Verb::Delete => writeln!(text, "DELETE $g{number} RETURN NONE;"),
        Verb::Consume => writeln!(
            text,
            "FOR $r IN $g{number} {{ LET $old = (DELETE ONLY $r RETURN BEFORE); \
             IF $old = NONE {{ THROW '{MOVED}' + <string> $r }} }};"
        ),
    };
}

/// Takes away the term rows that a record no longer has, and adds those that it has now. What it had
/// is read from the record inside the transaction, so that no writer leaves a stale row behind.
fn move_terms(terms: &str, id: &str, sort: &str, row: &str, columns: &[&str]) -> String {
    let mut text = String::new();
    for column in columns {
        let _ = write!(
            text,
            " IF {row}.{column} != NONE {{ \
             FOR $term IN array::complement($old.{column}, {row}.{column}) {{ DELETE type::record('{terms}', [$term, {sort}]) RETURN NONE }}; \
             FOR $term IN array::complement({row}.{column}, $old.{column}) {{ UPSERT type::record('{terms}', [$term, {sort}]) SET target = {id} RETURN NONE }} }};"
        );
    }
    text
}
