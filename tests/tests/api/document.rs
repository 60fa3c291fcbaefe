//! Owns the OpenAPI document: that the one which is checked in is the one which is served, and what would break a client.

mod breaking;

use kernex_tests::harness::{TestServer, run};
use reqwest::Method;
use serde_json::{Map, Value, json};

use self::breaking::breaking;

/// The document that clients are generated from.
const CHECKED_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
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

/// A document in which each part is as small as it can be.
fn small() -> Value {
    let body = |name: &str| {
        let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
        json!({ "application/json": { "schema": schema } })
    };
    json!({
        "paths": { "/a": {
            "get": { "operationId": "a", "parameters": [
                { "name": "limit", "in": "query", "required": false, "schema": { "type": "integer", "maximum": 9 } },
                { "name": "site", "in": "query", "required": false, "schema": { "type": "string" } },
            ], "responses": {
                "200": { "content": body("Got"), "headers": { "Link": {} } },
                "404": { "$ref": "#/components/responses/NotFound" },
            } },
            "post": { "operationId": "b", "requestBody": { "content": body("Sent") }, "responses": { "204": {} } },
        } },
        "components": {
            "responses": { "NotFound": { "content": body("Problem") } },
            "schemas": {
                "Sent": { "type": "object", "properties": {
                    "x": { "type": "string", "maxLength": 8, "nullable": true },
                    "list": { "type": "array", "maxItems": 4, "items": { "type": "string", "pattern": "^a$" } },
                    "map": { "type": "object", "additionalProperties": { "type": "integer", "minimum": 1 } },
                    "either": { "anyOf": [{ "type": "string" }, { "type": "boolean" }] },
                } },
                "Got": { "type": "object", "required": ["y", "word"], "properties": {
                    "y": { "type": "string" }, "z": { "type": "integer" },
                    "word": { "description": "One.", "allOf": [{ "$ref": "#/components/schemas/Word" }] },
                    "words": { "type": "array", "items": { "$ref": "#/components/schemas/Word" } },
                } },
                "Word": { "type": "string", "enum": ["one", "two"] },
                "Problem": { "type": "object", "properties": { "code": { "type": "string" } } },
            },
        },
    })
}

/// The small document with another value at a place, or without one where it is null.
fn changed(place: &str, value: Value) -> Value {
    let mut document = small();
    let (parent, key) = place.rsplit_once('/').expect("a pointer");
    let key = key.replace("~1", "/");
    let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("{place} is nowhere"));
    match (parent, value) {
        (Value::Object(fields), Value::Null) => drop(fields.remove(&key).expect("it was there")),
        (Value::Object(fields), value) => drop(fields.insert(key, value)),
        (Value::Array(items), Value::Null) => drop(items.remove(key.parse().expect("an index"))),
        (Value::Array(items), value) => items.push(value),
        (other, _) => panic!("{place}: {other}"),
    }
    document
}

const GET: &str = "/paths/~1a/get";
const POST: &str = "/paths/~1a/post";
const SCHEMAS: &str = "/components/schemas";

#[test]
fn what_would_break_a_caller_is_named() {
    for (place, value, named) in [
        (POST.to_owned(), Value::Null, "POST /a is gone"),
        (format!("{GET}/operationId"), json!("c"), "GET /a is called \"c\" instead of \"a\""),
        (format!("{GET}/parameters/1"), Value::Null, "GET /a \"site\" is gone"),
        (format!("{GET}/parameters/0/required"), json!(true), "GET /a newly requires \"limit\""),
        (format!("{GET}/parameters/0/in"), json!("header"), "GET /a \"limit\" is gone"),
        (format!("{GET}/parameters/0/schema/type"), json!("string"), "GET /a \"limit\" has another type"),
        (format!("{GET}/parameters/0/schema/maximum"), json!(8), "GET /a \"limit\" has a tighter maximum"),
        (
            format!("{GET}/parameters/2"),
            json!({ "name": "q", "in": "query", "required": true }),
            "GET /a newly requires \"q\"",
        ),
        (format!("{GET}/requestBody"), json!({ "required": true }), "GET /a newly requires a body"),
        (format!("{POST}/requestBody/content/application~1json"), Value::Null, "POST /a is no longer application/json"),
        (
            format!("{POST}/requestBody/content/application~1json/schema/$ref"),
            json!("#/components/schemas/Got"),
            "POST /a has another type",
        ),
        (format!("{GET}/responses/404"), Value::Null, "GET /a no longer answers 404"),
        (format!("{GET}/responses/404/$ref"), json!("#/components/responses/Other"), "GET /a 404 is another"),
        (format!("{GET}/responses/200/headers/Link"), Value::Null, "GET /a 200 no longer carries Link"),
        (
            format!("{GET}/responses/200/content/application~1json/schema/$ref"),
            json!("#/components/schemas/Sent"),
            "GET /a 200 has another type",
        ),
    ] {
        assert_eq!(breaking(&small(), &changed(&place, value)), [named], "{place}");
    }
}

