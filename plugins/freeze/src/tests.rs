//! When changes are allowed, under the settings of an ordinary operation.

use kernex_sdk::{Fact, testing};

use super::*;

const SETTINGS: &str = r#"{
    "covers": ["deployment:create", "deployment:start", "deployment:control", "config:*"],
    "windows": [
        {"days": ["mon", "tue", "wed", "thu"], "from": "09:00", "to": "16:00", "utc_offset_minutes": 60},
        {"days": ["sat"], "from": "22:00", "to": "04:00", "utc_offset_minutes": 60}
    ],
    "freezes": [
        {"name": "year end", "from": "2026-12-18T17:00:00+01:00", "to": "2027-01-04T08:00:00+01:00"},
        {"name": "audit", "from": "2026-12-28T00:00:00Z", "to": "2026-12-30T00:00:00Z"}
    ],
    "exempt": [{"role": "admin"}, {"role": "on-call", "needs": "approval"}]
}"#;

/// A Wednesday, 11:00 in Berlin: in a window.
const OPEN: &str = "2026-12-02T10:00:00Z";
/// The Tuesday before Christmas: in a window of the week, and in a freeze.
const FROZEN: &str = "2026-12-22T10:00:00Z";

fn freeze() -> Freeze {
    Freeze::from_json(SETTINGS).unwrap()
}

/// A change of an operator, at a time.
fn change(action: &str, now: Option<&str>) -> Request {
    let operator = testing::principal(PrincipalKind::User, &["operator"]);
    let now = now.map(|text| Fact::integer("now_ms", instants::parse(text).unwrap()));
    Request { context: now.into_iter().collect(), ..testing::request(operator, action) }
}

fn denial(request: &Request) -> Option<(String, String)> {
    match freeze().check(request) {
        Decision::Allow => None,
        Decision::Deny(reason) => Some((reason.code, reason.message)),
    }
}

fn code_at(now: &str) -> Option<String> {
    denial(&change("deployment:create", Some(now))).map(|(code, _)| code)
}

#[test]
fn changes_are_allowed_in_a_window_and_refused_outside() {
    assert_eq!(code_at(OPEN), None);
    assert_eq!(code_at("2026-12-02T08:00:00Z"), None, "the first moment of a window");
    assert_eq!(code_at("2026-12-02T07:59:59.999Z").as_deref(), Some("outside-window"));
    assert_eq!(code_at("2026-12-02T14:59:59.999Z"), None);
    assert_eq!(code_at("2026-12-02T15:00:00Z").as_deref(), Some("outside-window"), "the end is excluded");
    assert_eq!(code_at("2026-12-04T10:00:00Z").as_deref(), Some("outside-window"), "Friday");
}

#[test]
fn a_window_may_go_over_midnight() {
    assert_eq!(code_at("2026-12-05T20:59:59Z").as_deref(), Some("outside-window"));
    assert_eq!(code_at("2026-12-05T21:00:00Z"), None);
    assert_eq!(code_at("2026-12-06T02:59:59Z"), None, "Sunday, by the window of Saturday");
    assert_eq!(code_at("2026-12-06T03:00:00Z").as_deref(), Some("outside-window"));
    assert_eq!(code_at("2026-12-06T21:00:00Z").as_deref(), Some("outside-window"), "there is none on Sunday");
}

#[test]
fn a_denial_says_when_the_next_window_begins() {
    let next = |now: &str| denial(&change("deployment:create", Some(now))).unwrap().1;
    assert!(next("2026-12-03T15:00:00Z").ends_with("2026-12-05T21:00:00Z"), "{}", next("2026-12-03T15:00:00Z"));
    assert!(next("2026-12-06T03:00:00.500Z").ends_with("2026-12-07T08:00:00Z"), "the next week's");
}

#[test]
fn a_freeze_goes_before_the_windows() {
    let (code, message) = denial(&change("config:write", Some(FROZEN))).unwrap();
    assert_eq!(code, "change-freeze");
    assert_eq!(message, "`year end` freezes changes until 2027-01-04T07:00:00Z");
    assert_eq!(code_at("2026-12-18T16:00:00Z").as_deref(), Some("change-freeze"), "its first moment");
    assert_eq!(code_at("2026-12-18T15:59:59.999Z").as_deref(), Some("outside-window"));
    assert_eq!(code_at("2027-01-04T07:00:00Z").as_deref(), Some("outside-window"), "its end is excluded");
    let both = denial(&change("config:write", Some("2026-12-29T10:00:00Z"))).unwrap().1;
    assert!(both.contains("year end"), "of two freezes the longer is named: {both}");
}

