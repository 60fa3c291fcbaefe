//! Owns the limits in the OpenAPI document that no type tells: those that use cases keep, by their own constants.

mod answers;

use kernex_model::attribute::{MAX_FACTS, MAX_LABELS};
use kernex_model::comparison::MAX_COUNTED;
use kernex_model::deployment::{MAX_APPROVALS, MAX_WAVES};
use kernex_model::document::MAX_HISTORY;
use kernex_model::policy::{LOG_BYTES, MAX_LOG_LINES};
use kernex_model::record::{DecisionGate, MAX_DECISIONS_NAMED};
use kernex_model::redaction::MAX_SECRET_FACTS;
use kernex_model::user::MAX_ROLES;
use serde_json::{Value, json};

use super::super::enrolment::JWT_BEARER;
use super::super::envelope::MAX_HEADER_BYTES;
use super::super::misfit::MAX_ERRORS;
use super::super::page::{MAX_CURSOR_BYTES, MAX_LIMIT};
use super::schemas::parameters;
use crate::app::bundles::MAX_SIGNATURE_BYTES;
use crate::app::enrolment::device_key::MAX_PEM_BYTES;
use crate::app::identity::login::MAX_LOGIN_BYTES;
use crate::app::identity::password::{MAX_PASSWORD_BYTES, MIN_PASSWORD_BYTES};
use crate::app::planning::MAX_SAMPLE;
use crate::app::replay::MAX_SHOWN;
use crate::app::timelines::MAX_EXPLAINED;

/// Commands in one answer to a heartbeat.
const MAX_COMMANDS: usize = 1;
/// Patterns of actions of one policy; its request's type tells it as a literal.
const MAX_ACTIONS: usize = 100;
/// A plugin's name, in bytes, by the contract (`sdk/wit/v1/policy.wit`).
const MAX_PLUGIN_NAME_BYTES: usize = 64;
/// Lists that are shown page by page.
const LISTING: &str = "Listing_";
/// Lists that are shown at once, however long.
const AT_ONCE: [&str; 2] = ["Listing_PolicyAnswer", "Listing_Plugin"];

/// A schema, its property, and what holds for it.
type Limit = (&'static str, &'static str, Value);

/// Limits of what is sent, and of what is answered like it.
fn of_properties() -> Vec<Limit> {
    let roles = || json!({ "maxItems": MAX_ROLES });
    let facts = || json!({ "maxProperties": MAX_FACTS });
    let labels = || json!({ "maxProperties": MAX_LABELS });
    let password = || json!({ "minLength": MIN_PASSWORD_BYTES, "maxLength": MAX_PASSWORD_BYTES });
    let signature = || json!({ "maxLength": MAX_SIGNATURE_BYTES });
    let waves = || json!({ "maxItems": MAX_WAVES });
    let plugin_name = || json!({ "maxLength": MAX_PLUGIN_NAME_BYTES });
    vec![
        ("Registration", "password", password()),
        ("UserRequest", "password", password()),
        ("PasswordChange", "new_password", password()),
        ("Login", "username", json!({ "maxLength": MAX_LOGIN_BYTES })),
        ("UserRequest", "roles", roles()),
        ("UserPatch", "roles", roles()),
        ("InvitationRequest", "roles", roles()),
        ("User", "roles", roles()),
        ("ApiKeyRequest", "roles", roles()),
        ("ApiKeyAnswer", "roles", roles()),
        ("ApiKey", "roles", roles()),
        ("DeviceTokenRequest", "grant_type", json!({ "enum": [JWT_BEARER] })),
        ("EnrolmentRequest", "facts", facts()),
        ("PreauthorizationRequest", "labels", labels()),
        ("Device", "facts", facts()),
        ("Device", "labels", labels()),
        ("Device", "public_key", json!({ "maxLength": MAX_PEM_BYTES })),
        ("DeviceTimeline", "explanations", json!({ "maxItems": MAX_EXPLAINED })),
        ("DeviceTimeline", "items", json!({ "maxItems": MAX_LIMIT })),
        ("DeviceTimeline", "next", json!({ "maxLength": MAX_CURSOR_BYTES })),
        ("HeartbeatReply", "commands", json!({ "maxItems": MAX_COMMANDS })),
        ("Bundle", "labels", labels()),
        ("Bundle", "signature", signature()),
        ("CommandBundle", "signature", signature()),
        ("Deployment", "approved_by", json!({ "maxItems": MAX_APPROVALS })),
        ("Deployment", "waves", waves()),
        ("PreviewAnswer", "waves", waves()),
        ("Decision", "log", json!({ "maxItems": MAX_LOG_LINES })),
        ("LogLine", "message", json!({ "maxLength": LOG_BYTES })),
        ("ExclusionCount", "sample", json!({ "maxItems": MAX_SAMPLE })),
        ("Breakdown", "subjects", json!({ "maxItems": MAX_COUNTED })),
        ("AuditRecord", "decision_ids", json!({ "maxItems": MAX_DECISIONS_NAMED })),
        ("Breakdown", "devices", json!({ "maxItems": MAX_COUNTED })),
        ("Breakdown", "questions", json!({ "maxItems": MAX_COUNTED })),
        ("Replay", "differences", json!({ "maxItems": MAX_SHOWN })),
        ("PolicyAnswer", "history", json!({ "maxItems": MAX_HISTORY })),
        ("PolicyRevision", "plugin", plugin_name()),
        ("PolicyRevision", "actions", json!({ "maxItems": MAX_ACTIONS })),
        ("PolicyRevision", "secret_facts", json!({ "maxItems": MAX_SECRET_FACTS })),
        ("Plugin", "name", plugin_name()),
        ("Plugin", "gates", json!({ "maxItems": DecisionGate::ALL.len() })),
        ("Problem", "errors", json!({ "maxItems": MAX_ERRORS })),
    ]
}

