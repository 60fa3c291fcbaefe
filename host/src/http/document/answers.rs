//! Owns the answers that no handler names: the problem documents with which an operation may refuse.

use serde_json::{Map, Value, json};

use super::super::problem::PROBLEM_JSON;
use super::examples::Examples;

/// A problem's status, the name of its answer, and what it means.
const PROBLEMS: [(&str, &str, &str); 15] = [
    ("400", "Invalid", "The request is not what it should be; `errors` names what is wrong."),
    ("401", "Unauthenticated", "Nobody knows who calls: there are no credentials, or they are not good."),
    ("403", "Denied", "The caller may not do this. `decision` names the policy's decision, where it made one."),
    ("404", "NotFound", "There is no such thing, or none that the caller may know of."),
    ("408", "Stalled", "The body stopped coming."),
    ("409", "Conflict", "It does not fit what is there, or the `Idempotency-Key` is taken; `code` says which."),
    ("412", "Stale", "It has changed since it was read: read it again."),
    ("413", "TooLarge", "The body is too large."),
    ("415", "UnsupportedMediaType", "The body is not of a media type that is read here."),
    ("416", "RangeNotSatisfiable", "No byte of the range exists."),
    ("428", "PreconditionRequired", "`If-Match` is missing."),
    (
        "429",
        "TooManyRequests",
        "Too many calls from this address or to this account: `Retry-After` says when to try again.",
    ),
    ("503", "NotReady", "A part of the server cannot do its work; `detail` names it."),
    ("507", "StorageFull", "There is no room left for the content."),
    (
        "default",
        "Failed",
        "Anything else, such as 500 `internal-error` and 503 `busy`, as a problem document (RFC 9457).",
    ),
];

/// What some operations answer beside what their form tells.
const PARTICULAR: [(&str, &[&str]); 16] = [
    ("register_user", &["403", "429"]),
    ("login", &["401", "429"]),
    ("refresh_session", &["401"]),
    ("change_password", &["429"]),
    ("enrol_device", &["403", "429"]),
    ("issue_device_token", &["401", "403"]),
    ("download_bundle", &["412", "416"]),
    ("download_bundle_as_device", &["412", "416"]),
    ("upload_bundle", &["408", "507"]),
    ("upload_plugin", &["408"]),
    // Of what the body names.
    ("create_deployment", &["404"]),
    ("preview_deployment", &["404"]),
    ("report", &["404"]),
    // `If-Match` may be left out.
    ("activate_policy", &["412"]),
    ("rollback_policy", &["412"]),
    ("shadow_policy", &["412"]),
];
/// Operations that change nothing with which another call could be at odds.
const NEVER_AT_ODDS: [&str; 3] = ["login", "issue_device_token", "heartbeat"];
const READINESS: &str = "get_readiness";

/// The answers that operations refer to, by name.
pub(super) fn problems(examples: &Examples) -> Value {
    let problem = |(status, name, description): (&str, &str, &str)| {
        let schema = json!({ "$ref": "#/components/schemas/Problem" });
        let content = json!({ PROBLEM_JSON: { "schema": schema, "example": examples.problem(status) } });
        let mut answer = json!({ "description": description, "content": content });
        if status == "429" {
            let schema = json!({ "type": "integer", "minimum": 1, "example": 20 });
            answer["headers"]["Retry-After"] =
                json!({ "description": "In seconds.", "required": true, "schema": schema });
        }
        (name.to_owned(), answer)
    };
    PROBLEMS.into_iter().map(problem).collect()
}

/// Adds the problems that an operation may answer, each by reference.
pub(super) fn name_problems(method: &str, operation: &mut Map<String, Value>) {
    let statuses = statuses(method, operation);
    let Some(answers) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    // It comes last.
    answers.remove("default");
    for (status, name, _) in PROBLEMS.iter().filter(|(status, ..)| statuses.contains(status)) {
        answers.insert((*status).to_owned(), json!({ "$ref": format!("#/components/responses/{name}") }));
    }
}

fn statuses(method: &str, operation: &Map<String, Value>) -> Vec<&'static str> {
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
    let parameters = operation.get("parameters").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let body = operation.get("requestBody").and_then(|body| body.get("content"));
    let edits = method == "patch" && parameters.iter().any(|parameter| parameter["name"] == "If-Match");
    let changes = matches!(method, "post" | "put" | "patch") && !NEVER_AT_ODDS.contains(&id);
    let rules: [(bool, &[&str]); 7] = [
        // Every POST may carry an `Idempotency-Key`.
        (body.is_some() || !parameters.is_empty() || method == "post", &["400"]),
        (operation.contains_key("security"), &["401", "403"]),
        (parameters.iter().any(|parameter| parameter["in"] == "path"), &["404"]),
        (changes, &["409"]),
        (edits, &["412", "428"]),
        // Bodies are taken as they are, not compressed.
        (body.is_some(), &["413", "415"]),
        (id == READINESS, &["503"]),
    ];
    let by_rule = rules.iter().filter(|(holds, _)| *holds).flat_map(|(_, statuses)| *statuses);
    let particular = PARTICULAR.iter().filter(|(operation, _)| *operation == id).flat_map(|(_, statuses)| *statuses);
    by_rule.chain(particular).chain(&["default"]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_refuses_as_its_form_tells() {
        let of = |method: &str, operation: Value| statuses(method, operation.as_object().expect("an object"));
        assert_eq!(of("get", json!({ "operationId": "get_liveness" })), ["default"]);
        let edit = json!({
            "operationId": "update_device", "security": [],
            "parameters": [{ "name": "id", "in": "path" }, { "name": "If-Match", "in": "header" }],
            "requestBody": { "content": { "application/json": {} } },
        });
        assert_eq!(of("patch", edit), ["400", "401", "403", "404", "409", "412", "428", "413", "415", "default"]);
        let upload = json!({ "operationId": "upload_bundle", "requestBody": { "content": { "image/png": {} } } });
        assert_eq!(of("post", upload), ["400", "409", "413", "415", "408", "507", "default"]);
    }

    #[test]
    fn every_problem_is_told() {
        let mut told = Map::from_iter([("responses".to_owned(), json!({ "200": {} }))]);
        name_problems("get", &mut told);
        assert_eq!(told["responses"], json!({ "200": {}, "default": { "$ref": "#/components/responses/Failed" } }));
        let problems = problems(&Examples::read());
        for (status, name, _) in PROBLEMS {
            let example = &problems[name]["content"][PROBLEM_JSON]["example"];
            // What has no status of its own is our fault.
            assert_eq!(example["status"], status.parse().unwrap_or(500), "{name}");
        }
    }
}
