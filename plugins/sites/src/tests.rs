//! What operators of single sites see and may do.

use kernex_sdk::Fact;
use kernex_sdk::authorization::PrincipalKind;
use kernex_sdk::selector::MAX_VALUES;

use super::*;

const SETTINGS: &str = r#"{
    "narrowed_roles": ["operator"],
    "unrestricted_roles": ["admin"],
    "sites_by_role": {"france": ["paris", "lyon"]},
    "sites_by_principal": {"usr_2": ["porto"]}
}"#;

fn sites() -> Sites {
    Sites::from_json(SETTINGS).unwrap()
}

fn principal(id: &str, roles: &[&str]) -> Principal {
    let roles = roles.iter().map(ToString::to_string).collect();
    Principal { kind: PrincipalKind::User, id: id.into(), roles, facts: Vec::new() }
}

fn request(principal: Principal, action: &str, id: Option<&str>, facts: Vec<Fact>) -> Request {
    let (kind, _) = action.split_once(':').unwrap();
    let resource = Resource { kind: kind.into(), id: id.map(Into::into), facts };
    Request { principal, action: action.into(), resource, context: Vec::new() }
}

fn code(plugin: &Sites, request: &Request) -> Option<String> {
    match plugin.check(request) {
        Decision::Allow => None,
        Decision::Deny(reason) => Some(reason.code),
    }
}

/// What is said to a user with the roles who updates a device at the site.
fn device(roles: &[&str], site: Option<&str>) -> Option<String> {
    let facts = site.map(|site| Fact::text("site", site)).into_iter().collect();
    code(&sites(), &request(principal("usr_1", roles), "device:update", Some("dev_1"), facts))
}

/// What is said to an operator in Berlin and Paris who creates a deployment with the selector.
fn deployment(selector: Option<&str>) -> Option<String> {
    let facts = selector.map(|selector| Fact::text("selector", selector)).into_iter().collect();
    let operator = principal("usr_1", &["operator", "site-berlin", "site-paris"]);
    code(&sites(), &request(operator, "deployment:create", None, facts))
}

fn listed(plugin: &Sites, principal: &Principal) -> Option<Vec<String>> {
    match plugin.scope(principal, "device:list", "device") {
        Visible::All => None,
        Visible::Nothing(reason) => {
            assert_eq!(reason.code, "no-site");
            Some(Vec::new())
        }
        Visible::Matching(mut selector) => {
            let requirement = selector.remove(0);
            assert!(selector.is_empty());
            assert_eq!((requirement.key.as_str(), requirement.operator), ("site", Operator::OneOf));
            Some(requirement.values)
        }
    }
}

#[test]
fn a_device_is_touched_at_its_own_site_only() {
    assert_eq!(device(&["operator", "site-berlin"], Some("berlin")), None);
    assert_eq!(device(&["operator", "site-berlin"], Some("paris")).as_deref(), Some("other-site"));
    assert_eq!(device(&["operator", "site-berlin"], Some("berlin-2")).as_deref(), Some("other-site"));
    assert_eq!(device(&["operator", "site-berlin", "site-paris"], Some("paris")), None);
    assert_eq!(device(&["operator", "france"], Some("lyon")), None);
}

#[test]
fn a_missing_site_does_not_open_the_gate() {
    assert_eq!(device(&["operator", "site-berlin"], None).as_deref(), Some("site-unknown"));
    assert_eq!(device(&["operator"], Some("berlin")).as_deref(), Some("no-site"));
    assert_eq!(device(&["operator", "site-"], Some("")).as_deref(), Some("no-site"));
    let operator = principal("usr_1", &["operator", "site-berlin"]);
    let number = vec![Fact::integer("site", 7)];
    let asked = request(operator.clone(), "device:read", Some("dev_1"), number);
    assert_eq!(code(&sites(), &asked).as_deref(), Some("site-unknown"));
    let preauthorize = |facts| code(&sites(), &request(operator.clone(), "device:preauthorize", None, facts));
    assert_eq!(preauthorize(vec![]).as_deref(), Some("site-unknown"));
    assert_eq!(preauthorize(vec![Fact::text("site", "berlin")]), None);
}

