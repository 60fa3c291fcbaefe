//! Owns the examples of the OpenAPI document: one story of a fleet of gateways, told by every request and answer.

use serde_json::{Map, Value, json};

use super::operations;

/// What the story is told with: a value for each schema, the fields that differ in some operations, bodies that are
/// no JSON, and a problem for each status.
const STORY: &str = include_str!("examples.json");
/// Where lists are: `{"items": [...], "next": ...}` around what they list.
const LISTING: &str = "Listing_";

/// The examples, by what they are for.
pub(super) struct Examples(Value);

impl Examples {
    /// Ours; without any, were our own text no JSON.
    pub(super) fn read() -> Self {
        Self(serde_json::from_str(STORY).unwrap_or_default())
    }

    /// A problem document of this status.
    pub(super) fn problem(&self, status: &str) -> Value {
        self.0["problems"][status].clone()
    }

    fn of_schema(&self, name: &str) -> Option<Value> {
        let known = self.0["schemas"].get(name).cloned();
        known.or_else(|| Some(json!({ "items": [self.of_schema(name.strip_prefix(LISTING)?)?], "next": null })))
    }

    /// What stands for a body of `media` in an operation: its request, or its answer of some status.
    fn of_body(&self, operation: &str, part: &str, media: &Value) -> Option<Value> {
        let Some(name) = media["schema"]["$ref"].as_str().and_then(|path| path.rsplit('/').next()) else {
            return self.0["texts"].get(operation).cloned();
        };
        let mut example = self.of_schema(name)?;
        let different = self.0["operations"][operation][part].as_object().cloned().unwrap_or_default();
        if let Some(fields) = example.as_object_mut() {
            fields.extend(different);
        }
        Some(example)
    }

    /// Gives every body of every operation its example.
    pub(super) fn add_to(&self, document: &mut Value) {
        for (_, operation) in operations(document) {
            let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
            if let Some(request) = operation.get_mut("requestBody") {
                self.add_to_content(request, &id, "request");
            }
            let answers = operation.get_mut("responses").and_then(Value::as_object_mut);
            for (status, answer) in answers.into_iter().flatten() {
                self.add_to_content(answer, &id, status);
            }
        }
    }

    fn add_to_content(&self, body: &mut Value, operation: &str, part: &str) {
        let content = body.get_mut("content").and_then(Value::as_object_mut);
        for media in content.into_iter().flat_map(Map::values_mut) {
            if let Some(example) = self.of_body(operation, part, media) {
                media["example"] = example;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_tells_what_is_different() {
        let examples = Examples(json!({
            "schemas": { "Device": { "id": "dev_1", "status": "active" } },
            "operations": { "block_device": { "200": { "status": "blocked" } } },
            "texts": { "download": "abc" },
        }));
        let of = |operation: &str, schema: &str| {
            let media = json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") } });
            examples.of_body(operation, "200", &media)
        };
        assert_eq!(of("get_device", "Device"), Some(json!({ "id": "dev_1", "status": "active" })));
        assert_eq!(of("block_device", "Device"), Some(json!({ "id": "dev_1", "status": "blocked" })));
        let listed = json!({ "items": [{ "id": "dev_1", "status": "active" }], "next": null });
        assert_eq!(of("list_devices", "Listing_Device"), Some(listed));
        assert_eq!((of("get_device", "User"), of("list_users", "Listing_User")), (None, None));
        assert_eq!(examples.of_body("download", "200", &json!({ "schema": { "type": "string" } })), Some("abc".into()));
    }
}
