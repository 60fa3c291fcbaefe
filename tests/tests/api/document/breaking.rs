//! Owns what of a change to the document would break a client: what it sends is no longer taken, or what it relies on
//! is no longer answered.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Limits that are tighter where they are lower.
const UPPER: [&str; 4] = ["maxLength", "maximum", "maxItems", "maxProperties"];
/// Limits that are tighter where they are higher.
const LOWER: [&str; 4] = ["minLength", "minimum", "minItems", "minProperties"];

/// Which ways a value goes.
#[derive(Debug, Clone, Copy)]
struct Ways {
    sent: bool,
    got: bool,
}

const SENT: Ways = Ways { sent: true, got: false };
const GOT: Ways = Ways { sent: false, got: true };

/// What a client of `before` would stumble over in `after`.
pub(super) fn breaking(before: &Value, after: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (path, methods) in object(&before["paths"]) {
        for (method, operation) in object(methods) {
            let call = format!("{} {path}", method.to_uppercase());
            compare_operations(&call, operation, &after["paths"][path][method], &mut found);
        }
    }
    let (was, is) = (&before["components"], &after["components"]);
    for (name, answer) in object(&was["responses"]) {
        compare_bodies(name, answer, &is["responses"][name], GOT, &mut found);
    }
    let (sent, got) = (reached(before, "requestBody"), reached(before, "responses"));
    for (name, schema) in object(&was["schemas"]) {
        let path = format!("#/components/schemas/{name}");
        let ways = Ways { sent: sent.contains(&path), got: got.contains(&path) };
        compare(name, schema, &is["schemas"][name], ways, &mut found);
    }
    found
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> BTreeSet<&str> {
    array(value).filter_map(Value::as_str).collect()
}

/// Where that leads to which a part of every operation refers, through others too.
fn reached(document: &Value, part: &str) -> BTreeSet<String> {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut waiting = Vec::new();
    for (_, methods) in object(&document["paths"]) {
        object(methods).for_each(|(_, operation)| references(&operation[part], &mut waiting));
    }
    let mut seen = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        if seen.insert(path.clone())
            && let Some(named) = document.pointer(path.trim_start_matches('#'))
        {
            references(named, &mut waiting);
        }
    }
    seen
}

fn same(one: &Value, other: &Value) -> bool {
    one["name"] == other["name"] && one["in"] == other["in"]
}

fn compare_operations(call: &str, was: &Value, is: &Value, found: &mut Vec<String>) {
    if is.is_null() {
        found.push(format!("{call} is gone"));
        return;
    }
    if was["operationId"] != is["operationId"] {
        found.push(format!("{call} is called {} instead of {}", is["operationId"], was["operationId"]));
    }
    for parameter in array(&was["parameters"]) {
        let place = format!("{call} {}", parameter["name"]);
        match array(&is["parameters"]).find(|now| same(now, parameter)) {
            Some(now) => compare(&place, &parameter["schema"], &now["schema"], SENT, found),
            None => found.push(format!("{place} is gone")),
        }
    }
    for parameter in array(&is["parameters"]).filter(|parameter| parameter["required"] == true) {
        let before = array(&was["parameters"]).find(|before| same(before, parameter));
        if before.is_none_or(|before| before["required"] != true) {
            found.push(format!("{call} newly requires {}", parameter["name"]));
        }
    }
    let (sent, takes) = (&was["requestBody"], &is["requestBody"]);
    if takes["required"] == true && sent["required"] != true {
        found.push(format!("{call} newly requires a body"));
    }
    compare_bodies(call, sent, takes, SENT, found);
    for (status, answer) in object(&was["responses"]) {
        let now = &is["responses"][status];
        if now.is_null() {
            found.push(format!("{call} no longer answers {status}"));
        } else {
            compare_bodies(&format!("{call} {status}"), answer, now, GOT, found);
        }
    }
}

