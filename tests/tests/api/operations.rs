//! The one table of all operations: how each is called, who may call it, and what it leaves in the audit log.

use kernex_tests::harness::Client;
use serde_json::Value;

use super::world::World;

/// One operation of the OpenAPI document. Places in braces are filled in by [`World`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    /// Its `operationId`.
    pub id: &'static str,
    /// `POST /api/v1/devices/{pending}/admit`
    pub call: &'static str,
    /// A JSON body; empty where there is none, `raw` for bytes, `component` for a plugin.
    pub body: &'static str,
    /// One letter for each of [`ROLES`]; see [`Expected`].
    pub cells: &'static str,
    /// The action of its audit record; empty where it changes nothing.
    pub audited: &'static str,
}

/// Operations that name the revision that they edit.
const EDITS: [&str; 2] = ["update_device", "update_user"];

/// The columns of the table.
pub(crate) const ROLES: [&str; 7] = ["anonymous", "viewer", "operator", "admin", "service", "device", "stranger"];

/// What an operation answers somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// `+`: anything but 401 and 403.
    Allowed,
    /// `u`: 401, nobody knows who calls.
    Unknown,
    /// `d`: 403, with the policy's decision.
    Denied,
    /// `h`: 403 by the host itself, whatever the policy says: the call makes no sense for such a caller.
    Refused,
    /// `n`: 404, because whether it exists is none of the caller's business.
    Hidden,
}

impl Operation {
    /// What the caller in a column of the table is answered.
    pub(crate) fn expected(&self, role: usize) -> Expected {
        let letter = self.cells.split_whitespace().nth(role).unwrap_or_else(|| panic!("{}: seven cells", self.id));
        match letter {
            "+" => Expected::Allowed,
            "u" => Expected::Unknown,
            "d" => Expected::Denied,
            "h" => Expected::Refused,
            "n" => Expected::Hidden,
            other => panic!("{}: `{other}` is no cell", self.id),
        }
    }

    /// Calls it as somebody, on things that were made for this call.
    pub(crate) async fn call(&self, world: &World<'_>, client: &Client) -> kernex_tests::harness::Answer {
        let (method, path) = self.call.split_once(' ').expect("a method and a path");
        let mut things = world.things();
        let path = things.fill(path, &|text| text.to_owned()).await;
        let call = client.root(method.parse().expect("a method"), &path);
        let call = match self.body {
            "" => call,
            "raw" => call.bytes(format!("content of {path}")),
            "component" => call.bytes(component(&things.fill("{unique}", &|text| text.to_owned()).await)),
            body => {
                let escaped = |text: &str| Value::from(text).to_string().trim_matches('"').to_owned();
                let body = things.fill(body, &escaped).await;
                call.json(serde_json::from_str(&body).unwrap_or_else(|error| panic!("{}: {error}: {body}", self.id)))
            }
        };
        // Of what has just been made.
        if EDITS.contains(&self.id) { call.header("if-match", "\"1\"").await } else { call.await }
    }
}

/// A plugin that nobody has seen before: an old one with a section that means nothing.
fn component(mark: &str) -> Vec<u8> {
    let length = |bytes: usize| u8::try_from(bytes).expect("a short mark");
    let mut section = vec![0, length(mark.len() + 1), length(mark.len())];
    section.extend(mark.as_bytes());
    [kernex_tests::guests::MISBEHAVING, &section].concat()
}

const fn read(id: &'static str, call: &'static str, cells: &'static str) -> Operation {
    Operation { id, call, body: "", cells, audited: "" }
}

const fn change(
    id: &'static str,
    call: &'static str,
    body: &'static str,
    cells: &'static str,
    audited: &'static str,
) -> Operation {
    Operation { id, call, body, cells, audited }
}

/// Anybody, with or without credentials.
const ANYBODY: &str = "+ + + + + + +";
/// Those who see the fleet.
const SEES: &str = "u + + + + d d";
/// Those who run the fleet.
const RUNS: &str = "u d + + + d d";
/// Administrators.
const RULES: &str = "u d d + d d d";
/// People who logged in, for themselves.
const OWN: &str = "u + + + h h h";

