//! One authorization decision: in a fresh sandbox, and natively by Cedar, Regorus and plain Rust.
//!
//! All of them answer the same question over the same table of three roles: may a user with the
//! roles viewer and operator create a deployment? Each is asked the way a server would: the
//! question is made from plain values every time, the policy is loaded once.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use kernex_engine::{Engine, Limits, Policy};
use kernex_model::policy::{
    AuthorizationDecision, AuthorizationRequest, Fact, Gate, PolicyPrincipal, PrincipalKind, Resource,
};

/// The server's allocator, for everybody.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROLES: [(&str, &[&str]); 3] =
    [("viewer", &["device:read", "device:list"]), ("operator", &ACTIONS), ("admin", &ACTIONS)];
const ACTIONS: [&str; 8] = [
    "device:read",
    "device:list",
    "deployment:read",
    "deployment:create",
    "bundle:create",
    "bundle:read",
    "config:write",
    "policy:read",
];
const USER: &str = "usr_01jcn5mzk7e0qv6r3t8w9x2y4z";
const ACTION: &str = "deployment:create";

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
        .configure_from_args();
    kernex(&mut criterion);
    cedar(&mut criterion);
    regorus(&mut criterion);
    native(&mut criterion);
    criterion.final_summary();
}

fn kernex(criterion: &mut Criterion) {
    let policy = policy();
    let request = request();
    let decide = |policy: &Policy| {
        let run = policy.check(std::slice::from_ref(black_box(&request)), &[]);
        assert_eq!(run.outcome.as_deref(), Ok(&[AuthorizationDecision::Allow][..]));
    };
    criterion.bench_function("decision/kernex, fresh sandbox", |bench| bench.iter(|| decide(&policy)));
    let reused = policy.reusing_instances();
    criterion.bench_function("decision/kernex, reused instance", |bench| bench.iter(|| decide(&reused)));
    let roles: Vec<String> = ROLES.map(|(role, _)| role.to_owned()).into();
    let batch: Vec<AuthorizationRequest> = (0..10)
        .map(|_| AuthorizationRequest {
            principal: PolicyPrincipal { roles: roles.clone(), ..request.principal.clone() },
            ..request.clone()
        })
        .collect();
    criterion.bench_function("decision/kernex, ten in one sandbox", |bench| {
        bench.iter(|| assert!(policy.check(black_box(&batch), &[]).outcome.is_ok()));
    });
}

fn policy() -> Policy {
    let roles: serde_json::Map<String, serde_json::Value> =
        ROLES.iter().map(|(role, actions)| ((*role).to_owned(), serde_json::json!({ "grants": actions }))).collect();
    let settings = serde_json::json!({ "roles": roles }).to_string();
    let engine = Engine::new(Limits::default()).expect("this machine runs the engine");
    engine.prepare(kernex_plugins::RBAC.bytes, Gate::Authorization, &settings).expect("the settings are right")
}

fn request() -> AuthorizationRequest {
    AuthorizationRequest {
        principal: PolicyPrincipal {
            kind: PrincipalKind::User,
            id: USER.into(),
            roles: vec!["viewer".into(), "operator".into()],
            facts: Vec::new(),
        },
        action: ACTION.into(),
        resource: Resource { kind: "deployment".into(), id: None, facts: Vec::new() },
        context: vec![Fact::text("address", "10.0.0.1")],
    }
}

fn cedar(criterion: &mut Criterion) {
    use cedar_policy::{Authorizer, Context, Decision, Entities, PolicySet, Request};

    let permits = ROLES.map(|(role, actions)| {
        let actions: Vec<String> = actions.iter().map(|action| format!("Action::\"{action}\"")).collect();
        format!("permit(principal in Role::\"{role}\", action in [{}], resource);", actions.join(","))
    });
    let policies: PolicySet = permits.join("\n").parse().expect("Cedar reads its own language");
    let parents = serde_json::json!([
        { "type": "Role", "id": "viewer" }, { "type": "Role", "id": "operator" }
    ]);
    let role = |id: &str| serde_json::json!({ "uid": { "type": "Role", "id": id }, "attrs": {}, "parents": [] });
    let user = serde_json::json!({ "uid": { "type": "User", "id": USER }, "attrs": {}, "parents": parents });
    let entities = serde_json::json!([user, role("viewer"), role("operator")]);
    let entities = Entities::from_json_value(entities, None).expect("Cedar reads its entities");
    let authorizer = Authorizer::new();
    let make = || {
        Request::new(
            format!("User::\"{}\"", black_box(USER)).parse().expect("an entity"),
            format!("Action::\"{}\"", black_box(ACTION)).parse().expect("an entity"),
            r#"Deployment::"new""#.parse().expect("an entity"),
            Context::empty(),
            None,
        )
        .expect("a request")
    };
    criterion.bench_function("decision/cedar, request and authorizer", |bench| {
        bench.iter(|| {
            let response = authorizer.is_authorized(&make(), &policies, &entities);
            assert_eq!(response.decision(), Decision::Allow);
        });
    });
    let request = make();
    criterion.bench_function("decision/cedar, authorizer only", |bench| {
        bench.iter(|| {
            let response = authorizer.is_authorized(black_box(&request), &policies, &entities);
            assert_eq!(response.decision(), Decision::Allow);
        });
    });
}

fn regorus(criterion: &mut Criterion) {
    let rules = "package kernex\nimport rego.v1\ndefault allow := false\n\
        allow if { some role in input.roles; input.action in data.roles[role] }";
    let roles: BTreeMap<&str, &[&str]> = ROLES.into_iter().collect();
    let data = serde_json::json!({ "roles": roles }).to_string();
    let mut engine = regorus::Engine::new();
    engine.add_policy("kernex.rego".into(), rules.into()).expect("Regorus reads its own language");
    engine.add_data(regorus::Value::from_json_str(&data).expect("JSON")).expect("data");
    let input = serde_json::json!({
        "roles": ["viewer", "operator"], "action": ACTION, "id": USER, "address": "10.0.0.1"
    })
    .to_string();
    criterion.bench_function("decision/regorus, input and evaluation", |bench| {
        bench.iter(|| {
            engine.set_input(regorus::Value::from_json_str(black_box(&input)).expect("JSON"));
            let allowed = engine.eval_rule("data.kernex.allow".into()).expect("a rule");
            assert_eq!(allowed, regorus::Value::from(true));
        });
    });
}

fn native(criterion: &mut Criterion) {
    let table: BTreeMap<String, BTreeSet<String>> = ROLES
        .iter()
        .map(|(role, actions)| ((*role).to_owned(), actions.iter().map(ToString::to_string).collect()))
        .collect();
    let request = request();
    criterion.bench_function("decision/native Rust", |bench| {
        bench.iter(|| {
            let request = black_box(&request);
            let grants = |role: &String| table.get(role).is_some_and(|set| set.contains(&request.action));
            assert!(request.principal.roles.iter().any(grants));
        });
    });
}
