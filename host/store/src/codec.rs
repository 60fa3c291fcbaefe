//! Owns the way between a noun's JSON form and the database's values.

use serde_json::Value as Json;
use surrealdb::types::{Object, SurrealValue, Value};

use crate::error::StoreError;
use crate::key::Key;
use crate::record::Record;

/// A record's fields and index fields, without its key.
pub(crate) fn encode<T: Record>(record: &T) -> Result<Object, StoreError> {
    let unreadable = |reason: String| StoreError::Unreadable { record: T::TABLE.to_owned(), reason };
    let Json::Object(fields) = serde_json::to_value(record).map_err(|error| unreadable(error.to_string()))? else {
        return Err(unreadable("it is no JSON object".to_owned()));
    };
    let mut row = Object::new();
    for (name, value) in fields {
        if name == "id" {
            continue;
        }
        let opaque = T::OPAQUE.contains(&name.as_str()) && !value.is_null();
        row.insert(name, if opaque { Value::String(value.to_string()) } else { value.into_value() });
    }
    record.derive(&mut row);
    Ok(row)
}

/// The record in a row of `SELECT *`.
pub(crate) fn decode<T: Record>(row: Value) -> Result<T, StoreError> {
    let unreadable =
        |record: &str, reason: &str| StoreError::Unreadable { record: record.to_owned(), reason: reason.to_owned() };
    let Value::Object(row) = row else { return Err(unreadable(T::TABLE, "it is no object")) };
    let mut row = row.into_inner();
    let key = match row.remove("id") {
        Some(Value::RecordId(id)) => Key::from_value(id.key),
        _ => None,
    }
    .ok_or_else(|| unreadable(T::TABLE, "its key has another form"))?;
    let name = format!("{}:{}", T::TABLE, key.sort());
    let mut fields = serde_json::Map::with_capacity(row.len() + 1);
    for (field, value) in row {
        if T::DERIVED.contains(&field.as_str()) {
            continue;
        }
        let value = match value {
            Value::String(text) if T::OPAQUE.contains(&field.as_str()) => {
                serde_json::from_str(&text).map_err(|error| unreadable(&name, &error.to_string()))?
            }
            value => value.into_json_value(),
        };
        fields.insert(field, value);
    }
    if let Some(id) = T::id_text(&key) {
        fields.insert("id".to_owned(), Json::String(id));
    }
    serde_json::from_value(Json::Object(fields)).map_err(|error| unreadable(&name, &error.to_string()))
}

/// A text field of a row.
pub(crate) fn text_of(row: &Value, field: &str) -> Option<String> {
    match row {
        Value::Object(row) => match row.get(field) {
            Some(Value::String(text)) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// The key of a row.
pub(crate) fn key_of(row: &Value) -> Option<Key> {
    match row {
        Value::Object(row) => match row.get("id") {
            Some(Value::RecordId(id)) => Key::from_value(id.key.clone()),
            _ => None,
        },
        _ => None,
    }
}
