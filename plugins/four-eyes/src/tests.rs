//! Which deployments wait for whom.

use kernex_sdk::Fact;

use super::*;

const SETTINGS: &str = r#"{
    "above_devices": 100,
    "approver_roles": ["lead", "admin"],
    "limits": [
        {"selector": "env=production", "above_devices": 10},
        {"bundle": "boot-loader", "above_devices": 0},
        {"selector": "site in (berlin,paris)", "bundle": "gateway-os", "above_devices": 20}
    ]
}"#;

fn four_eyes() -> FourEyes {
    FourEyes::from_json(SETTINGS).unwrap()
}

fn request(action: &str, id: &str, roles: &[&str], facts: Vec<Fact>) -> Request {
    let roles = roles.iter().map(ToString::to_string).collect();
    let principal = Principal { kind: PrincipalKind::User, id: id.into(), roles, facts: Vec::new() };
    let resource = Resource { kind: "deployment".into(), id: Some("dep_1".into()), facts };
    Request { principal, action: action.into(), resource, context: Vec::new() }
}

fn denial(plugin: &FourEyes, request: &Request) -> Option<Reason> {
    match plugin.check(request) {
        Decision::Allow => None,
        Decision::Deny(reason) => Some(reason),
    }
}

/// What is said when the creator, `usr_1`, has a deployment of a config to staging started.
fn start(plugin: &FourEyes, devices: i64, approved_by: &[&str]) -> Option<Reason> {
    let facts = vec![
        Fact::text("target", "config"),
        Fact::text("selector", "env=staging"),
        Fact::integer("devices", devices),
        Fact::text("created_by", "usr_1"),
        Fact::texts("approved_by", approved_by.iter().copied()),
    ];
    denial(plugin, &request("deployment:start", "usr_1", &["operator"], facts))
}

/// What is said to a user who approves a deployment that `usr_1` created.
fn approve(id: &str, roles: &[&str], approved_by: &[&str]) -> Option<String> {
    let facts = vec![Fact::text("created_by", "usr_1"), Fact::texts("approved_by", approved_by.iter().copied())];
    denial(&four_eyes(), &request("deployment:approve", id, roles, facts)).map(|reason| reason.code)
}

/// Whether a deployment of so many devices with these facts starts without approval.
fn starts(devices: i64, facts: &[(&str, &str)]) -> bool {
    let mut facts: Vec<Fact> = facts.iter().map(|(name, text)| Fact::text(*name, *text)).collect();
    facts.push(Fact::integer("devices", devices));
    facts.push(Fact::text("created_by", "usr_1"));
    denial(&four_eyes(), &request("deployment:start", "usr_1", &[], facts)).is_none()
}

#[test]
fn a_large_deployment_waits_for_a_second_person() {
    assert_eq!(start(&four_eyes(), 100, &[]), None);
    let reason = start(&four_eyes(), 101, &[]).unwrap();
    assert_eq!(reason.code, "approval-required");
    let who = "1 more person with the role `lead` or `admin` has to approve, not its creator";
    assert_eq!(reason.message, format!("{who}: it has 101 devices, more than 100"));
    assert_eq!(start(&four_eyes(), 101, &["usr_2"]), None);
    assert_eq!(start(&four_eyes(), i64::MAX, &["usr_2"]), None);
}