#[test]
fn without_windows_only_freezes_count() {
    let settings = r#"{"covers": ["*"], "freezes": [
        {"name": "a", "from": "2026-01-02T00:00:00Z", "to": "2026-01-03T00:00:00Z"},
        {"name": "b", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}]}"#;
    let freeze = Freeze::from_json(settings).unwrap();
    let allows = |now: &str| freeze.check(&change("device:retire", Some(now))) == Decision::Allow;
    assert!(allows("2025-12-31T23:59:59Z") && allows("2026-01-03T00:00:00Z"));
    assert!(!allows("2026-01-01T12:00:00Z") && !allows("2026-01-02T12:00:00Z"));
}

#[test]
fn a_missing_time_does_not_open_the_gate() {
    assert_eq!(denial(&change("config:write", None)).unwrap().0, "time-unknown");
    let mut told_as_text = change("config:write", None);
    told_as_text.context.push(Fact::text("now_ms", "1764669600000"));
    assert_eq!(denial(&told_as_text).unwrap().0, "time-unknown");
    let mut told_by_resource = change("config:write", None);
    told_by_resource.resource.facts.push(Fact::integer("now_ms", instants::parse(OPEN).unwrap()));
    assert_eq!(denial(&told_by_resource).unwrap().0, "time-unknown", "a label may have any name");
}

#[test]
fn the_ends_of_time_are_times_too() {
    for now_ms in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX] {
        let mut request = change("config:write", None);
        request.context.push(Fact::integer("now_ms", now_ms));
        let code = denial(&request).map(|(code, _)| code);
        assert!(code.is_none_or(|code| code == "outside-window"), "{now_ms}");
    }
    assert!(instants::written(i64::MAX).starts_with("9223372036854775807 ms"));
}

#[test]
fn what_is_not_covered_is_allowed_at_any_time() {
    for action in ["deployment:read", "device:rollback", "deployment:rollback", "configs:write"] {
        assert_eq!(denial(&change(action, Some(FROZEN))), None, "{action}");
    }
}

