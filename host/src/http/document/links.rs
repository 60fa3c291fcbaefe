//! Owns where answers lead in the document: links from what was made or read to what can be done with it.

use serde_json::{Map, Value, json};

use super::operations;

/// Where the answers of some operations lead.
struct Link {
    from: &'static [&'static str],
    to: &'static [&'static str],
    /// What fills the parameters in, as OpenAPI's runtime expressions write it.
    parameters: &'static [(&'static str, &'static str)],
}

/// The identifier is in the answer.
const ANSWERED: &[(&str, &str)] = &[("id", "$response.body#/id")];
/// The identifier is that of the call.
const SAME: &[(&str, &str)] = &[("id", "$request.path.id")];
/// As it was read.
const EDITED: &[(&str, &str)] = &[("id", "$request.path.id"), ("If-Match", "$response.header.ETag")];

const LINKS: &[Link] = &[
    Link { from: &["create_user"], to: &["get_user", "revoke_user_sessions"], parameters: ANSWERED },
    Link { from: &["get_user"], to: &["update_user"], parameters: EDITED },
    Link { from: &["create_api_key"], to: &["revoke_api_key"], parameters: ANSWERED },
    Link { from: &["enrol_device", "preauthorize_device"], to: &["get_device", "admit_device"], parameters: ANSWERED },
    Link { from: &["get_device"], to: &["update_device"], parameters: EDITED },
    Link { from: &["get_device"], to: &["get_device_timeline", "list_device_bundles"], parameters: SAME },
    Link {
        from: &["put_device_config"],
        to: &["get_device_config", "list_device_config_versions", "rollback_device_config"],
        parameters: SAME,
    },
    Link {
        from: &["rollback_device"],
        to: &["get_deployment"],
        parameters: &[("id", "$response.body#/deployment_id")],
    },
    Link { from: &["upload_bundle"], to: &["get_bundle", "download_bundle", "retire_bundle"], parameters: ANSWERED },
    Link {
        from: &["create_deployment"],
        to: &["get_deployment", "list_assignments", "approve_deployment", "pause_deployment", "cancel_deployment"],
        parameters: ANSWERED,
    },
    Link { from: &["pause_deployment"], to: &["resume_deployment"], parameters: SAME },
    Link { from: &["upload_plugin"], to: &["get_plugin"], parameters: &[("digest", "$response.body#/digest")] },
    Link {
        from: &["put_policy"],
        to: &["get_policy", "list_policy_revisions"],
        parameters: &[("name", "$request.path.name")],
    },
    Link { from: &["replay_policy"], to: &["get_operation"], parameters: ANSWERED },
    Link {
        from: &["list_decisions"],
        to: &["get_decision", "explain_decision"],
        parameters: &[("id", "$response.body#/items/0/id")],
    },
    // What it takes over would be a body. OpenAPI Generator refuses a document in which that is anything but a text.
    Link { from: &["heartbeat"], to: &["report"], parameters: &[] },
    Link {
        from: &["heartbeat"],
        to: &["download_bundle_as_device"],
        parameters: &[("id", "$response.body#/commands/0/bundle/id")],
    },
];

/// Adds the links to every good answer of the operations that have some.
pub(super) fn describe(document: &mut Value) {
    for (_, operation) in operations(document) {
        let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
        let links = links(id);
        if links.is_empty() {
            continue;
        }
        let answers = operation.get_mut("responses").and_then(Value::as_object_mut);
        for (_, answer) in answers.into_iter().flatten().filter(|(status, _)| status.starts_with('2')) {
            answer["links"] = links.clone().into();
        }
    }
}

/// The links of one operation, each called like the operation that it leads to.
fn links(from: &str) -> Map<String, Value> {
    let own = LINKS.iter().filter(|link| link.from.contains(&from));
    own.flat_map(|link| link.to.iter().map(move |to| ((*to).to_owned(), object(link, to)))).collect()
}