#[test]
fn the_creator_is_no_second_person_and_nobody_counts_twice() {
    assert!(start(&four_eyes(), 101, &["usr_1"]).is_some());
    assert!(start(&four_eyes(), 101, &["usr_1", "usr_1", ""]).is_some());
    let three = FourEyes::from_json(r#"{"above_devices": 0, "approvals": 3, "approver_roles": ["lead"]}"#).unwrap();
    let missing = |approved_by: &[&str]| start(&three, 1, approved_by).map(|reason| reason.message);
    assert!(missing(&[]).unwrap().starts_with("3 more people with the role `lead` have"));
    assert!(missing(&[]).unwrap().ends_with("it has 1 device, more than 0"));
    assert!(missing(&["usr_2", "usr_2", "usr_1"]).unwrap().starts_with("2 more people"));
    assert!(missing(&["usr_2", "usr_3"]).unwrap().starts_with("1 more person"));
    assert_eq!(missing(&["usr_4", "usr_2", "usr_3"]), None);
    assert_eq!(start(&three, 0, &[]), None, "no device, nothing to approve");
}

#[test]
fn a_missing_fact_does_not_open_the_gate() {
    let start = |facts: Vec<Fact>| {
        denial(&four_eyes(), &request("deployment:start", "usr_1", &[], facts)).map(|reason| reason.message)
    };
    assert!(start(vec![]).unwrap().contains("it is not known how many devices it has"));
    assert!(start(vec![Fact::integer("devices", -1)]).unwrap().contains("it is not known"));
    assert!(start(vec![Fact::text("devices", "1")]).unwrap().contains("it is not known"));
    let large = Fact::integer("devices", 101);
    let approved = |by: &[&str]| Fact::texts("approved_by", by.iter().copied());
    assert!(start(vec![large.clone(), approved(&["usr_2"])]).is_some(), "without a creator it may be usr_2");
    assert!(start(vec![large.clone(), approved(&["usr_2"]), Fact::text("created_by", "")]).is_some());
    assert_eq!(start(vec![large.clone(), approved(&["usr_2", "usr_3"])]), None, "only one of them can be it");
    assert!(start(vec![large, Fact::text("created_by", "usr_1"), Fact::text("approved_by", "usr_2")]).is_some());
}

#[test]
fn exempt_roles_start_at_once() {
    let settings = r#"{"above_devices": 0, "approver_roles": ["lead"], "exempt_roles": ["emergency"]}"#;
    let plugin = FourEyes::from_json(settings).unwrap();
    let start = |roles: &[&str]| denial(&plugin, &request("deployment:start", "usr_1", roles, vec![]));
    assert_eq!(start(&["operator", "emergency"]), None);
    assert!(start(&["lead"]).is_some());
    assert!(start(&[]).is_some());
}

#[test]
fn a_lower_limit_applies_where_the_selector_may_reach() {
    for selector in [
        "env=production",
        "env in (staging,production)",
        "env",
        "env!=staging",
        "env notin (staging,test)",
        "region=eu",
        "*",
        "",
        "env=production)",
    ] {
        let facts = [("target", "config"), ("selector", selector)];
        assert!(starts(10, &facts) && !starts(11, &facts), "{selector}");
    }
    for selector in ["env=staging", "env in (a,b)", "!env", "env!=production", "x=1,env notin (production,x)"] {
        let facts = [("target", "config"), ("selector", selector)];
        assert!(starts(100, &facts) && !starts(101, &facts), "{selector}");
    }
    assert!(!starts(11, &[("target", "config")]), "no selector reaches everything");
}

#[test]
fn a_limit_may_be_for_all_but_some() {
    let settings = r#"{"above_devices": 9, "approver_roles": ["lead"],
        "limits": [{"selector": "env notin (test,lab)", "above_devices": 1}]}"#;
    let plugin = FourEyes::from_json(settings).unwrap();
    let starts = |selector: &str| {
        let facts = vec![Fact::integer("devices", 2), Fact::text("selector", selector)];
        denial(&plugin, &request("deployment:start", "usr_1", &[], facts)).is_none()
    };
    assert!(starts("env=test") && starts("env in (lab,test)"));
    assert!(!starts("env in (lab,test,production)"));
    assert!(!starts("!env"), "it has none of the values");
    assert!(!starts("env!=test"));
}

#[test]
fn what_devices_report_may_have_several_values() {
    let settings = r#"{"above_devices": 9, "approver_roles": ["lead"],
        "limits": [{"selector": "fact.nets=lte", "above_devices": 1}]}"#;
    let plugin = FourEyes::from_json(settings).unwrap();
    let starts = |selector: &str| {
        let facts = vec![Fact::integer("devices", 2), Fact::text("selector", selector)];
        denial(&plugin, &request("deployment:start", "usr_1", &[], facts)).is_none()
    };
    assert!(!starts("fact.nets=wifi"), "a device may have both");
    assert!(starts("fact.nets!=lte"));
    assert!(starts("!fact.nets"));
}

#[test]
fn a_lower_limit_applies_to_a_bundle() {
    let staging = ("selector", "env=staging");
    assert!(!starts(1, &[staging, ("bundle", "boot-loader")]));
    assert!(!starts(1, &[staging, ("bundle", "bun_1"), ("bundle.name", "boot-loader")]));
    assert!(starts(20, &[staging, ("bundle", "bun_1"), ("bundle.name", "gateway-os")]));
    assert!(starts(100, &[staging, ("bundle", "app")]));
    assert!(starts(100, &[staging, ("target", "config")]), "a config is no bundle");
    assert!(!starts(1, &[staging, ("bundle", "bun_1")]), "an identifier does not tell the name");
    assert!(!starts(1, &[staging]), "nothing does");
}

#[test]
fn of_several_limits_the_lowest_counts() {
    let bundle = ("bundle", "gateway-os");
    assert!(!starts(21, &[bundle, ("selector", "env=staging,site=berlin")]));
    assert!(starts(20, &[bundle, ("selector", "env=staging,site=berlin")]));
    assert!(starts(100, &[bundle, ("selector", "env=staging,site=porto")]), "both have to fit");
    assert!(!starts(11, &[bundle, ("selector", "env=production,site=berlin")]));
}

