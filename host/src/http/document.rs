//! Owns the OpenAPI document as it is served: what poem-openapi derives, and what holds for many operations at once.

use serde_json::{Value, json};

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

/// The document with what every creating operation takes, and with what may be `null`.
#[must_use]
pub(super) fn complete(derived: &str) -> String {
    // Our own text: were it no JSON, it is served as it is.
    let Ok(mut document) = serde_json::from_str::<Value>(derived) else { return derived.to_owned() };
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for operation in paths.into_iter().flat_map(|paths| paths.values_mut()).filter_map(|path| path.get_mut("post")) {
        let creating = operation["operationId"].as_str().is_some_and(|id| CREATING.contains(&id));
        if let Some(operation) = operation.as_object_mut().filter(|_| creating) {
            let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
            if let Some(parameters) = parameters.as_array_mut() {
                parameters.push(idempotency_key());
            }
        }
    }
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    for schema in schemas.into_iter().flat_map(|schemas| schemas.values_mut()) {
        allow_null(schema);
    }
    serde_json::to_string_pretty(&document).unwrap_or_else(|_| derived.to_owned())
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
            "/b": { "post": { "operationId": "login", "parameters": [] } } } });
        let document: Value = serde_json::from_str(&complete(&derived.to_string())).expect("JSON");
        let parameter = &document["paths"]["/a"]["post"]["parameters"][0];
        assert!(parameter["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(IDEMPOTENCY_KEY.as_str())));
        assert!(document["paths"]["/a"]["get"].get("parameters").is_none());
        assert_eq!(document["paths"]["/b"]["post"]["parameters"], json!([]));
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
