//! Owns case files: questions to a plugin with what it has to answer, in YAML (or JSON, which is YAML, too).

mod expect;
mod question;

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

pub(super) use expect::{Expect, canonical};
pub(super) use question::{Device, Inquiry, Question};

use question::{CheckText, ClassifyText, JudgeText, Known, PermitText, ScopeText, SurveyText};

use super::file::{FileError, read};

/// Size of a case file, in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;
/// Cases in one file.
const MAX_CASES: usize = 1_000;
/// Devices in one case.
const MAX_DEVICES: usize = 10_000;
/// Windows in one case.
const MAX_WINDOWS: usize = 1_000;
/// Length of a case's name, in bytes.
const MAX_NAME_BYTES: usize = 200;

/// Why there are no cases.
#[derive(Debug, thiserror::Error)]
pub(super) enum CasesError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its form.
    #[error("{0}")]
    Form(String),
}

/// One question with its answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Case {
    /// Unlike every other in the file.
    pub(super) name: String,
    /// What the plugin is configured with.
    pub(super) settings: Value,
    /// What it is asked.
    pub(super) inquiry: Inquiry,
    /// Facts whose absence may open the gate: what they say is a reason to refuse.
    pub(super) absent_allows: BTreeSet<String>,
    /// What it has to answer.
    pub(super) expect: Expect,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    #[serde(default)]
    settings: Option<Value>,
    cases: Vec<CaseText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseText {
    name: String,
    settings: Option<Value>,
    check: Option<CheckText>,
    scope: Option<ScopeText>,
    survey: Option<SurveyText>,
    classify: Option<ClassifyText>,
    judge: Option<JudgeText>,
    permit: Option<PermitText>,
    #[serde(default)]
    facts: Known,
    #[serde(default)]
    absent_allows: BTreeSet<String>,
    expect: Expect,
}

/// Reads a case file.
///
/// # Errors
/// [`CasesError`], with the place in the file where there is one.
pub(super) fn load(path: &Path) -> Result<Vec<Case>, CasesError> {
    let bytes = read(path, MAX_FILE_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|_| CasesError::Form(format!("{} is no UTF-8", path.display())))?;
    parse(&text).map_err(|why| CasesError::Form(format!("{}: {why}", path.display())))
}

/// The cases of a text.
///
/// # Errors
/// A sentence that says what is wrong and where.
pub(super) fn parse(text: &str) -> Result<Vec<Case>, String> {
    let file: FileText = serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?;
    if file.cases.is_empty() || file.cases.len() > MAX_CASES {
        return Err(format!("{} cases; a file has 1 to {MAX_CASES}", file.cases.len()));
    }
    let settings = file.settings.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let mut names = BTreeSet::new();
    let mut cases = Vec::new();
    for text in file.cases {
        let name = text.name.clone();
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
            return Err(format!("a case's name is one line of 1 to {MAX_NAME_BYTES} bytes, unlike `{name:.50}`"));
        }
        if !names.insert(name.clone()) {
            return Err(format!("two cases are named `{name}`"));
        }
        cases.push(case(text, &settings).map_err(|why| format!("case `{name}`: {why}"))?);
    }
    Ok(cases)
}

fn case(text: CaseText, settings: &Value) -> Result<Case, String> {
    let CaseText { check, scope, survey, classify, judge, permit, .. } = text;
    let questions = [
        check.map(CheckText::question),
        scope.map(ScopeText::question),
        survey.map(SurveyText::question),
        classify.map(ClassifyText::question).transpose()?,
        judge.map(JudgeText::question).transpose()?,
        permit.map(PermitText::question),
    ];
    let mut asked = questions.into_iter().flatten();
    let (Some(question), None) = (asked.next(), asked.next()) else {
        return Err("there is exactly one of check, scope, survey, classify, judge and permit".to_owned());
    };
    match &question {
        Question::Classify { devices, .. } if devices.len() > MAX_DEVICES => {
            return Err(format!("{} devices; a case has at most {MAX_DEVICES}", devices.len()));
        }
        Question::Judge { windows, .. } if windows.is_empty() || windows.len() > MAX_WINDOWS => {
            return Err(format!("{} windows; a case has 1 to {MAX_WINDOWS}", windows.len()));
        }
        _ => {}
    }
    text.expect.fits(&question)?;
    Ok(Case {
        name: text.name,
        settings: text.settings.unwrap_or_else(|| settings.clone()),
        inquiry: Inquiry { question, facts: text.facts.0 },
        absent_allows: text.absent_allows,
        expect: text.expect,
    })
}

