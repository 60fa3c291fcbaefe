//! Owns what the OpenAPI document says of values beyond what poem-openapi derives: what may be null or left out.

use serde_json::{Map, Value, json};

use super::limits;

/// What answers hold in full, and requests only as far as it differs from its defaults.
const PLAN: &str = "Plan";
const PLAN_REQUEST: &str = "PlanRequest";

/// Completes every schema.
pub(super) fn complete(document: &mut Value) {
    ask_for_less(document);
    for parameter in super::operations(document).flat_map(|(_, operation)| parameters(operation)) {
        limits::bound(&mut parameter["schema"]);
    }
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    for schema in schemas.into_iter().flat_map(Map::values_mut) {
        allow_null(schema);
        simplify(schema);
        limits::bound(schema);
    }
    limits::add_to(document);
    whole_numbers(document);
}

pub(super) fn parameters(operation: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten()
}

/// A plan as it is asked for: a schema of its own, because an answer leaves nothing out.
fn ask_for_less(document: &mut Value) {
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else { return };
    let Some(mut plan) = schemas.get(PLAN).cloned() else { return };
    plan["title"] = PLAN_REQUEST.into();
    let properties = plan["properties"].clone();
    let still = |name: &&Value| name.as_str().is_none_or(|name| properties[name].get("default").is_none());
    let required: Vec<Value> = plan["required"].as_array().into_iter().flatten().filter(still).cloned().collect();
    if let Some(plan) = plan.as_object_mut() {
        // OpenAPI has no empty list of what is required.
        plan.remove("required");
        plan.extend((!required.is_empty()).then(|| ("required".to_owned(), required.into())));
    }
    schemas.insert(PLAN_REQUEST.to_owned(), plan);
    if let Some(request) = schemas.get_mut("DeploymentRequest") {
        let plan = &mut request["properties"]["plan"]["allOf"][0];
        *plan = json!({ "$ref": format!("#/components/schemas/{PLAN_REQUEST}") });
    }
}

/// What need not be there may be `null`, in answers and in requests; poem-openapi does not say so.
fn allow_null(schema: &mut Value) {
    let required: Vec<String> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (_, property) in properties.iter_mut().filter(|(name, _)| !required.contains(name)) {
        if let Some(property) = property.as_object_mut() {
            property.insert("nullable".to_owned(), true.into());
        }
    }
}

/// What generators stumble over: a reference beside a description as two schemas (the description stands beside
/// both as well), and defaults that are no plain values.
fn simplify(schema: &mut Value) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for property in properties.values_mut().filter_map(Value::as_object_mut) {
        if let Some(parts) = property.get_mut("allOf").and_then(Value::as_array_mut) {
            let default = parts.iter().find_map(|part| part.get("default")).cloned();
            parts.retain(|part| part.get("$ref").is_some());
            if let Some(default) = default {
                property.insert("default".to_owned(), default);
            }
        }
        if property.get("default").is_some_and(|default| default.is_object() || default.is_null()) {
            property.remove("default");
        }
    }
}

/// Limits of integers are integers: poem-openapi keeps them as floating-point numbers.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Number(number) if number.is_f64() => {
            let whole = number.to_string().strip_suffix(".0").and_then(|digits| digits.parse::<i64>().ok());
            if let Some(whole) = whole {
                *value = whole.into();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_described_reference_is_one_schema() {
        let kind = json!({ "allOf": [{ "$ref": "#/a" }, { "description": "b", "default": "c" }], "description": "b" });
        let mut schema = json!({ "properties": { "kind": kind, "facts": { "type": "object", "default": {} } } });
        simplify(&mut schema);
        let kind = json!({ "allOf": [{ "$ref": "#/a" }], "description": "b", "default": "c" });
        assert_eq!(schema, json!({ "properties": { "kind": kind, "facts": { "type": "object" } } }));
    }

    #[test]
    fn what_need_not_be_there_may_be_null() {
        let mut schema =
            json!({ "required": ["a"], "properties": { "a": { "type": "string" }, "b": { "type": "string" } } });
        allow_null(&mut schema);
        assert_eq!(schema["properties"]["b"], json!({ "type": "string", "nullable": true }));
        assert_eq!(schema["properties"]["a"], json!({ "type": "string" }));
    }

    #[test]
    fn a_plan_is_asked_for_by_what_is_different() {
        let plan = json!({ "required": ["a", "b"], "properties": { "a": { "default": 1 }, "b": {} } });
        let request = json!({ "properties": { "plan": { "allOf": [{ "$ref": "#/components/schemas/Plan" }] } } });
        let mut document = json!({ "components": { "schemas": { "Plan": plan, "DeploymentRequest": request } } });
        ask_for_less(&mut document);
        let schemas = &document["components"]["schemas"];
        assert_eq!(
            (&schemas["Plan"]["required"], &schemas["PlanRequest"]["required"]),
            (&json!(["a", "b"]), &json!(["b"]))
        );
        let asked = &schemas["DeploymentRequest"]["properties"]["plan"]["allOf"][0]["$ref"];
        assert_eq!(asked, "#/components/schemas/PlanRequest");
    }

    #[test]
    fn a_whole_number_is_written_as_one() {
        let mut value = json!([{ "maximum": 1439.0 }, 0.9, 7]);
        whole_numbers(&mut value);
        assert_eq!(value.to_string(), r#"[{"maximum":1439},0.9,7]"#);
    }
}