/// What is sent or answered: its media types with their schemas, its headers, or the name that stands for both.
fn compare_bodies(place: &str, was: &Value, is: &Value, ways: Ways, found: &mut Vec<String>) {
    if was["$ref"] != is["$ref"] {
        found.push(format!("{place} is another"));
        return;
    }
    for (kind, media) in object(&was["content"]) {
        match is["content"].get(kind) {
            Some(now) => compare(place, &media["schema"], &now["schema"], ways, found),
            None => found.push(format!("{place} is no longer {kind}")),
        }
    }
    for (name, _) in object(&was["headers"]).filter(|(name, _)| is["headers"].get(name.as_str()).is_none()) {
        found.push(format!("{place} no longer carries {name}"));
    }
}

/// What a schema refers to, beside a description too.
fn reference(schema: &Value) -> &Value {
    let plain = &schema["$ref"];
    if plain.is_null() { &schema["allOf"][0]["$ref"] } else { plain }
}

fn compare(place: &str, was: &Value, is: &Value, ways: Ways, found: &mut Vec<String>) {
    if is.is_null() && !was.is_null() {
        found.push(format!("{place} is gone"));
        return;
    }
    let forms = |schema: &Value| array(&schema["anyOf"]).count();
    let differs = |keyword: &str| was[keyword] != is[keyword];
    if reference(was) != reference(is) || differs("type") || differs("format") || forms(was) != forms(is) {
        found.push(format!("{place} has another type"));
        return;
    }
    for (was, is) in array(&was["anyOf"]).zip(array(&is["anyOf"])) {
        compare(place, was, is, ways, found);
    }
    for value in texts(&was["enum"]).difference(&texts(&is["enum"])) {
        found.push(format!("{place} is never {value} any more"));
    }
    if ways.sent {
        compare_limits(place, was, is, found);
    }
    let may_be_null = |schema: &Value| schema["nullable"] == true;
    match (may_be_null(was), may_be_null(is)) {
        (false, true) if ways.got => found.push(format!("{place} may be null now")),
        (true, false) if ways.sent => found.push(format!("{place} may no longer be null")),
        _ => {}
    }
    compare_fields(place, was, is, ways, found);
    for parts in ["items", "additionalProperties"] {
        if was[parts].is_object() {
            compare(&format!("{place}[]"), &was[parts], &is[parts], ways, found);
        }
    }
}

fn compare_fields(place: &str, was: &Value, is: &Value, ways: Ways, found: &mut Vec<String>) {
    for (field, schema) in object(&was["properties"]) {
        compare(&format!("{place}.{field}"), schema, &is["properties"][field], ways, found);
    }
    let (required, requires) = (texts(&was["required"]), texts(&is["required"]));
    if ways.sent {
        let newly = requires.difference(&required);
        found.extend(newly.map(|field| format!("{place}.{field} is newly required")));
    }
    if ways.got {
        // Where it is gone altogether, that has been said.
        let still = |field: &&&str| is["properties"].get(**field).is_some();
        let gone = required.difference(&requires).filter(still);
        found.extend(gone.map(|field| format!("{place}.{field} may be absent now")));
    }
}

/// Whether less is taken than before.
fn compare_limits(place: &str, was: &Value, is: &Value, found: &mut Vec<String>) {
    let tighter = |keyword: &str, towards: fn(f64, f64) -> bool| match (was[keyword].as_f64(), is[keyword].as_f64()) {
        (Some(was), Some(is)) => towards(is, was),
        (None, limit) => limit.is_some(),
        (Some(_), None) => false,
    };
    let upper = UPPER.into_iter().filter(|keyword| tighter(keyword, |is, was| is < was));
    let lower = LOWER.into_iter().filter(|keyword| tighter(keyword, |is, was| is > was));
    found.extend(upper.chain(lower).map(|keyword| format!("{place} has a tighter {keyword}")));
    if !is["pattern"].is_null() && was["pattern"] != is["pattern"] {
        found.push(format!("{place} has another pattern"));
    }
    if was["enum"].is_null() && !is["enum"].is_null() {
        found.push(format!("{place} takes some values only"));
    }
    if is["additionalProperties"] == false && was["additionalProperties"] != false {
        found.push(format!("{place} takes no other fields any more"));
    }
}