#[cfg(test)]
mod tests {
    use kernex_model::policy::{Fact, Gate};

    use super::*;

    /// The format's own description, kept beside the chapter for authors.
    const EXAMPLES: &str = include_str!("cases/examples.yaml");

    fn refusal(text: &str) -> String {
        parse(text).expect_err(text)
    }

    #[test]
    fn every_kind_of_question_is_read() {
        let cases = parse(EXAMPLES).expect("the examples are right");
        let gates: Vec<Gate> = cases.iter().map(|case| case.inquiry.question.gate()).collect();
        let (authorization, targeting, rollback) = (Gate::Authorization, Gate::Targeting, Gate::Rollback);
        assert_eq!(gates, [authorization, authorization, targeting, targeting, rollback, rollback, rollback]);
        let Question::Check { request } = &cases[0].inquiry.question else { panic!("{:?}", cases[0]) };
        assert_eq!(request.principal.roles, ["operator"]);
        assert_eq!(request.context[0], Fact::text("address", "10.0.0.1"));
        assert_eq!(request.context[1], Fact::integer("now_ms", 1_766_491_200_000));
        assert_eq!(cases[0].inquiry.facts, [Fact::text("season", "winter")]);
        assert_eq!(cases[0].settings, serde_json::json!({ "seasons": ["winter"] }));
        assert_eq!(cases[1].settings, serde_json::json!({}));
        assert_eq!(cases[0].expect.fuel_at_most, Some(20_000));
        let Question::Judge { windows, state } = &cases[5].inquiry.question else { panic!("{:?}", cases[5]) };
        assert_eq!((windows.len(), state.as_slice()), (2, &[][..]));
        assert_eq!(windows[0].overall, windows[0].in_wave);
    }

    #[test]
    fn what_is_misspelt_or_left_out_is_said() {
        let case = |question: &str, expect: &str| format!("cases:\n- name: a\n  {question}\n  expect: {expect}\n");
        let permit = "permit: { device: d, from_bundle: a, to_bundle: b }";
        assert!(parse(&case(permit, "{ outcome: permitted }")).is_ok());
        for (text, says) in [
            (case(permit, "{ outcome: allow }"), "permitted, refused"),
            (case(permit, "{ outcome: permitted, classes: [a] }"), "classes"),
            (case(permit, "{ outcome: permitted, colour: red }"), "colour"),
            (case("name2: x", "{ outcome: allow }"), "name2"),
            (case("facts: {}", "{ outcome: allow }"), "exactly one of"),
            (
                case(
                    &format!("{permit}\n  scope: {{ principal: {{ kind: user }}, action: a, resource_kind: b }}"),
                    "{ outcome: all }",
                ),
                "exactly one of",
            ),
            (case("judge: []", "{ outcome: hold }"), "0 windows"),
            (case("judge: { window: {}, stat: x }", "{ outcome: hold }"), "stat"),
            (
                case(
                    "permit: { device: d, from_bundle: a, to_bundle: b, facts: { x: { y: 1 } } }",
                    "{ outcome: refused }",
                ),
                "`x`",
            ),
            ("cases: []".to_owned(), "0 cases"),
            (
                format!(
                    "{}\n- name: a\n  {permit}\n  expect: {{ outcome: refused }}\n",
                    case(permit, "{ outcome: refused }")
                ),
                "two cases",
            ),
        ] {
            let why = refusal(&text);
            assert!(why.contains(says), "{text}\n{why}");
        }
    }

    /// YAML takes an unquoted 1.0 for a number; on a server a version is a text.
    #[test]
    fn a_label_that_is_no_text_is_refused() {
        let text = |version: &str| {
            format!(
                "cases:\n- name: a\n  classify:\n    deployment: {{}}\n    devices:\n    - hash: 1\n      \
                 facts: {{ bundle.version: {version}, fact.cores: 4 }}\n  expect: {{ outcome: classes }}\n"
            )
        };
        assert!(parse(&text("1.2.0")).is_ok());
        assert!(parse(&text("\"1.0\"")).is_ok());
        let why = refusal(&text("1.0"));
        assert!(why.contains("bundle.version") && why.contains("quotes"), "{why}");
    }
}
