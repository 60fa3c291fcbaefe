//! Owns how much there is to compare: a schema of a few lines can ask for more than any machine can do.

use serde_json::Value;

/// Comparisons of one part of the schema with one part of the settings, at most.
const MAX_COMPARISONS: usize = 200_000;
/// How deep references and parts may be nested. Settings have at most 128 levels.
const MAX_DEPTH: usize = 256;

/// Keywords whose value is one schema for the same part of the settings.
const SAME: [&str; 4] = ["not", "if", "then", "else"];
/// Keywords whose value is a list of schemas for the same part of the settings.
const SAME_EACH: [&str; 3] = ["allOf", "anyOf", "oneOf"];
/// Keywords whose value is one schema for every member or item.
const BELOW: [&str; 8] = [
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "items",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "contentSchema",
];
/// Keywords that hold schemas by name, of which a member may fit any.
const NAMED_BELOW: [&str; 1] = ["patternProperties"];
/// Keywords that hold schemas by name, for the same part.
const NAMED_SAME: [&str; 2] = ["dependentSchemas", "dependencies"];
/// Keywords by which a schema reaches somewhere that cannot be counted from here.
const FOREIGN: [&str; 4] = ["$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$recursiveAnchor"];

/// Whether every reference stays within the schema, as a JSON pointer.
///
/// # Errors
/// A sentence that names the reference.
pub(super) fn references(schema: &Value) -> Result<(), String> {
    below(schema, true, schema, 0)
}

fn below(schema: &Value, is_root: bool, part: &Value, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    match part {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get("$ref") {
                find(schema, target)?;
            }
            // Another identifier would give `#` another meaning; as a name of a setting it is an object.
            let renamed = !is_root && members.get("$id").is_some_and(Value::is_string);
            let foreign = FOREIGN.iter().find(|keyword| members.get(**keyword).is_some_and(|value| !value.is_object()));
            if let Some(keyword) = foreign.copied().or(renamed.then_some("$id")) {
                return Err(format!("the plugin's schema cannot be used: `{keyword}` is not supported"));
            }
            members.values().try_for_each(|member| below(schema, false, member, depth + 1))
        }
        Value::Array(items) => items.iter().try_for_each(|item| below(schema, false, item, depth + 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn find<'a>(schema: &'a Value, target: &str) -> Result<&'a Value, String> {
    target.strip_prefix('#').and_then(|pointer| schema.pointer(pointer)).ok_or_else(|| {
        let target: String = target.chars().take(200).collect();
        format!("the plugin's schema cannot be used: `{target}` does not lead to a part of it (`#/…`)")
    })
}

fn too_deep() -> String {
    format!("the plugin's schema cannot be used: it is nested more than {MAX_DEPTH} levels deep")
}

/// Whether the settings can be compared with the schema in bounded time.
///
/// # Errors
/// A sentence that says why not.
pub(super) fn admit(schema: &Value, settings: &Value) -> Result<(), String> {
    Walk { schema, left: MAX_COMPARISONS }.visit(schema, settings, 0)
}

/// Goes wherever a validator could go, which may stop earlier.
struct Walk<'a> {
    schema: &'a Value,
    left: usize,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, part: &'a Value, settings: &Value, depth: usize) -> Result<(), String> {
        let too_much = "comparing the settings with the plugin's schema would take too long: both are too large";
        self.left = self.left.checked_sub(1).ok_or(too_much)?;
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        let Value::Object(keywords) = part else { return Ok(()) };
        if let Some(Value::String(target)) = keywords.get("$ref") {
            self.visit(find(self.schema, target)?, settings, depth + 1)?;
        }
        let single = SAME.iter().filter_map(|keyword| keywords.get(*keyword));
        let each = SAME_EACH.iter().filter_map(|keyword| keywords.get(*keyword)?.as_array()).flatten();
        let named = NAMED_SAME.iter().filter_map(|keyword| keywords.get(*keyword)?.as_object());
        for same in single.chain(each).chain(named.flat_map(serde_json::Map::values)) {
            self.visit(same, settings, depth + 1)?;
        }
        let single = BELOW.iter().filter_map(|keyword| keywords.get(*keyword));
        let named = NAMED_BELOW.iter().filter_map(|keyword| keywords.get(*keyword)?.as_object());
        for every in single.chain(named.flat_map(serde_json::Map::values)) {
            self.visit_each(every, settings, depth + 1)?;
        }
        if let (Some(Value::Object(named)), Value::Object(members)) = (keywords.get("properties"), settings) {
            for (name, member) in members {
                if let Some(part) = named.get(name) {
                    self.visit(part, member, depth + 1)?;
                }
            }
        }
        // Older drafts have a list in `items`; it stands beside the settings' items, as `prefixItems`.
        for keyword in ["prefixItems", "items"] {
            if let (Some(Value::Array(parts)), Value::Array(items)) = (keywords.get(keyword), settings) {
                for (part, item) in parts.iter().zip(items) {
                    self.visit(part, item, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn visit_each(&mut self, part: &'a Value, settings: &Value, depth: usize) -> Result<(), String> {
        match settings {
            Value::Object(members) => members.values().try_for_each(|member| self.visit(part, member, depth)),
            Value::Array(items) => items.iter().try_for_each(|item| self.visit(part, item, depth)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_stay_inside() {
        let fine = json!({ "$id": "x", "$ref": "#/$defs/a~1b", "$defs": { "a/b": { "properties": { "$id": {} } } } });
        assert_eq!(references(&fine), Ok(()));
        for wrong in [
            json!({ "items": { "$ref": "other.json" } }),
            json!({ "items": { "$ref": "#anchor" } }),
            json!({ "items": { "$id": "inner" } }),
            json!({ "items": { "$dynamicRef": "#x" } }),
        ] {
            assert!(references(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_circle_is_too_deep_and_a_tree_is_not() {
        let circle = json!({ "allOf": [{ "$ref": "#" }] });
        assert!(admit(&circle, &json!(1)).is_err());
        let tree = json!({ "properties": { "below": { "items": { "$ref": "#" } } } });
        let mut settings = json!({});
        for _ in 0..50 {
            settings = json!({ "below": [settings] });
        }
        assert_eq!(admit(&tree, &settings), Ok(()));
    }

    #[test]
    fn width_times_width_counts() {
        let alternatives: Vec<Value> = (0..1_000).map(|index| json!({ "const": index })).collect();
        let schema = json!({ "items": { "anyOf": alternatives } });
        assert_eq!(admit(&schema, &json!(vec![1; 100])), Ok(()));
        assert!(admit(&schema, &json!(vec![1; 1_000])).is_err());
    }
}