#[test]
fn who_is_narrowed_and_who_is_not() {
    assert_eq!(device(&["viewer"], Some("berlin")), None, "a role that is not narrowed");
    assert_eq!(device(&[], None), None, "whoever grants nothing refuses it");
    assert_eq!(device(&["operator", "admin"], Some("berlin")), None);
    assert_eq!(device(&["operator", "viewer"], Some("berlin")).as_deref(), Some("no-site"));
    assert_eq!(device(&["viewer", "site-paris"], Some("berlin")).as_deref(), Some("other-site"), "who has a site");
    let mut heartbeat = request(principal("dev_1", &["operator"]), "device:heartbeat", Some("dev_1"), vec![]);
    heartbeat.principal.kind = PrincipalKind::Device;
    assert_eq!(code(&sites(), &heartbeat), None);
    heartbeat.principal.kind = PrincipalKind::Anonymous;
    assert_eq!(code(&sites(), &heartbeat), None);
    heartbeat.principal.kind = PrincipalKind::Service;
    assert_eq!(code(&sites(), &heartbeat).as_deref(), Some("no-site"));
}

#[test]
fn every_role_can_be_narrowed() {
    let settings = r#"{"narrowed_roles": ["*"], "unrestricted_roles": ["admin"], "role_prefix": ""}"#;
    let plugin = Sites::from_json(settings).unwrap();
    let read = |roles: &[&str]| {
        let facts = vec![Fact::text("site", "berlin")];
        code(&plugin, &request(principal("usr_1", roles), "device:read", Some("dev_1"), facts))
    };
    assert_eq!(read(&["anything"]).as_deref(), Some("no-site"));
    assert_eq!(read(&[]).as_deref(), Some("no-site"));
    assert_eq!(read(&["site-berlin"]).as_deref(), Some("no-site"), "no prefix, no sites by it");
    assert_eq!(read(&["admin"]), None);
}