#[test]
fn what_would_break_a_value_is_named() {
    for (place, value, named) in [
        ("Sent/required", json!(["x"]), "Sent.x is newly required"),
        ("Sent/additionalProperties", json!(false), "Sent takes no other fields any more"),
        ("Sent/properties/x/maxLength", json!(7), "Sent.x has a tighter maxLength"),
        ("Sent/properties/x/minLength", json!(1), "Sent.x has a tighter minLength"),
        ("Sent/properties/x/pattern", json!("^b$"), "Sent.x has another pattern"),
        ("Sent/properties/x/nullable", json!(false), "Sent.x may no longer be null"),
        ("Sent/properties/x/enum", json!(["b"]), "Sent.x takes some values only"),
        ("Sent/properties/list/maxItems", json!(3), "Sent.list has a tighter maxItems"),
        ("Sent/properties/list/items/type", json!("integer"), "Sent.list[] has another type"),
        ("Sent/properties/list/items/pattern", json!("^b$"), "Sent.list[] has another pattern"),
        ("Sent/properties/map/additionalProperties/minimum", json!(2), "Sent.map[] has a tighter minimum"),
        ("Sent/properties/either/anyOf/1", Value::Null, "Sent.either has another type"),
        ("Sent/properties/either/anyOf/1/type", json!("integer"), "Sent.either has another type"),
        ("Got/properties/z", Value::Null, "Got.z is gone"),
        ("Got/properties/y/type", json!("integer"), "Got.y has another type"),
        ("Got/properties/y/nullable", json!(true), "Got.y may be null now"),
        ("Got/required", json!(["word"]), "Got.y may be absent now"),
        ("Got/properties/word/allOf/0/$ref", json!("#/components/schemas/Sent"), "Got.word has another type"),
        ("Got/properties/words/items/$ref", json!("#/components/schemas/Sent"), "Got.words[] has another type"),
        ("Word/enum", json!(["one", "three"]), "Word is never two any more"),
        ("Problem/properties/code/type", json!("integer"), "Problem.code has another type"),
    ] {
        let place = format!("{SCHEMAS}/{place}");
        assert_eq!(breaking(&small(), &changed(&place, value)), [named], "{place}");
    }
}

#[test]
fn what_breaks_nobody_is_not_named() {
    assert_eq!(breaking(&small(), &small()), [""; 0]);
    let word = json!({ "$ref": "#/components/schemas/Word" });
    for (place, value) in [
        (format!("{GET}/parameters/2"), json!({ "name": "q", "in": "query", "required": false })),
        (format!("{GET}/parameters/0/schema/maximum"), json!(10)),
        (format!("{GET}/parameters/0/schema/maximum"), Value::Null),
        (format!("{GET}/responses/409"), json!({})),
        (format!("{SCHEMAS}/Sent/properties/new"), json!({ "type": "string" })),
        (format!("{SCHEMAS}/Sent/properties/x/maxLength"), json!(9)),
        (format!("{SCHEMAS}/Sent/properties/list/items/pattern"), Value::Null),
        (format!("{SCHEMAS}/Got/required"), json!(["y", "z", "word"])),
        (format!("{SCHEMAS}/Got/properties/y/maxLength"), json!(3)),
        (format!("{SCHEMAS}/Got/properties/word"), word),
        (format!("{SCHEMAS}/Word/enum"), json!(["one", "two", "three"])),
    ] {
        assert_eq!(breaking(&small(), &changed(&place, value)), [""; 0], "{place}");
    }
}
