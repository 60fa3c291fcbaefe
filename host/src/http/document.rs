//! Owns the OpenAPI document as it is served: what poem-openapi derives, and what holds for many operations at once.

use serde_json::{Map, Value, json};

use super::documented;
use super::idempotency::MAX_KEY_BYTES;

/// Operations that make something, whose documentation names the header. It works for every POST.
const CREATING: [&str; 10] = [
    "register_user",
    "create_user",
    "invite_user",
    "create_api_key",
    "enrol_device",
    "preauthorize_device",
    "rollback_device",
    "rollback_device_config",
    "upload_bundle",
    "create_deployment",
];

/// Areas in the order in which a newcomer needs them; others come after.
const TAGS: [&str; 12] = [
    "Auth",
    "Users",
    "API keys",
    "Devices",
    "Device",
    "Bundles",
    "Configs",
    "Deployments",
    "Policies",
    "Decisions",
    "Audit",
    "Operating",
];

/// The document with what every creating operation takes, and with what may be `null`.
#[must_use]
pub(super) fn complete(derived: &str) -> String {
    // Our own text: were it no JSON, it is served as it is.
    let Ok(mut document) = serde_json::from_str::<Value>(derived) else { return derived.to_owned() };
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    let methods = paths.into_iter().flat_map(|paths| paths.values_mut()).filter_map(Value::as_object_mut);
    for operation in methods.flat_map(|methods| methods.values_mut()).filter_map(Value::as_object_mut) {
        complete_operation(operation);
    }
    documented::describe(&mut document);
    if let Some(tags) = document.get_mut("tags").and_then(Value::as_array_mut) {
        let place = |tag: &Value| TAGS.iter().position(|name| tag["name"] == *name).unwrap_or(TAGS.len());
        tags.sort_by_key(place);
    }
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    for schema in schemas.into_iter().flat_map(|schemas| schemas.values_mut()) {
        allow_null(schema);
        simplify(schema);
    }
    serde_json::to_string_pretty(&document).unwrap_or_else(|_| derived.to_owned())
}

fn complete_operation(operation: &mut Map<String, Value>) {
    // Its own tag alone, not its group's as well: generators would make the operation twice.
    if let Some(tags) = operation.get_mut("tags").and_then(Value::as_array_mut)
        && tags.len() > 1
    {
        tags.drain(..tags.len() - 1);
    }
    let creating = operation.get("operationId").and_then(Value::as_str).is_some_and(|id| CREATING.contains(&id));
    if creating && let Some(parameters) = operation.entry("parameters").or_insert_with(|| json!([])).as_array_mut() {
        parameters.push(idempotency_key());
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

fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "schema": { "type": "string", "minLength": 1, "maxLength": MAX_KEY_BYTES },
        "description": "The same key with the same request is answered as the first time, for 24 hours, and not done \
                        again; with another request it is refused with 409. An answer that held a secret is not given \
                        again.",
    })
}

#[cfg(test)]
mod tests {
    use super::super::idempotency::IDEMPOTENCY_KEY;
    use super::*;

    #[test]
    fn creating_operations_take_the_key_and_others_do_not() {
        let derived = json!({ "paths": { "/a": {
            "post": { "operationId": "create_deployment" }, "get": { "operationId": "list_deployments" } },
            "/b": { "post": { "operationId": "login", "parameters": [], "tags": ["Group", "Own"] } } } });
        let document: Value = serde_json::from_str(&complete(&derived.to_string())).expect("JSON");
        let parameter = &document["paths"]["/a"]["post"]["parameters"][0];
        assert!(parameter["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(IDEMPOTENCY_KEY.as_str())));
        assert!(document["paths"]["/a"]["get"].get("parameters").is_none());
        assert_eq!(document["paths"]["/b"]["post"]["parameters"], json!([]));
        assert_eq!(document["paths"]["/b"]["post"]["tags"], json!(["Own"]));
    }

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
}
