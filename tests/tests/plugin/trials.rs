//! `plugin test` against a plugin that does wrong: each wrong is found, and only that.

use kernex_tests::guests::MISBEHAVING;
use serde_json::Value;

use super::desk::Desk;

fn desk() -> Desk {
    let desk = Desk::new();
    desk.put("misbehaving.wasm", MISBEHAVING);
    desk
}

/// A case file with one case: what the plugin does, what it is asked, what is expected.
fn case(decide: &str, question: &str, expect: &str) -> String {
    format!("settings: {{ decide: {decide} }}\ncases:\n- name: a\n  {question}\n  expect: {expect}\n")
}

const CHECK: &str =
    "check: { principal: { kind: user }, action: device:read, resource: { kind: device, facts: { site: lab } } }";
const SCOPE: &str = "scope: { principal: { kind: user }, action: device:list, resource_kind: device }";
const PERMIT: &str = "permit: { device: d, from_bundle: a, to_bundle: b }";
const CLASSIFY: &str =
    "classify: { deployment: {}, devices: [{ hash: 1 }, { hash: 2 }, { hash: 3, facts: { site: lab } }] }";

fn failures(tested: &Value) -> String {
    tested["cases"][0]["failures"].to_string()
}

#[test]
fn what_answers_as_expected_passes() {
    let desk = desk();
    for (decide, question, expect) in [
        ("none", CHECK, "{ outcome: deny, code: as-asked }"),
        ("none", SCOPE, "{ outcome: nothing }"),
        ("none", "survey: { deployment: {} }", "{ outcome: plan, waves: [wave-0, wave-1], candidates: \"*\" }"),
        ("none", CLASSIFY, "{ outcome: classes, classes: [wave-0, wave-0, wave-0] }"),
        ("none", "judge: [{ now_ms: 1 }, { now_ms: 2 }]", "{ outcome: hold, code: as-asked }"),
        ("none", "judge: { window: {}, state: AAEC }", "{ outcome: hold }"),
        ("none", PERMIT, "{ outcome: refused, fuel_at_most: 5000000 }"),
        ("panic", PERMIT, "{ outcome: fault, code: trapped }"),
        ("loop", CLASSIFY, "{ outcome: fault }"),
    ] {
        let (tested, code) = desk.tested("misbehaving.wasm", &case(decide, question, expect));
        assert_eq!(
            (code, &tested["passed"], failures(&tested).as_str()),
            (Some(0), &Value::from(1), "[]"),
            "{question}"
        );
    }
}

#[test]
fn every_wrong_is_found() {
    let desk = desk();
    for (decide, question, expect, says) in [
        ("none", CHECK, "{ outcome: allow }", "expected allow, got deny as-asked"),
        ("none", CHECK, "{ outcome: deny, code: other }", "expected the code other, got as-asked"),
        ("none", PERMIT, "{ outcome: refused, fuel_at_most: 1 }", "the case allows 1"),
        ("none", "survey: { deployment: {} }", "{ outcome: plan, waves: [a] }", "wave-0, wave-1"),
        ("none", CLASSIFY, "{ outcome: classes, classes: [wave-0, wave-1, wave-0] }", "device 1: expected wave-1"),
        ("panic", PERMIT, "{ outcome: refused }", "a fault (trapped)"),
        ("panic", PERMIT, "{ outcome: fault, code: out_of_fuel }", "expected the fault out_of_fuel, got trapped"),
        ("none", PERMIT, "{ outcome: fault }", "expected fault, got refused as-asked"),
        ("loop", CHECK, "{ outcome: deny }", "a fault (out_of_fuel)"),
        ("makeshift", PERMIT, "{ outcome: refused }", "bytes of memory it answers refused no-room"),
        ("nonsense", PERMIT, "{ outcome: refused }", "a fault (bad_output)"),
        ("remembering", PERMIT, "{ outcome: refused }", "it keeps something between two calls"),
        ("counting", CLASSIFY, "{ outcome: classes }", "with the devices in batches of 1, device 1 is wave-0"),
        ("nobody", PERMIT, "{ outcome: refused }", "says the plugin"),
    ] {
        let (tested, code) = desk.tested("misbehaving.wasm", &case(decide, question, expect));
        assert_eq!((code, &tested["failed"]), (Some(1), &Value::from(1)), "{decide}: {tested}");
        assert!(failures(&tested).contains(says), "{decide}: {}", failures(&tested));
    }
}