/// A header of some operation, and what holds for it.
fn of_headers() -> [(&'static str, Value); 2] {
    [
        ("Repr-Digest", json!({ "maxLength": MAX_HEADER_BYTES })),
        (
            "X-Bundle-Signature",
            json!({ "minLength": 1, "maxLength": MAX_SIGNATURE_BYTES, "pattern": r"^[\x20-\x7e]+$" }),
        ),
    ]
}

/// Adds them to the document.
pub(super) fn add_to(document: &mut Value) {
    let headers = of_headers();
    for parameter in super::operations(document).flat_map(|(_, operation)| parameters(operation)) {
        if let Some((_, limits)) = headers.iter().find(|(name, _)| parameter["name"] == *name) {
            extend(&mut parameter["schema"], limits);
        }
    }
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else { return };
    for (schema, property, limits) in of_properties().into_iter().chain(answers::of_answers()) {
        if let Some(property) = schemas.get_mut(schema).and_then(|schema| schema["properties"].get_mut(property)) {
            extend(property, &limits);
        }
    }
    // A label that is null is taken away.
    if let Some(labels) = schemas.get_mut("DevicePatch").and_then(|schema| schema["properties"].get_mut("labels")) {
        extend(&mut labels["additionalProperties"], &json!({ "nullable": true }));
    }
    let listings = schemas.iter_mut().filter(|(name, _)| name.starts_with(LISTING));
    for (_, listing) in listings.filter(|(name, _)| !AT_ONCE.contains(&name.as_str())) {
        extend(&mut listing["properties"]["items"], &json!({ "maxItems": MAX_LIMIT }));
        extend(&mut listing["properties"]["next"], &json!({ "maxLength": MAX_CURSOR_BYTES }));
    }
}

fn extend(schema: &mut Value, limits: &Value) {
    if let (Some(schema), Some(limits)) = (schema.as_object_mut(), limits.as_object()) {
        schema.extend(limits.clone());
    }
}

/// Says from where to where integers go: their format alone tells it to few generators.
pub(super) fn bound(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let end = match fields.get("format").and_then(Value::as_str) {
                Some("uint8") => Some(u64::from(u8::MAX)),
                Some("uint16") => Some(u64::from(u16::MAX)),
                Some("uint32") => Some(u64::from(u32::MAX)),
                // Of what is counted here, nothing goes beyond what the store can keep.
                Some("uint64") => Some(i64::MAX.unsigned_abs()),
                _ => None,
            };
            if let Some(end) = end {
                fields.entry("minimum").or_insert(0.into());
                fields.entry("maximum").or_insert(end.into());
            }
            fields.values_mut().for_each(bound);
        }
        Value::Array(items) => items.iter_mut().for_each(bound),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use kernex_model::report::{MAX_ERROR_CODE_BYTES, MAX_ERROR_MESSAGE_BYTES};

    use super::super::checks::checked_in;
    use super::*;

    /// What types tell: they know literals only.
    fn of_types() -> Vec<Limit> {
        let key = || json!({ "maxLength": MAX_PEM_BYTES });
        vec![
            ("EnrolmentRequest", "public_key", key()),
            ("PreauthorizationRequest", "public_key", key()),
            ("DevicePatch", "labels", json!({ "maxProperties": 2 * MAX_LABELS })),
            ("Heartbeat", "facts", json!({ "maxProperties": MAX_FACTS })),
            ("PlanRequest", "settings", json!({ "maxProperties": MAX_FACTS })),
            ("ReportedError", "code", json!({ "maxLength": MAX_ERROR_CODE_BYTES })),
            ("ReportedError", "message", json!({ "maxLength": MAX_ERROR_MESSAGE_BYTES })),
            ("RevisionRequest", "actions", json!({ "maxItems": MAX_ACTIONS })),
            ("RevisionRequest", "secret_facts", json!({ "maxItems": MAX_SECRET_FACTS })),
        ]
    }

    #[test]
    fn every_limit_is_in_the_document() {
        let document = checked_in();
        let all = of_properties().into_iter().chain(answers::of_answers()).chain(of_types());
        for (schema, property, limits) in all {
            let found = &document["components"]["schemas"][schema]["properties"][property];
            for (keyword, limit) in limits.as_object().expect("an object") {
                assert_eq!(found.get(keyword), Some(limit), "{schema}.{property}");
            }
        }
    }

    #[test]
    fn an_integer_has_the_ends_of_its_format() {
        let mut schema = json!({ "properties": {
            "a": { "format": "uint8", "maximum": 100 }, "b": { "items": { "format": "uint64" } }, "c": { "format": "int64" },
        } });
        bound(&mut schema);
        assert_eq!(schema["properties"]["a"], json!({ "format": "uint8", "maximum": 100, "minimum": 0 }));
        let items = json!({ "format": "uint64", "minimum": 0, "maximum": 9_223_372_036_854_775_807_u64 });
        assert_eq!(schema["properties"]["b"]["items"], items);
        assert_eq!(schema["properties"]["c"], json!({ "format": "int64" }));
    }
}
