//! Who may do what: every operation of the OpenAPI document, called by everybody, and answered as the table says.

use std::collections::{BTreeMap, BTreeSet};

use kernex_tests::harness::{Answer, TestServer, eventually, run};
use reqwest::Method;
use serde_json::Value;

use super::operations::{Expected, OPERATIONS, Operation, ROLES};
use super::world::{World, generous};

/// Codes of what the host refuses by itself.
const REFUSALS: [&str; 3] = ["not-a-user", "not-a-device", "not-a-target"];

/// What the document says of an operation.
struct Documented {
    /// `METHOD` and path, with braces around each parameter.
    call: (String, String),
    /// Kinds of credentials, each of which is enough.
    credentials: BTreeSet<String>,
}

/// Every operation of the document, by its `operationId`.
async fn documented(server: &TestServer) -> BTreeMap<String, Documented> {
    let document = server.anonymous().root(Method::GET, "/openapi.json").await.expect(200);
    let paths = document["paths"].as_object().expect("paths").clone();
    let names = |value: &Value| value.as_object().map(|fields| fields.keys().cloned().collect::<BTreeSet<_>>());
    let mut found = BTreeMap::new();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().expect("methods") {
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no operationId"));
            let security = operation["security"].as_array().into_iter().flatten();
            let documented = Documented {
                call: (method.to_uppercase(), path.clone()),
                credentials: security.filter_map(names).flatten().collect(),
            };
            assert!(found.insert(id.to_owned(), documented).is_none(), "{id} twice");
        }
    }
    found
}

/// The table's call in the document's form: without its query, and every place called `{}`.
fn shape(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let part = |part: &str| if part.starts_with(['{', ':']) { "{}".to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[test]
fn the_table_and_the_document_name_the_same_operations() {
    run(async {
        let server = TestServer::start().await;
        let documented = documented(&server).await;
        let ids: BTreeSet<&str> = documented.keys().map(String::as_str).collect();
        let table: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.id).collect();
        assert_eq!(table.len(), OPERATIONS.len(), "an operation stands twice in the table");
        let missing: Vec<_> = ids.difference(&table).collect();
        let gone: Vec<_> = table.difference(&ids).collect();
        assert!(missing.is_empty() && gone.is_empty(), "not in the table: {missing:?}; not in the document: {gone:?}");
        for (id, Documented { call: (method, path), .. }) in &documented {
            let operation = OPERATIONS.iter().find(|operation| operation.id == id).expect("it is in both");
            let (called, at) = operation.call.split_once(' ').expect("a method and a path");
            // A place that is always the same thing stands as it is.
            let at = shape(at).replace("/policies/rbac", "/policies/{}");
            assert_eq!((called, at), (method.as_str(), shape(path)), "{id}");
        }
    });
}

#[test]
fn the_document_names_the_credentials_that_the_table_allows() {
    run(async {
        let documented = documented(&TestServer::start().await).await;
        for operation in OPERATIONS {
            let expected = |role: &str| {
                let column = ROLES.iter().position(|known| *known == role).expect("a column");
                operation.expected(column)
            };
            let allows = |role: &str| expected(role) == Expected::Allowed;
            // What the policy denies the service of the table, it may allow one with an administrator's role.
            let key = allows("service") || (allows("admin") && expected("service") == Expected::Denied);
            let kinds = [("user", allows("admin")), ("api_key", key), ("device", allows("device"))];
            let named = kinds.into_iter().filter(|(_, allowed)| *allowed && !allows("anonymous"));
            let named: BTreeSet<String> = named.map(|(kind, _)| kind.to_owned()).collect();
            assert_eq!(documented[operation.id].credentials, named, "{}", operation.id);
        }
    });
}

#[test]
fn everybody_is_answered_as_the_table_says() {
    run(async {
        let server = TestServer::start_with(generous).await;
        let world = World::new(&server).await;
        let mut wrong = Vec::new();
        let mut denials = Vec::new();
        for operation in OPERATIONS {
            for (column, role) in ROLES.iter().enumerate() {
                let client = world.client(column, operation).await;
                let answer = operation.call(&world, &client).await;
                if let Err(reason) = judge(operation, column, &answer) {
                    wrong.push(format!("{} as {role}: {reason}: {} {}", operation.id, answer.status, answer["code"]));
                }
                if let Some(decision) = answer["decision"].as_str() {
                    denials.push((operation.id, *role, decision.to_owned()));
                }
            }
        }
        assert!(wrong.is_empty(), "{} cells are not as the table says:\n  {}", wrong.len(), wrong.join("\n  "));
        assert!(denials.len() > 100, "only {} denials", denials.len());
        recorded(&server, denials).await;
        unchanged(&server, &world).await;
    });
}

fn judge(operation: &Operation, column: usize, answer: &Answer) -> Result<(), &'static str> {
    let status = answer.status.as_u16();
    if answer.status.is_server_error() {
        return Err("the server failed");
    }
    if !answer.status.is_success() {
        answer.check_problem();
    }
    let decided = answer["decision"].is_string();
    let by_host = answer["code"].as_str().is_some_and(|code| REFUSALS.contains(&code));
    match operation.expected(column) {
        Expected::Allowed if [401, 403].contains(&status) => Err("it should be allowed"),
        Expected::Unknown if status != 401 => Err("it should be 401"),
        Expected::Denied if status != 403 || !decided => Err("it should be 403 with a decision"),
        Expected::Refused if status != 403 || !by_host => Err("it should be 403 by the host"),
        Expected::Hidden if status != 404 => Err("it should be 404"),
        Expected::Allowed | Expected::Unknown | Expected::Denied | Expected::Refused | Expected::Hidden => Ok(()),
    }
}

/// Every denial can be looked up, and says of whom and what it was.
async fn recorded(server: &TestServer, denials: Vec<(&str, &str, String)>) {
    let admin = server.admin().await;
    for (operation, role, id) in denials {
        let decision = eventually("the decision is recorded", async || {
            let answer = admin.get(&format!("/decisions/{id}")).await;
            (answer.status == 200).then_some(answer)
        })
        .await;
        assert_eq!(decision["outcome"], "deny", "{operation} as {role}\n{decision}");
        assert!(decision["input"]["action"].is_string() || decision["input"].is_object(), "{decision}");
    }
}

/// Nobody left more in the audit log than they may do: what was denied changed nothing.
async fn unchanged(server: &TestServer, world: &World<'_>) {
    let admin = server.admin().await;
    let users = admin.get("/users").query("limit", 1_000).await.expect(200);
    let viewers = users.items().iter().filter(|user| user["roles"] == serde_json::json!(["viewer"]));
    let people = viewers.map(|user| (user["id"].as_str().expect("an id"), &["session:revoke", "password:change"][..]));
    let devices = world.devices().map(|device| (device, &["device:heartbeat", "device:report"][..]));
    for (principal, allowed) in people.chain(devices) {
        let records = admin.get("/audit").query("principal", principal).query("limit", 1_000).await.expect(200);
        for record in records.items() {
            let action = record["action"].as_str().expect("an action");
            assert!(allowed.contains(&action), "{principal} did `{action}`: {record}");
        }
    }
    assert!(
        devices_acted(&admin.get("/audit").query("principal", world.devices()[0]).await.expect(200)),
        "nothing was audited"
    );
}

fn devices_acted(records: &Answer) -> bool {
    records.items().iter().any(|record: &Value| record["action"] == "device:heartbeat")
}