#[test]
fn a_missing_fact_that_opens_the_gate_is_found() {
    let desk = desk();
    let trusting =
        |more: &str| case("trusting", &format!("{CHECK}\n  facts: {{ season: winter }}{more}"), "{ outcome: deny }");
    let (tested, code) = desk.tested("misbehaving.wasm", &trusting(""));
    assert_eq!(code, Some(1), "{tested}");
    assert!(failures(&tested).contains("without `season` to look up it answers allow"), "{tested}");
    assert_eq!(tested["cases"][0]["facts_read"], serde_json::json!(["season"]));
    let (tested, code) = desk.tested("misbehaving.wasm", &trusting("\n  absent_allows: [season]"));
    assert_eq!(code, Some(0), "{tested}");
}

#[test]
fn no_gate_is_opened_by_a_missing_fact() {
    let desk = desk();
    for (question, expect, says) in [
        (CLASSIFY, "{ outcome: classes, classes: [as-asked, as-asked, as-asked] }", "it answers 3 wave-0"),
        ("judge: { window: {} }", "{ outcome: hold }", "it answers advance as-asked instead of hold as-asked"),
        (PERMIT, "{ outcome: refused }", "it answers permitted instead of refused as-asked"),
    ] {
        let question = format!("{question}\n  facts: {{ season: winter }}");
        let (tested, code) = desk.tested("misbehaving.wasm", &case("trusting", &question, expect));
        assert_eq!(code, Some(1), "{tested}");
        let failures = failures(&tested);
        assert!(failures.contains("without `season` to look up") && failures.contains(says), "{failures}");
    }
}

#[test]
fn budgets_are_written_into_the_file() {
    let desk = desk();
    let text = format!("# Why.\n{}", case("none", PERMIT, "{ outcome: refused, fuel_at_most: 1 } # tight"));
    let more = format!("- name: wrong\n  {PERMIT}\n  expect: {{ outcome: permitted }}\n");
    desk.put("cases.yaml", text.clone() + &more);
    let words = ["plugin", "test", "misbehaving.wasm", "--bless"];
    assert!(desk.kernex(&words).failed().contains("1 of 2 cases failed"), "the wrong one is still wrong");
    let blessed = desk.read("cases.yaml");
    assert!(
        blessed.contains("# Why.") && blessed.contains("} # tight") && !blessed.contains("fuel_at_most: 1 "),
        "{blessed}"
    );
    assert!(blessed.ends_with("expect: { outcome: permitted }\n"), "a case that fails gets no budget: {blessed}");
    desk.put("cases.yaml", blessed.replace("outcome: permitted", "outcome: refused"));
    desk.kernex(&["plugin", "test", "misbehaving.wasm"]).done();
}

#[test]
fn what_is_no_case_file_is_said() {
    let desk = desk();
    let tested = |cases: &str| {
        desk.put("cases.yaml", cases);
        desk.kernex(&["plugin", "test", "misbehaving.wasm"]).failed()
    };
    assert!(tested("cases: 3\n").contains("cases.yaml"));
    let misspelt = tested(&case("none", PERMIT, "{ outcom: refused }"));
    assert!(misspelt.contains("outcom") && misspelt.contains("line 5"), "{misspelt}");
    std::fs::remove_file(desk.path("cases.yaml")).expect("it is there");
    assert!(desk.kernex(&["plugin", "test", "misbehaving.wasm"]).failed().contains("--cases"));
}