#[test]
fn approving_is_for_others_with_the_role() {
    assert_eq!(approve("usr_2", &["lead"], &[]), None);
    assert_eq!(approve("usr_2", &["operator", "admin"], &["usr_3"]), None);
    assert_eq!(approve("usr_2", &["operator"], &[]).as_deref(), Some("not-an-approver"));
    assert_eq!(approve("usr_2", &[], &[]).as_deref(), Some("not-an-approver"));
    assert_eq!(approve("usr_1", &["lead"], &[]).as_deref(), Some("own-deployment"));
    assert_eq!(approve("usr_1", &["operator"], &[]).as_deref(), Some("not-an-approver"));
    assert_eq!(approve("usr_2", &["lead"], &["usr_3", "usr_2"]).as_deref(), Some("already-approved"));
}

#[test]
fn only_a_person_approves_and_only_where_the_creator_is_known() {
    let facts = vec![Fact::text("created_by", "usr_1")];
    let mut asked = request("deployment:approve", "key_1", &["lead"], facts);
    for kind in [PrincipalKind::Service, PrincipalKind::Device, PrincipalKind::Anonymous] {
        asked.principal.kind = kind;
        assert_eq!(denial(&four_eyes(), &asked).unwrap().code, "not-an-approver");
    }
    asked.principal.kind = PrincipalKind::User;
    assert_eq!(denial(&four_eyes(), &asked), None);
    asked.resource.facts.clear();
    assert_eq!(denial(&four_eyes(), &asked).unwrap().code, "creator-unknown");
}

#[test]
fn everything_else_is_allowed() {
    for action in ["deployment:create", "deployment:control", "device:update", "deployment:started", ""] {
        assert_eq!(denial(&four_eyes(), &request(action, "usr_1", &[], vec![])), None, "{action}");
    }
    let principal = request("device:list", "usr_1", &[], vec![]).principal;
    assert_eq!(four_eyes().scope(&principal, "device:list", "device"), Visible::All);
}

#[test]
fn a_denial_is_short() {
    let roles: Vec<String> = (0..8).map(|number| format!("\"{number}{}\"", "x".repeat(63))).collect();
    let settings = format!(r#"{{"above_devices": 0, "approver_roles": [{}]}}"#, roles.join(","));
    let message = start(&FourEyes::from_json(&settings).unwrap(), i64::MAX, &[]).unwrap().message;
    assert!(message.len() <= 1_024, "{message}");
}

#[test]
fn diagnostics_point_at_the_mistake() {
    let wrong = |text: &str| FourEyes::from_json(text).unwrap_err().remove(0).pointer;
    let limit =
        |limit: &str| wrong(&format!(r#"{{"above_devices": 100, "approver_roles": ["lead"], "limits": [{limit}]}}"#));
    assert_eq!(wrong(r#"{"above_devices": -1, "approver_roles": ["lead"]}"#), "/above_devices");
    assert_eq!(wrong(r#"{"above_devices": 1, "approver_roles": []}"#), "/approver_roles");
    assert_eq!(wrong(r#"{"above_devices": 1, "approver_roles": ["lead", ""]}"#), "/approver_roles/1");
    let nine = ["\"r\""; 9].join(",");
    assert_eq!(wrong(&format!(r#"{{"above_devices": 1, "approver_roles": [{nine}]}}"#)), "/approver_roles");
    assert_eq!(wrong(r#"{"above_devices": 1, "approver_roles": ["lead"], "exempt_roles": [""]}"#), "/exempt_roles/0");
    for approvals in ["0", "6"] {
        let text = format!(r#"{{"above_devices": 1, "approvals": {approvals}, "approver_roles": ["lead"]}}"#);
        assert_eq!(wrong(&text), "/approvals");
    }
    assert_eq!(limit(r#"{"above_devices": 10}"#), "/limits/0");
    assert_eq!(limit(r#"{"selector": "", "above_devices": 10}"#), "/limits/0/selector");
    assert_eq!(limit(r#"{"selector": "a in b", "above_devices": 10}"#), "/limits/0/selector");
    assert_eq!(limit(r#"{"bundle": "", "above_devices": 10}"#), "/limits/0/bundle");
    assert_eq!(limit(r#"{"bundle": "os", "above_devices": 100}"#), "/limits/0/above_devices");
    assert_eq!(limit(&[r#"{"bundle": "os", "above_devices": 1}"#; 65].join(",")), "/limits");
}