/// Every operation there is.
pub(crate) const OPERATIONS: &[Operation] = &[
    // Auth
    change("register_user", "POST /api/v1/auth/register", REGISTRATION, ANYBODY, "user:register"),
    change(
        "login",
        "POST /api/v1/auth/login",
        r#"{"username": "ada", "password": "{password}"}"#,
        ANYBODY,
        "session:create",
    ),
    change(
        "refresh_session",
        "POST /api/v1/auth/refresh",
        r#"{"refresh_token": "{refresh}"}"#,
        ANYBODY,
        "session:refresh",
    ),
    change("logout", "POST /api/v1/auth/logout", "", OWN, "session:revoke"),
    read("get_current_user", "GET /api/v1/auth/me", OWN),
    change("change_password", "PUT /api/v1/auth/password", PASSWORD_CHANGE, OWN, "password:change"),
    read("list_sessions", "GET /api/v1/auth/sessions", OWN),
    change("revoke_session", "DELETE /api/v1/auth/sessions/{session}", "", "u n n + n n n", "session:revoke"),
    change("revoke_all_sessions", "DELETE /api/v1/auth/sessions", "", OWN, "session:revoke"),
    read("get_jwks", "GET /.well-known/jwks.json", ANYBODY),
    // Users and API keys
    change("create_user", "POST /api/v1/users", ACCOUNT, RULES, "user:update"),
    change(
        "invite_user",
        "POST /api/v1/users/invitations",
        r#"{"email": "{unique}@example.org"}"#,
        RULES,
        "user:update",
    ),
    read("list_users", "GET /api/v1/users", SEES),
    read("get_user", "GET /api/v1/users/{user}", SEES),
    change("update_user", "PATCH /api/v1/users/{user}", r#"{"roles": ["viewer"]}"#, RULES, "user:update"),
    change("revoke_user_sessions", "DELETE /api/v1/users/{user}/sessions", "", RULES, "session:revoke"),
    change(
        "create_api_key",
        "POST /api/v1/api-keys",
        r#"{"name": "{unique}", "roles": ["viewer"]}"#,
        RULES,
        "api-key:create",
    ),
    read("list_api_keys", "GET /api/v1/api-keys", SEES),
    change("revoke_api_key", "DELETE /api/v1/api-keys/{api-key}", "", RULES, "api-key:revoke"),
    // Devices
    change("enrol_device", "POST /api/v1/devices", r#"{"public_key": "{key}"}"#, ANYBODY, "device:enrol"),
    change(
        "preauthorize_device",
        "POST /api/v1/devices/preauthorize",
        r#"{"public_key": "{key}"}"#,
        RUNS,
        "device:preauthorize",
    ),
    change("admit_device", "POST /api/v1/devices/{pending}/admit", "", RUNS, "device:admit"),
    change("block_device", "POST /api/v1/devices/{active}/block", "", RUNS, "device:block"),
    change("unblock_device", "POST /api/v1/devices/{blocked}/unblock", "", RUNS, "device:block"),
    change("retire_device", "POST /api/v1/devices/{active}/retire", "", RUNS, "device:retire"),
    read("list_devices", "GET /api/v1/devices", SEES),
    read("get_device", "GET /api/v1/devices/{mine}", SEES),
    change("update_device", "PATCH /api/v1/devices/{pending}", r#"{"name": "{unique}"}"#, RUNS, "device:update"),
    read("list_device_bundles", "GET /api/v1/devices/{mine}/bundles", SEES),
    read("get_device_timeline", "GET /api/v1/devices/{mine}/timeline", SEES),
    change(
        "put_device_config",
        "PUT /api/v1/devices/{mine}/config",
        r#"{"document": {"level": 1}}"#,
        RUNS,
        "config:write",
    ),
    read("get_device_config", "GET /api/v1/devices/{mine}/config", "u + + + + + d"),
    read("list_device_config_versions", "GET /api/v1/devices/{mine}/config/versions", "u + + + + + d"),
    change("rollback_device_config", "POST /api/v1/devices/{configured}/config/rollback", "{}", RUNS, "config:write"),
    change("rollback_device", "POST /api/v1/devices/{updated}/rollback", "{}", RUNS, "device:rollback"),
    // What devices call
    change("issue_device_token", "POST /api/v1/device/token", ASSERTION, ANYBODY, ""),
    change(
        "heartbeat",
        "POST /api/v1/device/heartbeat",
        r#"{"facts": {"n": "{unique}"}}"#,
        "u d d h d + +",
        "device:heartbeat",
    ),
    change("report", "POST /api/v1/device/reports", REPORT, "u d d h d + d", "device:report"),
    read("download_bundle_as_device", "GET /api/v1/device/bundles/{my-bundle}/content", "u d h h h + h"),
    // Bundles
    change("upload_bundle", "POST /api/v1/bundles?name={unique}&version=1", "raw", RUNS, "bundle:upload"),
    read("list_bundles", "GET /api/v1/bundles", SEES),
    read("get_bundle", "GET /api/v1/bundles/{bundle}", SEES),
    read("download_bundle", "GET /api/v1/bundles/{my-bundle}/content", RUNS),
    change("retire_bundle", "POST /api/v1/bundles/{bundle}/retire", "", RUNS, "bundle:retire"),
    // Deployments
    change("preview_deployment", "POST /api/v1/deployments/preview", DEPLOYMENT, RUNS, ""),
    change("create_deployment", "POST /api/v1/deployments", DEPLOYMENT, RUNS, "deployment:create"),
    read("list_deployments", "GET /api/v1/deployments", SEES),
    read("get_deployment", "GET /api/v1/deployments/{deployment}", SEES),
    read("list_assignments", "GET /api/v1/deployments/{deployment}/assignments", SEES),
    change("approve_deployment", "POST /api/v1/deployments/{awaiting}/approve", "{}", RUNS, "deployment:approve"),
    change("pause_deployment", "POST /api/v1/deployments/{deployment}/pause", "{}", RUNS, "deployment:control"),
    change("resume_deployment", "POST /api/v1/deployments/{paused}/resume", "{}", RUNS, "deployment:control"),
    change("cancel_deployment", "POST /api/v1/deployments/{deployment}/cancel", "{}", RUNS, "deployment:control"),
    change("repin_deployment", "POST /api/v1/deployments/{deployment}/repin", "{}", RUNS, "deployment:control"),
    change("rollback_deployment", "POST /api/v1/deployments/{deployment}/rollback", "{}", RUNS, "deployment:rollback"),
    // Policies, decisions, audit
    read("list_policies", "GET /api/v1/policies", SEES),
    read("get_policy", "GET /api/v1/policies/rbac", SEES),
    read("list_policy_revisions", "GET /api/v1/policies/rbac/revisions", SEES),
    change("put_policy", "PUT /api/v1/policies/{unique}", REVISION, RULES, "policy:write"),
    change(
        "activate_policy",
        "POST /api/v1/policies/{twice-activated}/activate",
        r#"{"revision": 2}"#,
        RULES,
        "policy:activate",
    ),
    change("rollback_policy", "POST /api/v1/policies/{twice-activated}/rollback", "", RULES, "policy:activate"),
    change("upload_plugin", "POST /api/v1/plugins", "component", RULES, "plugin:upload"),
    change("shadow_policy", "POST /api/v1/policies/rbac/shadow", "{}", RULES, "policy:activate"),
    read("get_policy_shadow", "GET /api/v1/policies/rbac/shadow?revision=1", SEES),
    read("list_policy_differences", "GET /api/v1/policies/rbac/differences?revision=1", SEES),
    change("replay_policy", "POST /api/v1/policies/rbac/replay", REPLAY, RULES, "policy:replay"),
    read("get_operation", "GET /api/v1/operations/{replay}", SEES),
    read("list_plugins", "GET /api/v1/plugins", SEES),
    read("get_plugin", "GET /api/v1/plugins/{plugin}", SEES),
    read("list_decisions", "GET /api/v1/decisions", SEES),
    read("get_decision", "GET /api/v1/decisions/{decision}", SEES),
    change("explain_decision", "POST /api/v1/decisions/{decision}/explain", "", SEES, ""),
    read("list_audit_records", "GET /api/v1/audit", SEES),
    // Operating
    read("get_liveness", "GET /health/live", ANYBODY),
    read("get_readiness", "GET /health/ready", ANYBODY),
    read("get_metrics", "GET /metrics", SEES),
];

const REGISTRATION: &str = r#"{"username": "{unique}", "email": "{unique}@example.org", "password": "{password}"}"#;
const ACCOUNT: &str =
    r#"{"username": "{unique}", "email": "{unique}@example.org", "password": "{password}", "roles": ["viewer"]}"#;
const PASSWORD_CHANGE: &str = r#"{"current_password": "{password}", "new_password": "another quite good sentence"}"#;
const ASSERTION: &str = r#"{"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "{assertion}"}"#;
const REPORT: &str = r#"{"assignment_id": "{my-assignment}", "attempt": 1, "state": "downloading"}"#;
const REPLAY: &str = r#"{"revision": 1, "from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}"#;
const REVISION: &str = r#"{"plugin": "{rings}", "gate": "targeting", "settings": {"waves": [{"name": "all"}]}}"#;
const DEPLOYMENT: &str = r#"{"name": "{unique}", "bundle_id": "{bundle}", "selector": "fact.n=nothing"}"#;
