//! Owns the first look at a policy's settings: whether they fit the JSON Schema that the plugin gives for them.
//!
//! The schema is a stranger's. It is read offline, its patterns run in linear time, and how much there is to
//! compare is counted before anything is compared.

mod extent;

use std::fmt::Write as _;

use jsonschema::error::{ValidationError, ValidationErrorKind};
use jsonschema::{PatternOptions, Validator};
use kernex_model::policy::Diagnostic;
use serde_json::Value;

/// How many diagnostics are given at once, as many as a plugin may give.
const MAX_DIAGNOSTICS: usize = 100;
/// Length of a diagnostic's message, in bytes.
const MAX_MESSAGE_BYTES: usize = 1_024;
/// Alternatives of a choice whose messages are joined.
const MAX_ALTERNATIVES: usize = 8;
/// Memory that one compiled pattern may take, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// What is wrong with settings by the plugin's own schema, each with a pointer to the place; nothing where they
/// fit. Values are not repeated: one may be a secret in the wrong place.
///
/// What a schema cannot say (two waves of the same name, a share that is no selector) the plugin finds when it is
/// configured, after this.
#[must_use]
pub fn check_settings(schema: &Value, settings: &Value) -> Vec<Diagnostic> {
    let validator = match compiled(schema) {
        Ok(validator) => validator,
        Err(why) => return vec![diagnostic("", &why)],
    };
    if let Err(why) = extent::admit(schema, settings) {
        return vec![diagnostic("", &why)];
    }
    let mut diagnostics = Vec::new();
    for error in validator.iter_errors(settings) {
        explain(&error, &mut diagnostics);
        if diagnostics.len() >= MAX_DIAGNOSTICS {
            break;
        }
    }
    diagnostics.truncate(MAX_DIAGNOSTICS);
    diagnostics
}

/// Whether a plugin's schema can be used at all.
///
/// # Errors
/// A sentence that says why it cannot.
pub fn check_schema(schema: &Value) -> Result<(), String> {
    compiled(schema).map(|_| ())
}

fn compiled(schema: &Value) -> Result<Validator, String> {
    extent::references(schema)?;
    jsonschema::options()
        .offline()
        .with_pattern_options(PatternOptions::regex().size_limit(MAX_PATTERN_BYTES))
        .build(schema)
        .map_err(|error| format!("the plugin's schema cannot be used: {}: {}", error.instance_path(), error.masked()))
}

/// One error as the person who edits the settings wants to see it.
fn explain(error: &ValidationError<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let pointer = error.instance_path().as_str();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            for name in unexpected {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                diagnostics.push(diagnostic(&format!("{pointer}/{escaped}"), "there is no such setting"));
            }
        }
        ValidationErrorKind::Required { property: Value::String(name) } => {
            diagnostics.push(diagnostic(pointer, &format!("the setting `{name}` is missing")));
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            explain_choice(error, context, diagnostics);
        }
        _ => diagnostics.push(diagnostic(pointer, &error.masked().to_string())),
    }
}