#[test]
fn lists_show_the_callers_sites() {
    let list = |id: &str, roles: &[&str]| listed(&sites(), &principal(id, roles));
    let some = |sites: &[&str]| Some(sites.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(list("usr_1", &["viewer"]), None);
    assert_eq!(list("usr_1", &["admin", "site-berlin"]), None);
    assert_eq!(list("usr_1", &["operator"]), some(&[]));
    assert_eq!(list("usr_1", &["operator", "site-berlin"]), some(&["berlin"]));
    assert_eq!(list("usr_2", &["france", "site-paris"]), some(&["lyon", "paris", "porto"]), "in order, each once");
    let operator = principal("usr_1", &["operator", "site-berlin"]);
    assert_eq!(code(&sites(), &request(operator, "device:list", None, vec![])), None, "the list is not refused");
}

#[test]
fn check_and_scope_agree_where_a_caller_has_very_many_sites() {
    let many: Vec<String> = (100..100 + MAX_VALUES + 6).map(|number| format!("site-s{number}")).collect();
    let operator = principal("usr_1", &many.iter().map(String::as_str).collect::<Vec<_>>());
    let shown = listed(&sites(), &operator).unwrap();
    assert_eq!(shown.len(), MAX_VALUES);
    let may = |site: &str| {
        let facts = vec![Fact::text("site", site)];
        code(&sites(), &request(operator.clone(), "device:read", Some("dev_1"), facts)).is_none()
    };
    assert!(shown.iter().all(|site| may(site)));
    assert!(!may(&format!("s{}", 100 + MAX_VALUES)));
}

#[test]
fn what_is_not_allowed_to_everybody_is_refused() {
    let may =
        |action: &str| code(&sites(), &request(principal("usr_1", &["operator", "site-berlin"]), action, None, vec![]));
    assert_eq!(may("deployment:read"), None);
    assert_eq!(may("session:revoke"), None);
    for action in ["bundle:upload", "user:update", "api-key:create", "metrics:read", "deployment:anything"] {
        assert_eq!(may(action).as_deref(), Some("fleet-wide"), "{action}");
    }
    let operator = principal("usr_1", &["operator"]);
    assert_eq!(sites().scope(&operator, "deployment:list", "deployment"), Visible::All);
    let Visible::Nothing(reason) = sites().scope(&operator, "audit:list", "audit") else { panic!("shown") };
    assert_eq!(reason.code, "fleet-wide");
}

#[test]
fn a_deployment_keeps_to_the_callers_sites() {
    for selector in [
        "site=berlin",
        "site==paris",
        "site in (berlin)",
        "site in (paris, berlin)",
        "channel=stable,site=berlin,!legacy",
        "site=berlin,site in (berlin,porto)",
        "site!=porto,site=paris",
    ] {
        assert_eq!(deployment(Some(selector)), None, "{selector}");
    }
}

#[test]
fn a_selector_that_may_reach_further_is_refused() {
    for selector in [
        "*",
        "",
        " ",
        "site",
        "!site",
        "site=porto",
        "site in (berlin,porto)",
        "site in ()",
        "site notin (porto)",
        "site!=porto",
        "channel=stable",
        "fact.site=berlin",
        "site/x=berlin",
        "Site=berlin",
        "site=berlin site",
        "site in (berlin) or site",
        "site=berlin)",
        "site = berlin, channel in (a",
        "x=1,site in (berlin),site in",
    ] {
        assert_eq!(deployment(Some(selector)).as_deref(), Some("not-confined"), "{selector}");
    }
    assert_eq!(deployment(None).as_deref(), Some("not-confined"));
}

#[test]
fn what_has_to_be_confined_is_not_simply_allowed() {
    let plugin = Sites::from_json(r#"{"allowed": ["*"], "confined": ["deployment:create"]}"#).unwrap();
    let may = |action: &str| code(&plugin, &request(principal("usr_1", &["site-berlin"]), action, None, vec![]));
    assert_eq!(may("deployment:create").as_deref(), Some("not-confined"));
    assert_eq!(may("deployment:control"), None);
}

#[test]
fn a_selector_is_a_text() {
    let operator = principal("usr_1", &["operator", "site-berlin"]);
    let facts = vec![Fact::texts("selector", ["site=berlin"])];
    assert_eq!(code(&sites(), &request(operator, "deployment:create", None, facts)).as_deref(), Some("not-confined"));
    let nowhere = request(
        principal("usr_1", &["operator"]),
        "deployment:create",
        None,
        vec![Fact::text("selector", "site=berlin")],
    );
    assert_eq!(code(&sites(), &nowhere).as_deref(), Some("no-site"));
}

#[test]
fn a_denial_does_not_tell_where_the_device_stands() {
    let facts = vec![Fact::text("site", "paris")];
    let asked = request(principal("usr_1", &["site-berlin"]), "device:read", Some("dev_1"), facts);
    let Decision::Deny(reason) = sites().check(&asked) else { panic!("allowed") };
    assert!(!reason.message.contains("paris"), "{}", reason.message);
}

#[test]
fn a_denial_is_short() {
    let long: Vec<String> = (0..20).map(|number| format!("site-{number}{}", "x".repeat(120))).collect();
    let operator = principal("usr_1", &long.iter().map(String::as_str).collect::<Vec<_>>());
    let Decision::Deny(reason) = sites().check(&request(operator, "deployment:create", None, vec![])) else {
        panic!("allowed")
    };
    assert!(reason.message.len() <= 1_024, "{}", reason.message);
}

#[test]
fn prefix_and_label_are_settings() {
    let plugin = Sites::from_json(r#"{"label": "plant", "role_prefix": "plant:"}"#).unwrap();
    let operator = principal("usr_1", &["plant:Turin", "site-berlin"]);
    let Visible::Matching(selector) = plugin.scope(&operator, "device:list", "device") else {
        panic!("all or nothing")
    };
    assert_eq!((selector[0].key.as_str(), selector[0].values.as_slice()), ("plant", ["Turin".to_owned()].as_slice()));
    let odd = principal("usr_1", &["plant:a,b", "plant:a b", "plant:x)"]);
    assert_eq!(plugin.scope(&odd, "device:list", "device"), Visible::All, "what cannot be a label is no site");
}

#[test]
fn diagnostics_point_at_the_mistake() {
    let wrong = |text: &str| Sites::from_json(text).unwrap_err().remove(0).pointer;
    for label in ["", "-site", "si te", "fact.site", "bundle.name", "model", "straße"] {
        assert_eq!(wrong(&format!(r#"{{"label": "{label}"}}"#)), "/label", "{label}");
    }
    assert_eq!(wrong(r#"{"narrowed_roles": ["a", ""]}"#), "/narrowed_roles/1");
    assert_eq!(wrong(r#"{"narrowed_roles": ["a"], "unrestricted_roles": ["b", "a"]}"#), "/unrestricted_roles/1");
    assert_eq!(wrong(r#"{"unrestricted_roles": ["*"]}"#), "/unrestricted_roles/0");
    assert_eq!(wrong(r#"{"sites_by_role": {"a/b": []}}"#), "/sites_by_role/a~1b");
    assert_eq!(wrong(r#"{"sites_by_role": {"a": ["x", "y z"]}}"#), "/sites_by_role/a/1");
    assert_eq!(wrong(r#"{"sites_by_principal": {"": ["x"]}}"#), "/sites_by_principal/");
    assert_eq!(wrong(r#"{"allowed": ["deployment"]}"#), "/allowed/0");
    assert_eq!(wrong(r#"{"confined": ["deployment:*", "*:create"]}"#), "/confined/1");
    assert_eq!(wrong(r#"{"sites": {}}"#), "/sites");
    assert!(Sites::from_json("{}").is_ok());
}
