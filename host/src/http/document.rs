//! Owns the OpenAPI document as it is served: what poem-openapi derives, and what holds for many operations at once.

mod answers;
#[cfg(test)]
mod checks;
mod examples;
mod limits;
mod links;
mod reads;
mod schemas;
mod security;

use serde_json::{Map, Value, json};

use self::examples::Examples;
use super::envelope::MAX_HEADER_BYTES;
use super::idempotency::MAX_KEY_BYTES;

/// Operations that make something, whose documentation names the header. It works for every POST.
const CREATING: [&str; 12] = [
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
    "upload_plugin",
    "replay_policy",
];

/// Operations that send content, whole or in part.
const SENDING: [&str; 2] = ["download_bundle", "download_bundle_as_device"];

/// Headers that say which part of the content is wanted, and whether any (RFC 9110).
const WANTED: [(&str, &str); 4] = [
    ("Range", "Which bytes, such as `bytes=0-1023`; one range at a time. Without it all of them."),
    ("If-Range", "The `ETag` of the content of which a part is there: of other content the whole is sent."),
    ("If-None-Match", "The `ETag` of content that is there: it is not sent again (304)."),
    ("If-Match", "The `ETag` of the content that is wanted: no other is sent (412)."),
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

/// Parameters that many operations have, and what they are.
const PARAMETERS: [(&str, &str); 6] = [
    ("limit", "How many items at most."),
    ("cursor", "`next` of the page before; absent for the first page."),
    ("id", "Its identifier."),
    ("name", "Its name."),
    ("digest", "SHA-256 of the component."),
    ("If-Match", "The `ETag` that was read."),
];
/// Optional for the framework alone where something is edited: without it an edit is refused (428), which the document
/// tells by calling it required.
const IF_MATCH: &str = "If-Match";
const EDIT: &str = "patch";

/// What an answer is called that has no other name.
const DONE: &str = "Done.";

/// The document with all that no type and no handler tells.
#[must_use]
pub(super) fn complete(derived: &str) -> String {
    // Our own text: were it no JSON, it is served as it is.
    let Ok(mut document) = serde_json::from_str::<Value>(derived) else { return derived.to_owned() };
    let examples = Examples::read();
    for (method, operation) in operations(&mut document) {
        complete_operation(method, operation);
    }
    reads::describe(&mut document);
    if let Some(tags) = document.get_mut("tags").and_then(Value::as_array_mut) {
        let place = |tag: &Value| TAGS.iter().position(|name| tag["name"] == *name).unwrap_or(TAGS.len());
        tags.sort_by_key(place);
    }
    schemas::complete(&mut document);
    describe_answers(&mut document);
    links::describe(&mut document);
    document["components"]["responses"] = answers::problems(&examples);
    document["components"]["securitySchemes"] = security::schemes();
    examples.add_to(&mut document);
    serde_json::to_string_pretty(&document).unwrap_or_else(|_| derived.to_owned())
}

/// Every operation with its method.
fn operations(document: &mut Value) -> impl Iterator<Item = (&str, &mut Map<String, Value>)> {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    let methods = paths.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut);
    methods.flatten().filter_map(|(method, operation)| Some((method.as_str(), operation.as_object_mut()?)))
}

fn complete_operation(method: &str, operation: &mut Map<String, Value>) {
    // Its own tag alone, not its group's as well: generators would make the operation twice.
    if let Some(tags) = operation.get_mut("tags").and_then(Value::as_array_mut)
        && tags.len() > 1
    {
        tags.drain(..tags.len() - 1);
    }
    schemas::parameters(operation).for_each(|parameter| complete_parameter(method, parameter));
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
    let (creates, sends) = (CREATING.contains(&id), SENDING.contains(&id));
    if (creates || sends)
        && let Some(parameters) = operation.entry("parameters").or_insert_with(|| json!([])).as_array_mut()
    {
        parameters.extend(creates.then(idempotency_key));
        parameters.extend(WANTED.into_iter().filter(|_| sends).map(|(name, description)| header(name, description)));
    }
    security::name_credentials(operation);
    answers::name_problems(method, operation);
}

fn complete_parameter(method: &str, parameter: &mut Value) {
    if method == EDIT && parameter["name"] == IF_MATCH {
        parameter["required"] = true.into();
    }
    let demanded = parameter["required"] == true;
    // The documentation's page fills examples in: a filter that nobody asked for would be sent.
    if !demanded && let Some(schema) = parameter["schema"].as_object_mut() {
        schema.remove("example");
    }
    let known = PARAMETERS.iter().find(|(name, _)| parameter["name"] == *name);
    if let Some((_, description)) = known.filter(|_| parameter.get("description").is_none()) {
        parameter["description"] = (*description).into();
    }
}

/// Names answers by what they hold, and their headers as others write them.
fn describe_answers(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    for (_, operation) in operations(document) {
        let answers = operation.get_mut("responses").and_then(Value::as_object_mut);
        for answer in answers.into_iter().flat_map(Map::values_mut) {
            let reference = answer["content"]["application/json"]["schema"]["$ref"].as_str();
            let schema = reference.and_then(|path| schemas.get(path.rsplit('/').next()?));
            if let Some(description) = schema.and_then(|schema| schema.get("description"))
                && answer["description"] == DONE
            {
                answer["description"] = description.clone();
            }
            let Some(headers) = answer.get_mut("headers").and_then(Value::as_object_mut) else { continue };
            *headers = std::mem::take(headers).into_iter().map(|(name, header)| (as_written(&name), header)).collect();
        }
    }
}

/// `CACHE-CONTROL` -> `Cache-Control`.
fn as_written(header: &str) -> String {
    if header.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return header.to_owned();
    }
    let capitalized = |word: &str| {
        let mut word = word.to_ascii_lowercase();
        if let Some(first) = word.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        word
    };
    header.split('-').map(capitalized).collect::<Vec<_>>().join("-")
}

fn header(name: &str, description: &str) -> Value {
    let schema = json!({ "type": "string", "maxLength": MAX_HEADER_BYTES });
    json!({ "name": name, "in": "header", "required": false, "schema": schema, "description": description })
}

fn idempotency_key() -> Value {
    let mut key = header(
        "Idempotency-Key",
        "The same key with the same request is answered as the first time, for 24 hours, and not done again; with \
         another request it is refused with 409. An answer that held a secret or was very long is not given again. An \
         upload needs `Repr-Digest` beside it.",
    );
    key["schema"] =
        json!({ "type": "string", "minLength": 1, "maxLength": MAX_KEY_BYTES, "pattern": r"^[\x20-\x7e]+$" });
    key
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
    fn an_edit_requires_if_match_and_a_step_takes_it() {
        let if_match =
            || json!({ "name": "If-Match", "in": "header", "required": false, "schema": { "example": "a" } });
        let completed = |method: &str| {
            let mut parameter = if_match();
            complete_parameter(method, &mut parameter);
            (parameter["required"].clone(), parameter["schema"].get("example").cloned())
        };
        assert_eq!(completed("patch"), (json!(true), Some(json!("a"))));
        assert_eq!(completed("post"), (json!(false), None));
    }
}