/// None of several alternatives fits. The one that fits furthest is what was meant; where none goes further than
/// another, all of them are named.
fn explain_choice(
    error: &ValidationError<'_>,
    context: &[Vec<ValidationError<'static>>],
    diagnostics: &mut Vec<Diagnostic>,
) {
    let depth = |error: &ValidationError<'_>| error.instance_path().segments().count();
    let reached = |errors: &Vec<ValidationError<'static>>| errors.iter().map(depth).max().unwrap_or(0);
    let furthest = context.iter().max_by_key(|errors| reached(errors));
    match furthest {
        Some(errors) if reached(errors) > depth(error) => {
            errors.iter().for_each(|error| explain(error, diagnostics));
        }
        Some(_) | None => {
            let mut message = "no alternative fits".to_owned();
            let mut named: Vec<String> = context.iter().flatten().map(|error| error.masked().to_string()).collect();
            named.dedup();
            for (index, alternative) in named.iter().take(MAX_ALTERNATIVES).enumerate() {
                // Writing to a text does not fail.
                let _ = write!(message, "{} {alternative}", if index == 0 { ":" } else { ";" });
            }
            diagnostics.push(diagnostic(error.instance_path().as_str(), &message));
        }
    }
}

fn diagnostic(pointer: &str, message: &str) -> Diagnostic {
    let end = message.floor_char_boundary(MAX_MESSAGE_BYTES);
    Diagnostic { pointer: pointer.to_owned(), message: message[..end].to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(schema: Value, settings: Value) -> Vec<(String, String)> {
        check_settings(&schema, &settings).into_iter().map(|found| (found.pointer, found.message)).collect()
    }

    fn pointers(schema: Value, settings: Value) -> Vec<String> {
        wrong(schema, settings).into_iter().map(|(pointer, _)| pointer).collect()
    }

    fn object() -> Value {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "share": { "type": "number", "maximum": 1 },
                "sites": { "type": "array", "items": { "$ref": "#/$defs/Site" } },
                "limit": { "anyOf": [{ "$ref": "#/$defs/Limit" }, { "type": "null" }] },
                "mode": { "oneOf": [{ "const": "pause" }, { "const": "roll_back" }] },
            },
            "required": ["share"],
            "additionalProperties": false,
            "$defs": {
                "Site": { "type": "string", "minLength": 1 },
                "Limit": {
                    "type": "object", "required": ["most"],
                    "properties": { "most": { "type": "integer" } },
                },
            },
        })
    }

    #[test]
    fn what_fits_has_no_diagnostics() {
        assert_eq!(wrong(object(), json!({ "share": 0.5, "sites": ["a"], "limit": { "most": 3 } })), []);
        assert_eq!(wrong(object(), json!({ "share": 0, "limit": null, "mode": "pause" })), []);
        assert_eq!(wrong(json!(true), json!({ "anything": [1] })), []);
        assert_eq!(wrong(json!({}), json!(null)), []);
    }

    #[test]
    fn every_mistake_is_pointed_at() {
        let found = pointers(object(), json!({ "share": 2, "sites": ["a", "", 3], "shares": 1 }));
        for pointer in ["/share", "/sites/1", "/sites/2", "/shares"] {
            assert!(found.iter().any(|found| found == pointer), "{pointer}: {found:?}");
        }
        assert_eq!(found.len(), 4, "{found:?}");
        let missing = wrong(object(), json!({}));
        assert_eq!(missing, [(String::new(), "the setting `share` is missing".to_owned())]);
        let escaped = pointers(object(), json!({ "share": 1, "a/b~c": 1 }));
        assert_eq!(escaped, ["/a~1b~0c"]);
    }

    #[test]
    fn of_alternatives_the_one_that_was_meant_is_explained() {
        let meant = wrong(object(), json!({ "share": 1, "limit": { "most": "three" } }));
        assert_eq!(meant.len(), 1, "{meant:?}");
        assert_eq!(meant[0].0, "/limit/most");
        let none = wrong(object(), json!({ "share": 1, "mode": "explode" }));
        assert_eq!(none[0].0, "/mode");
        assert!(none[0].1.contains("\"pause\"") && none[0].1.contains("\"roll_back\""), "{none:?}");
    }

    #[test]
    fn values_are_not_repeated() {
        for settings in [
            json!({ "share": "hunter2" }),
            json!({ "share": 1, "mode": "hunter2" }),
            json!({ "share": 1, "limit": "hunter2" }),
            json!({ "share": 1, "sites": "hunter2" }),
        ] {
            let found = wrong(object(), settings);
            assert!(!found.is_empty() && found.iter().all(|(_, message)| !message.contains("hunter2")), "{found:?}");
        }
    }

    #[test]
    fn diagnostics_are_bounded() {
        let items = json!({ "items": { "type": "string" } });
        assert_eq!(wrong(items, json!(vec![1; 1_000])).len(), MAX_DIAGNOSTICS);
        let long = json!({ "properties": { "a": { "const": "x".repeat(5_000) } } });
        assert!(wrong(long, json!({ "a": 1 })).iter().all(|(_, message)| message.len() <= MAX_MESSAGE_BYTES));
    }

    #[test]
    fn a_schema_that_cannot_be_used_says_so() {
        for schema in [
            json!(3),
            json!({ "type": "strin" }),
            json!({ "pattern": "(" }),
            json!({ "$schema": "https://example.org/schema" }),
            json!({ "$ref": "https://example.org/schema" }),
            json!({ "$ref": "file:///etc/passwd" }),
            json!({ "$ref": "#/$defs/missing" }),
        ] {
            let found = wrong(schema.clone(), json!("x"));
            assert_eq!(found.len(), 1, "{schema}: {found:?}");
            assert!(found[0].1.contains("schema"), "{schema}: {found:?}");
            assert!(check_schema(&schema).is_err(), "{schema}");
        }
        assert_eq!(check_schema(&object()), Ok(()));
    }

    /// Without a bound on the work this takes the age of the universe.
    #[test]
    fn a_schema_that_would_take_for_ever_is_refused() {
        let mut defs = serde_json::Map::new();
        for index in 0..100 {
            let next = json!({ "$ref": format!("#/$defs/d{}", index + 1) });
            defs.insert(format!("d{index}"), json!({ "anyOf": [next, next] }));
        }
        defs.insert("d100".to_owned(), json!({ "type": "string" }));
        let found = wrong(json!({ "$ref": "#/$defs/d0", "$defs": defs }), json!(1));
        assert!(found.len() == 1 && found[0].1.contains("schema"), "{found:?}");
        let backtracking = json!({ "pattern": "^(a+)+$" });
        assert_eq!(wrong(backtracking, json!(format!("{}b", "a".repeat(1_000)))).len(), 1);
    }
}
