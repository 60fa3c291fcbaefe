//! Owns `plugin reference`: the book's chapter on policies, from the contract and from what the bundled plugins say of
//! themselves.

use std::fmt::Write as _;

use kernex_engine::Inspection;
use serde_json::Value;

use crate::cli::CliError;
use crate::cli::output::say_no_newline;
use crate::host;

/// The prose. A line [`PLUGINS`] stands for the bundled plugins, [`CONTRACT`] for the contract.
const PROSE: &str = include_str!("reference.md");
const PLUGINS: &str = "<!-- plugins -->";
const CONTRACT: &str = "<!-- contract -->";
const WIT: &str = include_str!("../../../../sdk/wit/v1/policy.wit");
const HEAD: &str = "| setting | type | default | meaning |\n|---|---|---|---|\n";
/// Settings within settings that are shown, at most.
const MAX_DEPTH: usize = 6;

/// Print the book's chapter on policies: the contract, and the bundled plugins with their settings.
#[derive(Debug, clap::Args)]
pub(crate) struct Reference {}

impl Reference {
    pub(super) fn run(self) -> Result<(), CliError> {
        say_no_newline!("{}", chapter()?);
        Ok(())
    }
}

/// The chapter, as Markdown.
fn chapter() -> Result<String, CliError> {
    let mut chapter = String::new();
    for line in PROSE.lines() {
        match line {
            PLUGINS => chapter.push_str(&plugins()?),
            CONTRACT => chapter.extend(["```wit\n", WIT, "```\n"]),
            line => chapter.extend([line, "\n"]),
        }
    }
    Ok(chapter)
}

fn plugins() -> Result<String, CliError> {
    let engine = host::engine()?;
    let mut sections = String::new();
    for (at, plugin) in kernex_plugins::ALL.into_iter().enumerate() {
        let inspection = engine.inspect_trusted(plugin.bytes).map_err(CliError::failed)?;
        if at > 0 {
            sections.push('\n');
        }
        sections.push_str(&section(&inspection));
    }
    Ok(sections)
}

fn section(inspection: &Inspection) -> String {
    let manifest = &inspection.manifest;
    let gates: Vec<&str> = inspection.gates.iter().map(|gate| gate.as_str()).collect();
    let mut text = format!("### {}\n\nGate: {}. {}.\n\n{HEAD}", manifest.name, gates.join(", "), manifest.summary);
    let root = &manifest.settings_schema;
    rows(root, root, "", MAX_DEPTH, &mut text);
    text
}

/// A row for every property below a schema.
fn rows(root: &Value, schema: &Value, path: &str, depth: usize, text: &mut String) {
    let schema = resolved(root, schema);
    let required = schema["required"].as_array();
    let needed = |name: &str| required.is_some_and(|names| names.iter().any(|one| one == name));
    let mut properties: Vec<_> = schema["properties"].as_object().into_iter().flatten().collect();
    // Whether an object of serde_json keeps its order depends on what else is built with it.
    properties.sort_by_key(|(name, _)| (!needed(name), name.as_str()));
    for (name, property) in properties {
        let needed = needed(name);
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        // Writing to a text does not fail.
        let _ = writeln!(
            text,
            "| `{path}` | {} | {} | {} |",
            kind(root, property),
            default(property, needed),
            meaning(root, property)
        );
        if depth > 0 {
            below(root, property, &path, depth - 1, text);
        }
    }
}

/// The properties of what a property holds: an object, the items of a list, the values of a map.
fn below(root: &Value, property: &Value, path: &str, depth: usize, text: &mut String) {
    let schema = resolved(root, property);
    if schema["items"].is_object() {
        rows(root, &schema["items"], &format!("{path}[]"), depth, text);
    } else if schema["additionalProperties"].is_object() {
        rows(root, &schema["additionalProperties"], &format!("{path}.*"), depth, text);
    } else {
        rows(root, schema, path, depth, text);
    }
}

/// What a reference leads to; of several choices the first that is not null.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut found = schema;
    for _ in 0..MAX_DEPTH {
        if let Some(path) = found["$ref"].as_str() {
            found = root.pointer(path.trim_start_matches('#')).unwrap_or(&Value::Null);
        } else if let Some(choices) = found["anyOf"].as_array().or_else(|| found["allOf"].as_array()) {
            found = choices.iter().find(|choice| choice["type"] != "null").unwrap_or(&Value::Null);
        } else {
            break;
        }
    }
    found
}

fn kind(root: &Value, property: &Value) -> String {
    let schema = resolved(root, property);
    if let Some(choices) = schema["oneOf"].as_array() {
        return listed(choices.iter().filter_map(|choice| choice["const"].as_str().or(choice["enum"][0].as_str())));
    }
    if let Some(choices) = schema["enum"].as_array() {
        return listed(choices.iter().filter_map(Value::as_str));
    }
    let named = match &schema["type"] {
        Value::String(name) => name.as_str(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("any"),
        _ => "any",
    };
    match named {
        "array" => format!("list of {}", kind(root, &schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("map of {}", kind(root, &schema["additionalProperties"]))
        }
        "string" => "text".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        "integer" | "number" => match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
            (Some(least), Some(most)) if most < 1e15 => format!("{named}, {least} to {most}"),
            _ => named.to_owned(),
        },
        other => other.to_owned(),
    }
}

fn listed<'a>(values: impl Iterator<Item = &'a str>) -> String {
    values.map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
}

fn default(property: &Value, required: bool) -> String {
    match property.get("default") {
        None | Some(Value::Null) if required => "required".to_owned(),
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::Array(items)) if items.is_empty() => "empty".to_owned(),
        Some(Value::Object(fields)) if fields.is_empty() => "empty".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

fn meaning(root: &Value, property: &Value) -> String {
    let said = property["description"].as_str().or_else(|| resolved(root, property)["description"].as_str());
    said.unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_told_however_deep_they_are() {
        let root = serde_json::json!({
            "type": "object", "required": ["waves"],
            "properties": {
                "waves": { "type": "array", "items": { "$ref": "#/$defs/Wave" }, "description": "In their\norder." },
                "limits": { "anyOf": [{ "$ref": "#/$defs/Limits" }, { "type": "null" }] },
            },
            "$defs": {
                "Wave": { "type": "object", "properties": { "percent": { "type": ["number", "null"], "default": 5 } } },
                "Limits": {
                    "type": "object",
                    "properties": { "unit": { "enum": ["s", "ms"] }, "by": {
                        "type": "object", "additionalProperties": { "type": "integer", "minimum": 0, "maximum": 9 },
                    } },
                },
            },
        });
        let mut text = String::new();
        rows(&root, &root, "", MAX_DEPTH, &mut text);
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "| `limits.by` | map of integer, 0 to 9 | none |  |",
                "| `limits.unit` | `s`, `ms` | none |  |",
                "| `limits` | object | none |  |",
                "| `waves[].percent` | number | `5` |  |",
                "| `waves` | list of object | required | In their order. |",
            ]
        );
    }

    #[test]
    fn the_chapter_in_the_book_is_this_one() {
        let book = include_str!("../../../../docs/src/policy-reference.md");
        assert!(book == chapter().expect("the bundled plugins say what they are"), "run `make openapi`");
    }
}
