//! Owns lists on the command line: read page by page, shown as a table for people or as JSON for programs.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Deserialize;
use serde_json::Value;

use super::CliError;
use super::operator::{Operator, Server};
use crate::cli::output::say;

/// Items asked for in one page.
const PAGE: u32 = 500;

/// How a list or a thing is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns, for people.
    #[default]
    Table,
    /// JSON with everything that the server says, for programs.
    Json,
}

/// Options of every command that lists something.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Listing {
    #[command(flatten)]
    server: Server,
    /// How many, at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// How they are shown
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    next: Option<String>,
}

/// A column: its heading, and where its value is in an item (a JSON pointer).
pub(super) type Column = (&'static str, &'static str);

impl Listing {
    /// Reads the list at `path` and prints it. `query` leaves out what is `None`.
    ///
    /// # Errors
    /// [`CliError`].
    pub(super) async fn print(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
        columns: &[Column],
    ) -> Result<(), CliError> {
        let operator = self.server.operator().await?;
        let items = self.read(&operator, path, query).await?;
        show(&items, columns, self.output)
    }

    async fn read(
        &self,
        operator: &Operator,
        path: &str,
        query: &[(&str, Option<String>)],
    ) -> Result<Vec<Value>, CliError> {
        let wanted = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let mut items = Vec::new();
        let mut cursor = None;
        loop {
            let left = u32::try_from(wanted - items.len()).unwrap_or(PAGE).min(PAGE);
            let mut pairs: Vec<(&str, String)> =
                query.iter().filter_map(|(key, value)| Some((*key, value.clone()?))).collect();
            pairs.push(("limit", left.to_string()));
            pairs.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let page: Page = operator.get_with(path, &pairs).await?;
            items.extend(page.items);
            items.truncate(wanted);
            cursor = page.next;
            if cursor.is_none() || items.len() == wanted {
                return Ok(items);
            }
        }
    }
}

fn show(items: &[Value], columns: &[Column], format: Format) -> Result<(), CliError> {
    match format {
        Format::Json => say!("{}", serde_json::to_string_pretty(items).map_err(CliError::failed)?),
        Format::Table => say!("{}", table(items, columns)),
    }
    Ok(())
}

/// Prints one thing: a table of one line, or its JSON object.
///
/// # Errors
/// [`CliError`].
pub(super) fn show_one(item: &Value, columns: &[Column], format: Format) -> Result<(), CliError> {
    match format {
        Format::Json => say!("{}", serde_json::to_string_pretty(item).map_err(CliError::failed)?),
        Format::Table => say!("{}", table(std::slice::from_ref(item), columns)),
    }
    Ok(())
}

fn table(items: &[Value], columns: &[Column]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|(heading, _)| heading.to_uppercase()));
    for item in items {
        table.add_row(columns.iter().map(|(_, pointer)| cell(item.pointer(pointer))));
    }
    table
}

/// One value in one line.
fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(pairs)) => {
            let pairs = pairs.iter().map(|(key, value)| format!("{key}={}", cell(Some(value))));
            pairs.collect::<Vec<_>>().join(",")
        }
        Some(Value::Array(items)) => items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(","),
        Some(Value::Bool(truth)) => truth.to_string(),
        Some(Value::Number(number)) => number.to_string(),
    };
    one_line(&text)
}

/// What devices and people wrote must not move the terminal's cursor.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_what_the_pointers_name() {
        let items = [
            serde_json::json!({ "id": "dev_1", "labels": { "a": "b", "c": "d" }, "seen": null }),
            serde_json::json!({ "id": "dev_2", "labels": {}, "seen": "now" }),
        ];
        let text = table(&items, &[("id", "/id"), ("labels", "/labels"), ("seen", "/seen")]).to_string();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["ID", "LABELS", "SEEN"]);
        assert_eq!(lines[1], ["dev_1", "a=b,c=d", "-"]);
        assert_eq!(lines[2], ["dev_2", "now"]);
    }

    #[test]
    fn what_a_device_calls_itself_does_not_move_the_cursor() {
        assert_eq!(cell(Some(&Value::String("a\u{1b}[2Jb\nc".to_owned()))), "a [2Jb c");
    }
}
