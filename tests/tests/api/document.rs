//! Owns the OpenAPI document: that the one which is checked in is the one which is served, and what would break clients.

use std::collections::BTreeSet;

use kernex_tests::harness::{TestServer, run};
use reqwest::Method;
use serde_json::{Map, Value, json};

/// The document that clients are generated from.
const CHECKED_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Names of the schemas that requests refer to, through others too.
fn sent_schemas(document: &Value) -> BTreeSet<String> {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(name) = fields.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next())
                {
                    found.push(name.to_owned());
                }
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let mut waiting = Vec::new();
    for path in object(&document["paths"]).values() {
        for operation in object(path).values() {
            references(&operation["requestBody"], &mut waiting);
        }
    }
    let mut found = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        if found.insert(name.clone()) {
            references(&document["components"]["schemas"][&name], &mut waiting);
        }
    }
    found
}

/// What a client of `before` would stumble over in `after`.
fn breaking(before: &Value, after: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    for (path, methods) in object(&before["paths"]) {
        for (method, operation) in object(&methods) {
            let now = &after["paths"][&path][&method];
            let call = format!("{} {path}", method.to_uppercase());
            if now.is_null() {
                broken.push(format!("{call} is gone"));
                continue;
            }
            if now["operationId"] != operation["operationId"] {
                broken.push(format!("{call} is called {} instead of {}", now["operationId"], operation["operationId"]));
            }
            let answers = |operation: &Value| object(&operation["responses"]).keys().cloned().collect::<BTreeSet<_>>();
            for code in answers(&operation).difference(&answers(now)) {
                broken.push(format!("{call} no longer answers {code}"));
            }
            let known: BTreeSet<_> =
                operation["parameters"].as_array().into_iter().flatten().map(|one| one["name"].to_string()).collect();
            for parameter in now["parameters"].as_array().into_iter().flatten() {
                if parameter["required"] == true && !known.contains(&parameter["name"].to_string()) {
                    broken.push(format!("{call} newly requires {}", parameter["name"]));
                }
            }
        }
    }
    let sent = sent_schemas(before);
    for (name, schema) in object(&before["components"]["schemas"]) {
        let now = &after["components"]["schemas"][&name];
        for (field, was) in object(&schema["properties"]) {
            let is = &now["properties"][&field];
            let kind = |field: &Value| ["type", "$ref", "format"].map(|key| field[key].clone());
            if is.is_null() {
                broken.push(format!("{name}.{field} is gone"));
            } else if kind(&was) != kind(is) {
                broken.push(format!("{name}.{field} has another type"));
            }
        }
        for value in texts(&schema["enum"]).difference(&texts(&now["enum"])) {
            broken.push(format!("{name} is never {value} any more"));
        }
        if sent.contains(&name) {
            for field in texts(&now["required"]).difference(&texts(&schema["required"])) {
                broken.push(format!("{name}.{field} is newly required"));
            }
        }
    }
    broken
}

#[test]
fn the_checked_in_document_is_the_served_one() {
    run(async {
        let server = TestServer::start().await;
        let served = server.anonymous().root(Method::GET, "/openapi.json").await.expect(200);
        let text = std::fs::read_to_string(CHECKED_IN).expect("docs/openapi.json is checked in");
        let checked_in: Value = serde_json::from_str(&text).expect("JSON");
        let broken = breaking(&checked_in, served.json());
        assert!(broken.is_empty(), "clients would break (if they must: `make openapi`): {broken:#?}");
        assert!(checked_in == *served.json(), "docs/openapi.json has fallen behind, compatibly: `make openapi`");
    });
}

#[test]
fn times_are_written_as_the_document_says() {
    run(async {
        let server = TestServer::start().await;
        let document = server.anonymous().root(Method::GET, "/openapi.json").await.expect(200);
        let user = server.admin().await.get("/auth/me").await.expect(200);
        let properties = object(&document["components"]["schemas"]["User"]["properties"]);
        let times: Vec<_> = properties.iter().filter(|(_, schema)| schema["format"] == "date-time").collect();
        assert_eq!(times.len(), 2, "{times:?}");
        for (name, _) in times {
            let text = user[name.as_str()].as_str().unwrap_or_default();
            assert!(chrono::DateTime::parse_from_rfc3339(text).is_ok(), "{name}: {text}");
        }
    });
}

#[test]
fn what_would_break_a_client_is_named() {
    let before = json!({
        "paths": { "/a": { "get": { "operationId": "a", "responses": { "200": {}, "404": {} }, "parameters": [] },
            "post": { "operationId": "b", "requestBody": { "schema": { "$ref": "#/components/schemas/Sent" } } } } },
        "components": { "schemas": {
            "Sent": { "properties": { "x": { "type": "string" } }, "required": [] },
            "Got": { "properties": { "y": { "type": "string" }, "z": { "type": "integer" } }, "required": ["y"] },
            "Word": { "enum": ["one", "two"] },
        } },
    });
    assert_eq!(breaking(&before, &before), [""; 0]);
    let mut after = before.clone();
    after["paths"]["/a"]["get"] = json!({ "operationId": "c", "responses": { "200": {} },
        "parameters": [{ "name": "q", "required": true }] });
    after["components"]["schemas"]["Sent"]["required"] = json!(["x"]);
    after["components"]["schemas"]["Got"] =
        json!({ "properties": { "y": { "type": "integer" }, "new": {} }, "required": ["y", "new"] });
    after["components"]["schemas"]["Word"]["enum"] = json!(["one", "three"]);
    let broken = breaking(&before, &after);
    for named in [
        "called \"c\"",
        "no longer answers 404",
        "newly requires \"q\"",
        "Sent.x is newly required",
        "Got.z is gone",
        "Got.y has another type",
        "Word is never two",
    ] {
        assert!(broken.iter().any(|line| line.contains(named)), "{named}: {broken:#?}");
    }
    assert_eq!(broken.len(), 7, "what is new in answers breaks nobody: {broken:#?}");
    after["paths"] = json!({});
    assert!(breaking(&before, &after).iter().any(|line| line == "POST /a is gone"));
}
