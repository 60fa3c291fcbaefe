//! Owns what every operation of the document must have: words, examples that fit, limits on all that goes either way.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::operations;

/// The document as it is checked in; another test compares it with the one that is served.
pub(super) fn checked_in() -> Value {
    serde_json::from_str(include_str!("../../../../docs/openapi.json")).expect("docs/openapi.json is JSON")
}

/// A schema as JSON Schema knows it: with its own word for null, and strict about fields that nobody declared.
fn adapt(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(adapt);
            // An example is data; it would be taken for a schema.
            fields.remove("example");
            if fields.get("properties").is_some_and(Value::is_object) {
                fields.entry("additionalProperties").or_insert(false.into());
            }
            if fields.remove("nullable") == Some(true.into()) {
                let schema = std::mem::take(fields);
                fields.insert("anyOf".to_owned(), json!([schema, { "type": "null" }]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(adapt),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What checks values against `schema`, which refers to the components of the document.
fn validator(components: &Value, schema: &Value) -> Validator {
    let mut schema = schema.clone();
    adapt(&mut schema);
    let whole = json!({ "allOf": [schema], "components": components });
    jsonschema::options().should_validate_formats(true).build(&whole).expect("a schema")
}

fn components(document: &Value) -> Value {
    let mut schemas = document["components"]["schemas"].clone();
    adapt(&mut schemas);
    json!({ "schemas": schemas })
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text<'a>(operation: &'a Map<String, Value>, name: &str) -> &'a str {
    operation.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Every body of the document with its place: requests, good answers, and problems.
fn bodies(document: &mut Value) -> Vec<(String, Value)> {
    let mut bodies = Vec::new();
    let shared = document["components"]["responses"].clone();
    let mut add = |place: &str, body: &Value| {
        bodies.extend(entries(&body["content"]).map(|(kind, media)| (format!("{place} {kind}"), media.clone())));
    };
    for (_, operation) in operations(document) {
        let id = text(operation, "operationId").to_owned();
        add(&format!("{id} request"), operation.get("requestBody").unwrap_or(&Value::Null));
        for (status, answer) in operation.get("responses").into_iter().flat_map(entries) {
            let named = answer["$ref"].as_str().and_then(|path| shared.get(path.rsplit('/').next()?));
            add(&format!("{id} {status}"), named.unwrap_or(answer));
        }
    }
    bodies
}

#[test]
fn every_body_has_an_example_that_fits_its_schema() {
    let mut document = checked_in();
    let components = components(&document);
    let bodies = bodies(&mut document);
    assert!(bodies.len() > 300, "only {} bodies", bodies.len());
    let mut wrong = Vec::new();
    let mut validators = BTreeMap::new();
    for (place, media) in bodies {
        let Some(example) = media.get("example") else {
            wrong.push(format!("{place}: no example in examples.json"));
            continue;
        };
        let schema = media["schema"].clone();
        let validator = validators.entry(schema.to_string()).or_insert_with(|| validator(&components, &schema));
        wrong.extend(validator.iter_errors(example).map(|error| format!("{place}{}: {error}", error.instance_path())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_example_that_does_not_fit_is_found() {
    let document = checked_in();
    let components = components(&document);
    let fits = |name: &str, value: Value| {
        let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
        validator(&components, &schema).is_valid(&value)
    };
    assert!(fits("ApiKeyRequest", json!({ "name": "ci", "roles": [], "expires_at": null })));
    for wrong in [
        json!({ "name": "ci" }),
        json!({ "name": null, "roles": [] }),
        json!({ "name": "ci", "roles": [], "expires_at": "tomorrow" }),
        json!({ "name": "ci", "roles": [], "colour": "red" }),
        json!({ "name": "ci", "roles": ["Not a role"] }),
    ] {
        assert!(!fits("ApiKeyRequest", wrong.clone()), "{wrong}");
    }
}

#[test]
fn the_examples_are_one_story() {
    let mut document = checked_in();
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let id = regex::Regex::new("(dev|bun|ses|key|req)_[0-9A-Z]{26}").expect("a pattern");
    let story = bodies(&mut document).into_iter().map(|(_, media)| media["example"].to_string()).collect::<String>();
    for found in id.find_iter(&story) {
        named.entry(found.as_str()[..3].to_owned()).or_default().insert(found.as_str().to_owned());
    }
    // Of each the one, and beside it: a device that is left out, the bundle before, another request.
    let counts: Vec<_> = named.iter().map(|(kind, ids)| (kind.as_str(), ids.len())).collect();
    assert_eq!(counts, [("bun", 2), ("dev", 2), ("key", 1), ("req", 2), ("ses", 1)]);
    // What a path's parameter is filled in with is in the story, too.
    for (_, operation) in operations(&mut document) {
        for parameter in super::schemas::parameters(operation).filter(|parameter| parameter["name"] == "id") {
            let example = parameter["schema"]["example"].as_str().expect("an identifier").to_owned();
            assert!(story.contains(&example), "{example}");
        }
    }
    let uploaded = bodies(&mut document).into_iter().filter(|(place, _)| place.starts_with("upload_bundle"));
    let examples: Vec<Value> = uploaded.map(|(_, media)| media["example"].clone()).collect();
    let content = examples[0].as_str().expect("content").as_bytes();
    assert_eq!(examples[1]["sha256"], kernex_model::digest::Digest::of(content).to_string());
    assert_eq!(examples[1]["size"], content.len());
}

#[test]
fn every_operation_is_told_in_words() {
    let mut document = checked_in();
    let tags: Vec<Value> = document["tags"].as_array().expect("tags").iter().map(|tag| tag["name"].clone()).collect();
    assert_eq!(tags, super::TAGS);
    let headers = document["components"]["headers"].clone();
    let mut wrong = Vec::new();
    for (_, operation) in operations(&mut document) {
        let id = text(operation, "operationId").to_owned();
        let area =
            operation.get("tags").and_then(Value::as_array).is_some_and(|own| own.len() == 1 && tags.contains(&own[0]));
        if text(operation, "summary").is_empty() || text(operation, "description").is_empty() || !area {
            wrong.push(format!("{id}: summary, description and one known tag"));
        }
        for (status, answer) in operation.get("responses").into_iter().flat_map(entries) {
            let named = answer["$ref"].as_str().or(answer["description"].as_str());
            if named.is_none_or(str::is_empty) || (named == Some(super::DONE) && status != "204") {
                wrong.push(format!("{id} {status}: a description"));
            }
            let told = |header: &Value| {
                let named = header["$ref"].as_str().and_then(|path| headers.get(path.rsplit('/').next()?));
                named.unwrap_or(header)["description"].as_str().is_some_and(|text| !text.is_empty())
            };
            let headers = entries(&answer["headers"]).filter(|(_, header)| !told(header));
            wrong.extend(headers.map(|(name, _)| format!("{id} {status} {name}: a description")));
        }
        for parameter in super::schemas::parameters(operation) {
            if parameter["description"].as_str().is_none_or(str::is_empty) {
                wrong.push(format!("{id} {}: a description", parameter["name"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Any JSON at all, within the limit of bodies, of settings, of a plugin's schema, or of what is kept of a decision.
const ANYTHING: [&str; 13] = [
    "AuditRecord.detail",
    "CommandConfig.document",
    "ConfigRequest.document",
    "Decision.facts_read",
    "Decision.input",
    "Decision.output",
    "Deployment.config",
    "DeploymentRequest.config",
    "DeviceConfig.document",
    "Difference.input",
    "Plugin.settings_schema",
    "PolicyRevision.settings",
    "RevisionRequest.settings",
];
/// One for each revision of a policy, which are never taken away.
const GROWING: [&str; 1] = ["PolicyAnswer.quarantined"];

/// Every part of a schema that may be of any length or size.
fn unlimited(place: &str, schema: &Value, found: &mut Vec<String>) {
    let has = |names: &[&str]| names.iter().any(|name| schema.get(*name).is_some());
    let limited = match schema["type"].as_str() {
        Some("string") => has(&["maxLength", "enum", "format"]),
        Some("array") => has(&["maxItems"]),
        Some("integer") => (has(&["minimum"]) && has(&["maximum"])) || schema["format"] == "int64",
        Some("number") => has(&["format"]),
        Some("object") => has(&["properties", "maxProperties"]),
        Some(_) => true,
        None => has(&["$ref", "allOf", "anyOf"]),
    };
    if !limited && !ANYTHING.contains(&place) && !GROWING.contains(&place) {
        found.push(place.to_owned());
    }
    for (name, property) in entries(&schema["properties"]) {
        unlimited(&format!("{place}.{name}"), property, found);
    }
    for name in ["items", "additionalProperties"] {
        if schema[name].is_object() {
            unlimited(&format!("{place}[]"), &schema[name], found);
        }
    }
    for form in schema["anyOf"].as_array().into_iter().flatten() {
        unlimited(place, form, found);
    }
}

#[test]
fn all_that_is_sent_and_answered_has_limits() {
    let mut document = checked_in();
    let schemas = document["components"]["schemas"].clone();
    let mut found = Vec::new();
    for (_, operation) in operations(&mut document) {
        let id = text(operation, "operationId").to_owned();
        for parameter in super::schemas::parameters(operation) {
            unlimited(&format!("{id} {}", parameter["name"]), &parameter["schema"], &mut found);
        }
    }
    entries(&schemas).for_each(|(name, schema)| unlimited(name, schema, &mut found));
    assert!(entries(&schemas).count() > 90, "{schemas:#}");
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn what_has_no_limit_is_found() {
    let schema = json!({ "type": "object", "properties": {
        "a": { "type": "string", "pattern": "^a*$" }, "b": { "type": "array", "items": { "type": "integer", "minimum": 0 } },
        "c": { "type": "object", "additionalProperties": { "anyOf": [{ "type": "number" }] } }, "d": {},
        "e": { "type": "string", "maxLength": 1 },
    } });
    let mut found = Vec::new();
    unlimited("x", &schema, &mut found);
    assert_eq!(found, ["x.a", "x.b", "x.b[]", "x.c", "x.c[]", "x.d"]);
}
