//! The bundled plugins as components, with the documents in `policies/`.

use kernex_engine::{Policy, PrepareError};
use kernex_model::policy::{
    AuthorizationDecision, Batch, Column, ColumnRequest, Counts, Diagnostic, Gate, Permission, Reason, RollbackAction,
    Visible,
};
use kernex_tests::guests::engine;

use super::questions;

fn bundled(name: &str) -> Policy {
    let path = format!("{}/../policies/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let document: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let gate: Gate = document["gate"].as_str().unwrap().parse().unwrap();
    let settings = serde_json::to_string(&document["settings"]).unwrap();
    engine().prepare(kernex_plugins::component(name).unwrap(), gate, &settings).unwrap()
}

#[test]
fn every_bundled_plugin_tells_what_it_is() {
    for plugin in kernex_plugins::ALL {
        let inspection = engine().inspect(plugin.bytes).unwrap();
        assert_eq!(inspection.manifest.name, plugin.name);
        assert_eq!(inspection.manifest.version, env!("CARGO_PKG_VERSION"));
        assert_eq!(inspection.gates.len(), 1, "{} serves {:?}", plugin.name, inspection.gates);
        let schema = &inspection.manifest.settings_schema;
        assert_eq!(schema["type"], "object", "{schema}");
        assert!(schema["properties"].is_object(), "{schema}");
        for import in &inspection.imports {
            assert!(import.starts_with("kernex:policy/"), "{import}");
        }
    }
}

#[test]
fn example_documents_are_accepted() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/examples");
    let paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!paths.is_empty());
    for path in paths {
        let document: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        let component = kernex_plugins::component(document["plugin"].as_str().unwrap()).unwrap();
        let gate: Gate = document["gate"].as_str().unwrap().parse().unwrap();
        let settings = serde_json::to_string(&document["settings"]).unwrap();
        let prepared = engine().prepare(component, gate, &settings);
        assert!(prepared.is_ok(), "{}: {}", path.display(), prepared.unwrap_err());
    }
}

#[test]
fn no_path_of_the_machine_is_in_a_component() {
    let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let home = std::env::home_dir().unwrap();
    for plugin in kernex_plugins::ALL {
        for path in [workspace, home.as_path()] {
            let path = path.to_str().unwrap().as_bytes();
            let found = plugin.bytes.windows(path.len()).any(|window| window == path);
            assert!(!found, "{} contains {path:?}", plugin.name);
        }
    }
}

#[test]
fn rbac_answers_a_batch_in_order() {
    let requests = [
        questions::request(&["viewer"], "device:read"),
        questions::request(&["viewer"], "deployment:create"),
        questions::request(&["viewer", "operator"], "deployment:create"),
        questions::request(&["admin"], "policy:activate"),
    ];
    let run = bundled("rbac").check(&requests, &[]);
    let missing = "no role of the caller grants `deployment:create`";
    let denied = AuthorizationDecision::Deny(Reason::new("role-missing", missing));
    let allow = AuthorizationDecision::Allow;
    assert_eq!(run.outcome.unwrap(), [allow.clone(), denied, allow.clone(), allow]);
    assert!(run.facts_read.is_empty() && run.log.lines().is_empty());
}

#[test]
fn rbac_narrows_lists() {
    let policy = bundled("rbac");
    let scope =
        |roles: &[&str]| policy.scope(&questions::principal(roles), "device:list", "device", &[]).outcome.unwrap();
    assert_eq!(scope(&["viewer"]), Visible::All);
    assert!(matches!(scope(&[]), Visible::Nothing(reason) if reason.code == "role-missing"));
}

#[test]
fn rings_plan_and_classify() {
    let policy = bundled("rings");
    let deployment = questions::deployment();
    let plan = policy.survey(&deployment, &[]).outcome.unwrap().unwrap();
    assert_eq!(plan.waves, ["canary", "early", "half", "all"]);
    let versions = ["1.0.0", "1.0.0", "1.0.0", "2.0.0", "3.0.0"];
    let mut dictionary = vec!["a1".to_owned(), "os".to_owned()];
    dictionary.extend(versions.map(ToOwned::to_owned));
    let column = |request: &ColumnRequest| match request.fact.as_str() {
        "model" => Column::Texts(vec![0; 5]),
        "bundle.name" => Column::Texts(vec![1; 5]),
        "bundle.version" => Column::Texts((2..7).collect()),
        fact => panic!("rings asks for {fact}"),
    };
    let columns = plan.columns.iter().map(column).collect();
    let batch = Batch { device_hashes: vec![7, 1_000, 5_000, 7, 7], dictionary, columns };
    let classes = policy.classify(&deployment, &plan, &batch, &[]).outcome.unwrap();
    assert_eq!(classes[..3], [0, 2, 3]);
    let why = |class: u16| plan.exclusions[usize::from(class) - plan.waves.len()].code.as_str();
    assert_eq!([why(classes[3]), why(classes[4])], ["already-running", "downgrade"]);
}

#[test]
fn guardian_judges_and_permits() {
    let policy = bundled("guardian");
    let judge = |counts: Counts| policy.judge(&questions::window(counts), &[], &[]).outcome.unwrap();
    let failed = judge(Counts { assigned: 1, failed: 1, ..Counts::default() });
    assert_eq!(failed.reason.code, "failure-share-exceeded");
    let verified = judge(Counts { assigned: 1, verified: 1, ..Counts::default() });
    assert_eq!(verified.action, RollbackAction::Advance);
    let permitted = policy.permit(&questions::rollback(), &[]).outcome.unwrap();
    assert_eq!(permitted, Permission::Permitted);
}

#[test]
fn wrong_settings_are_diagnosed_with_a_pointer() {
    let settings = r#"{"roles": {"admin": {"grants": ["*", "everything"]}}}"#;
    let error = engine().prepare(kernex_plugins::RBAC.bytes, Gate::Authorization, settings).unwrap_err();
    let PrepareError::Settings(diagnostics) = error else { panic!("{error}") };
    let message = "`everything` is no grant: `noun:verb`, `noun:*` and `*` are".to_owned();
    assert_eq!(diagnostics, [Diagnostic { pointer: "/roles/admin/grants/1".into(), message }]);
}
