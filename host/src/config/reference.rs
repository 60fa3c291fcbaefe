//! Owns the book's chapter on settings: its prose, with a table of what the types declare where one belongs.

use serde_json::Value;

use super::declared::{self, Setting};
use super::layers::variable;

/// The prose. A line [`TABLE`] stands for the table of the settings that it names, alone or by their table.
const PROSE: &str = include_str!("reference.md");
/// What encloses these names.
const TABLE: (&str, &str) = ("<!-- settings: ", " -->");
const HEAD: &str = "| setting | type | default | meaning | variable |\n|---|---|---|---|---|\n";
/// The unit that a number's key ends in.
const UNITS: [(&str, &str); 5] =
    [("_s", "seconds"), ("_days", "days"), ("_bytes", "bytes"), ("_kib", "KiB"), ("_mib", "MiB")];
const GIB: f64 = 1_073_741_824.0;

/// The chapter, as Markdown.
#[must_use]
pub fn chapter() -> String {
    let settings = declared::settings();
    let mut chapter = String::new();
    for line in PROSE.lines() {
        match line.strip_prefix(TABLE.0).and_then(|rest| rest.strip_suffix(TABLE.1)) {
            Some(names) => chapter.push_str(&table(names, &settings)),
            None => chapter.extend([line, "\n"]),
        }
    }
    chapter
}

fn table(names: &str, settings: &[Setting]) -> String {
    let of = |name| settings.iter().filter(move |setting| setting.key.split('.').next() == Some(name));
    HEAD.to_owned() + &names.split(' ').flat_map(of).map(row).collect::<String>()
}

fn row(setting: &Setting) -> String {
    let Setting { key, .. } = setting;
    format!("| `{key}` | {} | {} | {} | `{}` |\n", kind(setting), default(setting), meaning(setting), variable(key))
}

/// The type, or the values there are, with the unit and the range.
fn kind(setting: &Setting) -> String {
    let schema = &setting.schema;
    if let Some(named) = schema["x-type"].as_str() {
        return named.to_owned();
    }
    if schema["oneOf"].is_array() {
        let values: Vec<_> = choices(schema).map(|(value, _)| format!("`{value}`")).collect();
        return values.join(", ");
    }
    if is_number(schema) {
        let range = setting.range().map(|(least, most)| format!(", {} to {}", grouped(least), grouped(most)));
        let counted = schema["x-unit"].as_str().unwrap_or_else(|| unit(&setting.key));
        return counted.to_owned() + &range.unwrap_or_default();
    }
    "text".to_owned()
}

fn default(setting: &Setting) -> String {
    match &setting.default {
        Value::Null => "none".to_owned(),
        Value::Array(items) if items.is_empty() => "empty".to_owned(),
        Value::String(text) => format!("`{text}`"),
        value => match value.as_f64() {
            Some(bytes) if unit(&setting.key) == "bytes" && bytes % GIB == 0.0 => {
                format!("{} ({} GiB)", grouped(bytes), bytes / GIB)
            }
            Some(number) => grouped(number),
            None => format!("`{value}`"),
        },
    }
}

/// What the setting's documentation says, then what that of each choice says.
fn meaning(setting: &Setting) -> String {
    let said = setting.schema["description"].as_str().unwrap_or_default().to_owned();
    let each = choices(&setting.schema).map(|(value, meaning)| format!(" `{value}`: {meaning}"));
    (said + &each.collect::<String>()).replace('\n', " ")
}

fn choices(schema: &Value) -> impl Iterator<Item = (&str, &str)> {
    let each = schema["oneOf"].as_array().into_iter().flatten();
    each.map(|one| (one["const"].as_str().unwrap_or_default(), one["description"].as_str().unwrap_or_default()))
}

fn is_number(schema: &Value) -> bool {
    let number = |kind: &Value| kind == "integer" || kind == "number";
    let kind = &schema["type"];
    number(kind) || kind.as_array().is_some_and(|kinds| kinds.iter().any(number))
}

fn unit(key: &str) -> &'static str {
    UNITS.iter().find(|(end, _)| key.ends_with(end)).map_or("number", |(_, unit)| unit)
}

/// With commas between thousands.
fn grouped(number: f64) -> String {
    let digits = number.to_string();
    if digits.contains('.') {
        return digits;
    }
    let comma = |at: usize| if at > 0 && (digits.len() - at).is_multiple_of(3) { "," } else { "" };
    digits.char_indices().map(|(at, digit)| format!("{}{digit}", comma(at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_stands_in_one_table_with_all_that_is_to_be_said() {
        let chapter = chapter();
        let settings = declared::settings();
        assert!(settings.len() > 20, "only {} settings were found", settings.len());
        for Setting { key, .. } in &settings {
            let rows: Vec<_> = chapter.lines().filter(|line| line.starts_with(&format!("| `{key}` |"))).collect();
            assert_eq!(rows.len(), 1, "`{key}` belongs into one table of config/reference.md: {rows:?}");
            let cells: Vec<_> = rows[0].trim_matches('|').split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 5, "{}", rows[0]);
            assert!(cells.iter().all(|cell| !cell.is_empty() && !cell.contains("``")), "{}", rows[0]);
        }
        assert!(!chapter.contains(TABLE.0), "a table's line was not understood");
        assert!(!chapter.contains(&format!("{HEAD}\n")), "a table names no setting");
    }

    #[test]
    fn a_row_says_type_unit_range_default_choices_and_variable() {
        let settings = declared::settings();
        let row_of = |key: &str| settings.iter().find(|setting| setting.key == key).map(row).unwrap_or_default();
        for (key, begins, ends) in [
            ("http.listen", "IP address and port | `127.0.0.1:8080` | ", "`KERNEX__HTTP__LISTEN` |\n"),
            ("heartbeat.poll_s", "seconds, 1 to 86,400 | 60 | Seconds ", "`KERNEX__HEARTBEAT__POLL_S` |\n"),
            (
                "decisions.keep_max",
                "decisions, 1,000 to 1,000,000,000 | 5,000,000 | How ",
                "`KERNEX__DECISIONS__KEEP_MAX` |\n",
            ),
            ("bundles.max_bytes", "bytes | 4,294,967,296 (4 GiB) | ", "`KERNEX__BUNDLES__MAX_BYTES` |\n"),
            ("store.memtable_kib", "KiB, 64 to 1,048,576 | none | ", "`KERNEX__STORE__MEMTABLE_KIB` |\n"),
            ("store.password", "text, secret | none | ", "`KERNEX__STORE__PASSWORD` |\n"),
            ("telemetry.sample_ratio", "number, 0 to 1 | 0.01 | ", "`KERNEX__TELEMETRY__SAMPLE_RATIO` |\n"),
            ("registration_roles", "list of role names | empty | ", "`KERNEX__REGISTRATION_ROLES` |\n"),
            (
                "registration",
                "`open`, `closed`, `invitation` | `closed` | Who ",
                "`open`: Anyone. `closed`: Nobody. `invitation`: Whoever was invited. | `KERNEX__REGISTRATION` |\n",
            ),
        ] {
            let row = row_of(key);
            assert!(row.starts_with(&format!("| `{key}` | {begins}")) && row.ends_with(ends), "{row}");
        }
    }
}
