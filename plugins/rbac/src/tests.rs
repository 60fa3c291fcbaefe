//! Who may do what under the settings of an ordinary fleet.

use kernex_sdk::Fact;

use super::*;

const SETTINGS: &str = r#"{
    "roles": {
        "admin": {"grants": ["*"]},
        "operator": {"grants": ["device:*", "deployment:create", "deployment:read"]},
        "lab": {"grants": ["device:read", "device:list"], "devices": "site=lab"},
        "field": {"grants": ["device:list"], "devices": "site=field"}
    },
    "device": {"grants": ["device:heartbeat", "bundle:download"]},
    "anonymous": {"grants": ["auth:login"]},
    "self_service": ["session:list", "session:revoke", "user:read"]
}"#;

fn rbac() -> Rbac {
    Rbac::from_json(SETTINGS).unwrap()
}

fn principal(kind: PrincipalKind, roles: &[&str]) -> Principal {
    let roles = roles.iter().map(ToString::to_string).collect();
    Principal { kind, id: "usr_1".into(), roles, facts: Vec::new() }
}

fn request(principal: Principal, action: &str, kind: &str, id: Option<&str>, facts: Vec<Fact>) -> Request {
    let resource = Resource { kind: kind.into(), id: id.map(Into::into), facts };
    Request { principal, action: action.into(), resource, context: Vec::new() }
}

fn user_may(roles: &[&str], action: &str) -> bool {
    let (noun, _) = action.split_once(':').unwrap();
    let request = request(principal(PrincipalKind::User, roles), action, noun, None, Vec::new());
    rbac().check(&request) == Decision::Allow
}

#[test]
fn any_role_that_grants_the_action_is_enough() {
    assert!(user_may(&["admin"], "policy:activate"));
    assert!(user_may(&["lab", "operator"], "deployment:create"));
    assert!(user_may(&["operator"], "device:retire"));
    assert!(!user_may(&["operator"], "policy:activate"));
    assert!(!user_may(&["nobody-knows"], "device:read"));
    assert!(!user_may(&[], "device:read"));
}

#[test]
fn a_denial_names_the_action() {
    let request = request(principal(PrincipalKind::Service, &[]), "bundle:upload", "bundle", None, vec![]);
    let Decision::Deny(reason) = rbac().check(&request) else { panic!("allowed") };
    assert_eq!(reason.code, "role-missing");
    assert!(reason.message.contains("bundle:upload"));
}

#[test]
fn a_device_acts_on_itself_only() {
    let may = |action: &str, id: Option<&str>| {
        rbac().check(&request(principal(PrincipalKind::Device, &["admin"]), action, "device", id, vec![]))
    };
    assert_eq!(may("device:heartbeat", Some("usr_1")), Decision::Allow);
    assert_eq!(may("bundle:download", None), Decision::Allow);
    let Decision::Deny(reason) = may("device:heartbeat", Some("dev_2")) else { panic!("allowed") };
    assert_eq!(reason.code, "not-own-device");
    let Decision::Deny(reason) = may("device:retire", Some("usr_1")) else { panic!("allowed") };
    assert_eq!(reason.code, "role-missing");
}

#[test]
fn users_look_after_their_own_account_without_a_role() {
    let may = |kind, action: &str, noun: &str, id, owner: &str| {
        let facts = vec![Fact::text("owner", owner)];
        rbac().check(&request(principal(kind, &[]), action, noun, id, facts)) == Decision::Allow
    };
    assert!(may(PrincipalKind::User, "session:revoke", "session", Some("ses_1"), "usr_1"));
    assert!(!may(PrincipalKind::User, "session:revoke", "session", Some("ses_1"), "usr_2"));
    assert!(may(PrincipalKind::User, "user:read", "user", Some("usr_1"), "none"));
    assert!(!may(PrincipalKind::Service, "session:revoke", "session", Some("ses_1"), "usr_1"));
    assert!(!may(PrincipalKind::User, "user:disable", "user", Some("usr_1"), "usr_1"));
}

#[test]
fn a_narrowed_role_acts_on_matching_devices_only() {
    let may = |site: &str| {
        let facts = vec![Fact::text("site", site)];
        let request = request(principal(PrincipalKind::User, &["lab"]), "device:read", "device", Some("dev_1"), facts);
        rbac().check(&request) == Decision::Allow
    };
    assert!(may("lab"));
    assert!(!may("field"));
}

#[test]
fn lists_are_narrowed_by_the_roles() {
    let scope = |kind, roles: &[&str], action: &str, noun: &str| rbac().scope(&principal(kind, roles), action, noun);
    let one = |key: &str, operator, values: &[&str]| {
        let values = values.iter().map(ToString::to_string).collect();
        Visible::Matching(vec![Requirement { key: key.into(), operator, values }])
    };
    let user = PrincipalKind::User;
    assert_eq!(scope(user, &["lab", "operator"], "device:list", "device"), Visible::All);
    assert_eq!(scope(user, &["lab"], "device:list", "device"), one("site", Operator::Equals, &["lab"]));
    assert_eq!(
        scope(user, &["lab", "field"], "device:list", "device"),
        one("site", Operator::OneOf, &["field", "lab"])
    );
    assert_eq!(scope(user, &["operator"], "deployment:read", "deployment"), Visible::All);
    assert_eq!(scope(user, &[], "session:list", "session"), one("owner", Operator::Equals, &["usr_1"]));
    assert!(matches!(scope(user, &[], "device:list", "device"), Visible::Nothing(_)));
    assert!(matches!(scope(PrincipalKind::Device, &[], "bundle:download", "bundle"), Visible::Nothing(_)));
}

#[test]
fn nobody_may_log_in_and_nothing_else() {
    let may =
        |action: &str| rbac().check(&request(principal(PrincipalKind::Anonymous, &[]), action, "auth", None, vec![]));
    assert_eq!(may("auth:login"), Decision::Allow);
    assert!(matches!(may("device:list"), Decision::Deny(_)));
}

#[test]
fn diagnostics_point_at_the_mistake() {
    let wrong = |text: &str| Rbac::from_json(text).unwrap_err().remove(0).pointer;
    assert_eq!(wrong(r#"{"roles": {"a": {"grants": ["device:read", "Device"]}}}"#), "/roles/a/grants/1");
    assert_eq!(wrong(r#"{"roles": {"a": {"grants": [], "devices": "site in x"}}}"#), "/roles/a/devices");
    assert_eq!(wrong(r#"{"roles": {}, "self_service": ["session:"]}"#), "/self_service/0");
    assert_eq!(wrong(r#"{"rolls": {}}"#), "/rolls");
}