fn object(link: &Link, to: &str) -> Value {
    let mut object = json!({ "operationId": to });
    let filled = link.parameters.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
    let parameters: Map<String, Value> = filled.collect();
    if !parameters.is_empty() {
        object["parameters"] = parameters.into();
    }
    object
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::checks::checked_in;
    use super::*;

    /// The document that is checked in, with the links, and its operations by identifier.
    fn linked() -> (Value, BTreeMap<String, Value>) {
        let mut document = checked_in();
        describe(&mut document);
        let by_id = operations(&mut document)
            .filter_map(|(_, operation)| {
                let id = operation.get("operationId")?.as_str()?.to_owned();
                Some((id, Value::from(operation.clone())))
            })
            .collect();
        (document, by_id)
    }

    fn has_parameter(operation: &Value, place: &str, name: &str) -> bool {
        let mut known = operation["parameters"].as_array().into_iter().flatten();
        known.any(|parameter| parameter["in"] == place && parameter["name"] == name)
    }

    /// Whether a pointer leads to something in what a schema describes.
    fn leads(document: &Value, schema: &Value, pointer: &[&str]) -> bool {
        let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
        if let Some(reference) = reference {
            let named = document.pointer(reference.trim_start_matches('#'));
            return named.is_some_and(|named| leads(document, named, pointer));
        }
        match pointer {
            [] => !schema.is_null(),
            ["0", rest @ ..] => leads(document, &schema["items"], rest),
            [name, rest @ ..] => leads(document, &schema["properties"][*name], rest),
        }
    }

    /// Whether an expression names something that a call or its answer has.
    fn resolves(document: &Value, from: &Value, answer: &Value, expression: &str) -> bool {
        if let Some(pointer) = expression.strip_prefix("$response.body#/") {
            let parts: Vec<&str> = pointer.split('/').collect();
            return leads(document, &answer["content"]["application/json"]["schema"], &parts);
        }
        if let Some(name) = expression.strip_prefix("$response.header.") {
            return answer["headers"].get(name).is_some();
        }
        expression.strip_prefix("$request.path.").is_some_and(|name| has_parameter(from, "path", name))
    }

    /// What is wrong with one link of an answer.
    fn wrong(
        document: &Value,
        by_id: &BTreeMap<String, Value>,
        from: &str,
        answer: &Value,
        link: &Value,
    ) -> Vec<String> {
        let to = link["operationId"].as_str().expect("an operation");
        let (Some(source), Some(target)) = (by_id.get(from), by_id.get(to)) else {
            return vec![format!("{from} leads to {to}, which does not exist")];
        };
        let mut wrong = Vec::new();
        let parameters = link["parameters"].as_object().cloned().unwrap_or_default();
        for required in target["parameters"].as_array().into_iter().flatten().filter(|one| one["required"] == true) {
            let name = required["name"].as_str().expect("a name");
            if !parameters.contains_key(name) {
                wrong.push(format!("{from} leads to {to} without {name}"));
            }
        }
        for (name, value) in &parameters {
            let known = ["path", "header"].into_iter().any(|place| has_parameter(target, place, name));
            if !known || !resolves(document, source, answer, value.as_str().expect("an expression")) {
                wrong.push(format!("{from} leads to {to} with {name} = {value}"));
            }
        }
        wrong
    }

    #[test]
    fn every_link_names_an_operation_and_what_it_takes() {
        let (document, by_id) = linked();
        for from in LINKS.iter().flat_map(|link| link.from) {
            assert!(by_id.contains_key(*from), "{from} does not exist");
        }
        let mut found = Vec::new();
        let mut links = 0;
        for (from, operation) in &by_id {
            for answer in operation["responses"].as_object().into_iter().flat_map(Map::values) {
                for link in answer["links"].as_object().into_iter().flat_map(Map::values) {
                    links += 1;
                    found.extend(wrong(&document, &by_id, from, answer, link));
                }
            }
        }
        assert!(links > 25, "only {links} links");
        assert!(found.is_empty(), "{found:#?}");
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let (document, by_id) = linked();
        let answer = &by_id["get_device"]["responses"]["200"];
        let found = |link: Value| wrong(&document, &by_id, "get_device", answer, &link);
        let id = |expression: &str| json!({ "operationId": "get_bundle", "parameters": { "id": expression } });
        assert!(found(id("$response.body#/bundle_id")).is_empty());
        for link in [
            id("$response.body#/bundle"),
            id("$response.header.Location"),
            id("$request.path.device"),
            json!({ "operationId": "get_bundle" }),
            json!({ "operationId": "get_everything" }),
            json!({ "operationId": "list_bundles", "parameters": { "name": "$request.path.id" } }),
        ] {
            assert!(!found(link.clone()).is_empty(), "{link}");
        }
    }
}