#[test]
fn devices_and_callers_without_a_login_are_not_stopped() {
    let freeze = Freeze::from_json(&SETTINGS.replace(r#""config:*""#, r#""*""#)).unwrap();
    let may = |kind| {
        let mut request = change("device:heartbeat", Some(FROZEN));
        request.principal.kind = kind;
        freeze.check(&request) == Decision::Allow
    };
    assert!(may(PrincipalKind::Device) && may(PrincipalKind::Anonymous));
    assert!(!may(PrincipalKind::User) && !may(PrincipalKind::Service));
}

#[test]
fn stopping_something_is_free() {
    let control = |step: Option<&str>| {
        let mut request = change("deployment:control", Some(FROZEN));
        request.resource.facts.extend(step.map(|step| Fact::text("step", step)));
        denial(&request).map(|(code, _)| code)
    };
    assert_eq!(control(Some("pause")), None);
    assert_eq!(control(Some("cancel")), None);
    assert_eq!(control(Some("resume")).as_deref(), Some("change-freeze"));
    assert_eq!(control(None).as_deref(), Some("change-freeze"), "a missing step is not free");
    let mut other = change("deployment:create", Some(FROZEN));
    other.resource.facts.push(Fact::text("step", "pause"));
    assert!(denial(&other).is_some(), "only control actions have free steps");
}

#[test]
fn an_exempt_role_may_at_any_time() {
    let mut request = change("deployment:create", Some(FROZEN));
    request.principal.roles.push("admin".into());
    assert_eq!(denial(&request), None);
    request.context.clear();
    assert_eq!(denial(&request), None, "not even the time is needed");
    request.principal.roles = vec!["admins".into()];
    assert!(denial(&request).is_some());
}

#[test]
fn an_exemption_may_need_approval_by_somebody_else() {
    let start = |approvers: Option<Vec<&str>>| {
        let mut request = change("deployment:start", Some(FROZEN));
        request.principal.roles = vec!["on-call".into()];
        request.resource.facts.extend(approvers.map(|approvers| Fact::texts("approved_by", approvers)));
        denial(&request)
    };
    assert_eq!(start(Some(vec!["usr_1", "usr_2"])), None);
    for approvers in [None, Some(vec![]), Some(vec!["usr_1"]), Some(vec![""])] {
        let (code, message) = start(approvers).unwrap();
        assert_eq!(code, "change-freeze");
        assert!(message.contains("once somebody else has approved it"), "{message}");
    }
}

#[test]
fn lists_are_not_narrowed() {
    let principal = change("device:list", None).principal;
    assert_eq!(freeze().scope(&principal, "device:list", "device"), Visible::All);
}

#[test]
fn diagnostics_point_at_the_mistake() {
    let wrong = |text: &str| Freeze::from_json(text).unwrap_err().remove(0).pointer;
    let window = |window: &str| wrong(&format!(r#"{{"covers": ["*"], "windows": [{window}]}}"#));
    let freeze = |freeze: &str| wrong(&format!(r#"{{"covers": ["*"], "freezes": [{freeze}]}}"#));
    assert_eq!(wrong(r#"{"covers": []}"#), "/covers");
    assert_eq!(wrong(r#"{"covers": ["config"]}"#), "/covers/0");
    assert_eq!(wrong(r#"{"covers": ["*"], "windows": []}"#), "/windows");
    assert_eq!(window(r#"{"days": [], "from": "09:00", "to": "10:00"}"#), "/windows/0/days");
    assert_eq!(window(r#"{"days": ["monday"], "from": "09:00", "to": "10:00"}"#), "/windows/0/days/0");
    for from in ["24:00", "9:00", "09:60", "-1:00", "09.00", "", "09:00:00", "０９:00"] {
        let text = format!(r#"{{"days": ["mon"], "from": "{from}", "to": "10:00"}}"#);
        assert_eq!(window(&text), "/windows/0/from", "{from}");
    }
    assert_eq!(window(r#"{"days": ["mon"], "from": "09:00", "to": "24:01"}"#), "/windows/0/to");
    assert_eq!(window(r#"{"days": ["mon"], "from": "09:00", "to": "09:00"}"#), "/windows/0/to");
    let offset = r#"{"days": ["mon"], "from": "09:00", "to": "10:00", "utc_offset_minutes": 841}"#;
    assert_eq!(window(offset), "/windows/0/utc_offset_minutes");
    assert_eq!(
        freeze(r#"{"name": "", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}"#),
        "/freezes/0/name"
    );
    assert_eq!(
        freeze(r#"{"name": "x", "from": "2026-02-29T00:00:00Z", "to": "2026-03-02T00:00:00Z"}"#),
        "/freezes/0/from"
    );
    assert_eq!(freeze(r#"{"name": "x", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02"}"#), "/freezes/0/to");
    assert_eq!(
        freeze(r#"{"name": "x", "from": "2026-01-02T01:00:00+01:00", "to": "2026-01-02T00:00:00Z"}"#),
        "/freezes/0/to"
    );
    assert_eq!(wrong(r#"{"covers": ["*"], "exempt": [{"role": "a"}, {"role": "a"}]}"#), "/exempt/1/role");
    assert_eq!(wrong(r#"{"covers": ["*"], "exempt": [{"role": "a", "needs": "luck"}]}"#), "/exempt/0/needs");
}

#[test]
fn lists_have_a_limit() {
    let pointers = |field: &str, item: &str, count: usize| {
        let items = vec![item; count].join(",");
        let settings = format!(r#"{{"covers": ["*"], "{field}": [{items}]}}"#);
        Freeze::from_json(&settings).err().map(|diagnostics| diagnostics[0].pointer.clone())
    };
    let window = r#"{"days": ["mon", "sun"], "from": "09:00", "to": "10:00"}"#;
    assert_eq!(pointers("windows", window, 64), None);
    assert_eq!(pointers("windows", window, 65).as_deref(), Some("/windows"));
    let freeze = r#"{"name": "x", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}"#;
    assert_eq!(pointers("freezes", freeze, 256), None);
    assert_eq!(pointers("freezes", freeze, 257).as_deref(), Some("/freezes"));
}
