//! Owns cases made of a server's decision log: what was asked, and what came of it, as a case file.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use kernex_model::name::PolicyName;
use kernex_model::policy::{PolicySelector, ScopeRequest, Visible};
use kernex_model::selector::Selector;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use super::cases::{MAX_FILE_BYTES, canonical};
use crate::cli::CliError;
use crate::cli::operator::{Operator, Server};

/// The file's name where none is named.
pub(super) const FILE: &str = "decisions.yaml";
/// Decisions asked for in one page.
const PAGE: usize = 500;
const HEAD: &str = "# Made of a server's decision log by `kernex plugin test --from-decisions`.\n";

/// Options of tests that take their cases from a server.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Recorded {
    /// Make the cases of what this policy of a server decided, into decisions.yaml or the file that --cases names, which
    /// must be new or made in this way before; of a plan, its survey: the devices that a server keeps of it are for
    /// `kernex policy replay`
    #[arg(long, value_name = "POLICY", conflicts_with = "bless")]
    from_decisions: Option<PolicyName>,
    /// How many decisions, at most: the newest
    #[arg(long, default_value_t = 200, requires = "from_decisions", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    decisions: u16,
    #[command(flatten)]
    server: Server,
}

impl Recorded {
    /// Writes the case file where one is wanted; tells where it is.
    pub(super) async fn write(&self, cases: Option<&Path>) -> Result<Option<PathBuf>, CliError> {
        let Some(policy) = &self.from_decisions else { return Ok(None) };
        let path = cases.map_or_else(|| PathBuf::from(FILE), Path::to_owned);
        spare(&path)?;
        let operator = self.server.operator().await?;
        let settings = settings(&operator, policy).await?;
        let decisions = decisions(&operator, policy, usize::from(self.decisions)).await?;
        let cases: Vec<Value> = decisions.iter().filter_map(|decision| case(decision, &settings)).collect();
        if cases.is_empty() {
            return Err(CliError::Failed(format!("the server has no decision of `{policy}` that can be asked again")));
        }
        let text = serde_yaml_ng::to_string(&json!({ "cases": cases })).map_err(CliError::failed)?;
        let text = HEAD.to_owned() + &text;
        if text.len() as u64 > MAX_FILE_BYTES {
            let bytes = text.len();
            return Err(CliError::Failed(format!(
                "the cases have {bytes} bytes, a file at most {MAX_FILE_BYTES}; take fewer with --decisions"
            )));
        }
        std::fs::write(&path, text)
            .map_err(|error| CliError::Failed(format!("cannot write {}: {error}", path.display())))?;
        // Standard output is for the result.
        eprintln!("{} of {} decisions are in {}", cases.len(), decisions.len(), path.display());
        Ok(Some(path))
    }
}

/// Refuses a file that somebody has written: what is made anew is only what was made.
fn spare(path: &Path) -> Result<(), CliError> {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD.len() as u64).read_to_end(&mut head));
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(CliError::Failed(format!("cannot read {}: {error}", path.display()))),
        Ok(_) if head.is_empty() || head == HEAD.as_bytes() => Ok(()),
        Ok(_) => Err(CliError::Failed(format!(
            "{} was not made by --from-decisions, and would be overwritten; name another file with --cases",
            path.display()
        ))),
    }
}

/// The settings of each revision, by their digests.
async fn settings(operator: &Operator, policy: &PolicyName) -> Result<Map<String, Value>, CliError> {
    let listed: Value = operator.get(&format!("/api/v1/policies/{policy}/revisions?limit=1000")).await?;
    let pair =
        |revision: &Value| Some((revision["settings_digest"].as_str()?.to_owned(), revision["settings"].clone()));
    Ok(listed["items"].as_array().into_iter().flatten().filter_map(pair).collect())
}

async fn decisions(operator: &Operator, policy: &PolicyName, wanted: usize) -> Result<Vec<Value>, CliError> {
    let mut found: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    while found.len() < wanted {
        let limit = PAGE.min(wanted - found.len());
        let mut page: Value = operator.get(&format!("/api/v1/decisions?policy={policy}&limit={limit}{cursor}")).await?;
        found.extend(page["items"].as_array_mut().map(std::mem::take).unwrap_or_default());
        let Some(next) = page["next"].as_str() else { break };
        // A cursor consists of letters, digits, `-` and `_`.
        cursor = format!("&cursor={next}");
    }
    Ok(found)
}

/// One decision as a case; none for those that cannot be asked again: faults, redacted ones.
fn case(decision: &Value, settings: &Map<String, Value>) -> Option<Value> {
    let (question, expect) = asked(decision)?;
    let mut case = Map::new();
    case.insert("name".to_owned(), decision["id"].clone());
    case.insert("settings".to_owned(), settings.get(decision["settings_digest"].as_str()?)?.clone());
    case.extend(question);
    let facts = facts(&decision["facts_read"]);
    if facts != json!({}) {
        case.insert("facts".to_owned(), facts);
    }
    case.insert("expect".to_owned(), expect);
    Some(Value::Object(case))
}

fn asked(decision: &Value) -> Option<(Map<String, Value>, Value)> {
    let (input, output, code) = (&decision["input"], &decision["output"], &decision["code"]);
    let outcome = decision["outcome"].as_str()?;
    if outcome == "fault" || decision["redacted"] == true {
        return None;
    }
    let (name, question, expect) = match (decision["gate"].as_str()?, decision["question"].as_str()?) {
        ("authorization", question) if ScopeRequest::is_named(question) => {
            let mut question = input.clone();
            question["principal"] = with_facts(&input["principal"], &["facts"]);
            ("scope", question, shown(output)?)
        }
        ("authorization", _) => ("check", check(input), expected(outcome, "deny", code)),
        ("rollback", "judge") => {
            let mut expect = json!({ "outcome": outcome, "code": code });
            if let Some(extent) = output["action"].get("roll_back") {
                expect["extent"] = extent.clone();
            }
            ("judge", json!({ "window": with_facts(&input["window"], &["facts"]), "state": input["state"] }), expect)
        }
        ("rollback", _) => {
            let word = if outcome == "allow" { "permitted" } else { "refused" };
            ("permit", with_facts(input, &["facts"]), expected(word, "refused", code))
        }
        ("targeting", "plan") => {
            let plan = &output["plan"];
            let expect = match outcome {
                "deny" => json!({ "outcome": "error", "code": code }),
                _ => json!({ "outcome": "plan", "waves": plan["waves"], "candidates": selector(&plan["candidates"])? }),
            };
            ("survey", json!({ "deployment": with_facts(input, &["facts"]) }), expect)
        }
        _ => return None,
    };
    Some((Map::from_iter([(name.to_owned(), question)]), expect))
}

/// The code of an answer without a reason is the host's own word.
fn expected(outcome: &str, with_reason: &str, code: &Value) -> Value {
    if outcome == with_reason { json!({ "outcome": outcome, "code": code }) } else { json!({ "outcome": outcome }) }
}

/// What a list was decided to show. A selector that is too long to be written is left out.
fn shown(output: &Value) -> Option<Value> {
    Some(match Visible::deserialize(output).ok()? {
        Visible::All => json!({ "outcome": "all" }),
        Visible::Matching(requirements) => {
            let text = Selector::from_policy(requirements).ok()?.to_string();
            json!({ "outcome": "matching", "selector": text.parse::<Selector>().is_ok().then_some(text) })
        }
        Visible::Nothing(reason) => json!({ "outcome": "nothing", "code": reason.code }),
    })
}

fn check(input: &Value) -> Value {
    let mut question = with_facts(input, &["context"]);
    for part in ["principal", "resource"] {
        question[part] = with_facts(&input[part], &["facts"]);
    }
    question
}

/// A plan's selector, as case files write it.
fn selector(requirements: &Value) -> Option<String> {
    let requirements: PolicySelector = serde_json::from_value(requirements.clone()).ok()?;
    canonical(&requirements).ok()
}

/// The same with some lists of facts written as maps.
fn with_facts(value: &Value, lists: &[&str]) -> Value {
    let mut value = value.clone();
    for list in lists {
        value[*list] = facts(&value[*list]);
    }
    value
}

/// `[{"name": "a", "value": {"text": "b"}}]` -> `{"a": "b"}`
fn facts(list: &Value) -> Value {
    let fact = |fact: &Value| {
        let value = fact["value"].as_object()?.values().next()?.clone();
        Some((fact["name"].as_str()?.to_owned(), value))
    };
    list.as_array().into_iter().flatten().filter_map(fact).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use kernex_model::policy::Fact;

    use super::super::cases::{self, Case, Question};
    use super::*;

    fn decision(gate: &str, question: &str, outcome: &str, input: Value, output: Value) -> Value {
        json!({
            "id": format!("dec_{question}"), "gate": gate, "question": question, "outcome": outcome, "code": "some-code",
            "settings_digest": "d", "input": input, "output": output,
            "facts_read": [{ "name": "season", "value": { "text": "winter" } }],
        })
    }

    /// The cases that a log becomes, and the text that they were written in.
    fn read(log: &[Value]) -> (Vec<Case>, String) {
        let settings = Map::from_iter([("d".to_owned(), json!({ "a": 1 }))]);
        let made: Vec<Value> = log.iter().filter_map(|decision| case(decision, &settings)).collect();
        let text = serde_yaml_ng::to_string(&json!({ "cases": made })).expect("YAML");
        (cases::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}")), text)
    }

    #[test]
    fn cases_that_somebody_has_written_are_not_overwritten() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("cases.yaml");
        assert!(spare(&path).is_ok(), "a new file");
        for (text, spared) in [("cases:\n- name: a\n", true), ("# Made", true), ("", false), (HEAD, false)] {
            std::fs::write(&path, text).expect("a file");
            let error = spare(&path).err().map(|error| error.to_string());
            assert_eq!(error.as_ref().is_some_and(|error| error.contains("--cases")), spared, "{text:?}: {error:?}");
            assert_eq!(error.is_some(), spared, "{text:?}: {error:?}");
        }
        std::fs::write(&path, format!("{HEAD}cases: []\n")).expect("a file");
        assert!(spare(&path).is_ok(), "it was made");
    }

    #[test]
    fn a_plan_becomes_its_survey() {
        let selector = |text: &str| text.parse::<Selector>().expect(text).requirements().to_vec();
        let question = || {
            let facts = json!([{ "name": "bundle.version", "value": { "text": "1.0" } }]);
            json!({ "id": "dep_2", "created_at_ms": 7, "facts": facts })
        };
        let planned = |candidates: &str| {
            let plan = json!({ "candidates": selector(candidates), "columns": [], "waves": ["all"], "exclusions": [] });
            decision("targeting", "plan", "planned", question(), json!({ "plan": plan, "chosen": 3 }))
        };
        let refused = decision("targeting", "plan", "deny", question(), Value::Null);
        let survey = |candidates: &str| json!({ "outcome": "plan", "waves": ["all"], "candidates": candidates });
        for (decision, wanted) in [
            (planned("site in (paris,lab)"), survey("site in (lab,paris)")),
            (planned("*"), survey("*")),
            (refused, json!({ "outcome": "error", "code": "some-code" })),
        ] {
            let (_, expect) = asked(&decision).expect("it can be asked again");
            assert_eq!(expect, wanted);
            let (read, text) = read(&[decision]);
            let Question::Survey { deployment } = &read[0].inquiry.question else { panic!("{text}") };
            assert_eq!((deployment.id.as_str(), deployment.created_at_ms), ("dep_2", 7));
            assert_eq!(deployment.facts, [Fact::text("bundle.version", "1.0")], "a text stays one: {text}");
        }
    }

    #[test]
    fn decisions_become_cases_that_are_understood() {
        let counts = json!({ "assigned": 3, "offered": 0, "running": 0, "installed": 0, "verified": 1, "failed": 2,
            "timed_out": 0, "rolled_back": 0 });
        let window = json!({ "deployment": "dep_2", "facts": [], "now_ms": 7, "wave": 0, "waves": 2,
            "wave_opened_at_ms": 1, "in_wave": counts, "overall": counts, "failures": [] });
        let request = json!({
            "principal": { "kind": "user", "id": "usr_1", "roles": ["viewer"], "facts": [] }, "action": "device:list",
            "resource": { "kind": "device", "id": null, "facts": [{ "name": "n", "value": { "integer": 4 } }] },
            "context": [{ "name": "address", "value": { "text": "10.0.0.1" } }],
        });
        let permit = json!({ "device": "dev_1", "from_bundle": "bun_1", "to_bundle": "bun_2", "facts": [] });
        let scope = json!({ "principal": request["principal"], "action": "device:list", "resource_kind": "device" });
        let sites = json!([{ "key": "site", "operator": "equals", "values": ["a"] }]);
        let log = [
            decision("authorization", "scope device:list", "allow", scope, json!({ "matching": sites })),
            decision("authorization", "device:list", "deny", request, json!({ "deny": {} })),
            decision(
                "rollback",
                "judge",
                "roll_back",
                json!({ "window": window, "state": "AQ==" }),
                json!({ "action": { "roll_back": "everyone" } }),
            ),
            decision("rollback", "permit", "allow", permit, json!("permitted")),
            decision("authorization", "device:read", "fault", json!({}), Value::Null),
        ];
        let (read, text) = read(&log);
        let names: Vec<&str> = read.iter().map(|case| case.inquiry.question.name()).collect();
        assert_eq!(names, ["scope", "check", "judge", "permit"]);
        let Question::Scope { principal, resource_kind, .. } = &read[0].inquiry.question else { panic!("{text}") };
        assert_eq!((principal.roles.as_slice(), resource_kind.as_str()), (&["viewer".to_owned()][..], "device"));
        assert!(text.contains("selector: site=a"), "{text}");
        let Question::Check { request } = &read[1].inquiry.question else { panic!("{text}") };
        assert_eq!(request.resource.facts, [Fact::integer("n", 4)]);
        assert_eq!(read[1].inquiry.facts, [Fact::text("season", "winter")]);
        assert_eq!((read[1].expect.code.as_deref(), read[3].expect.code.as_deref()), (Some("some-code"), None));
        let Question::Judge { windows, state } = &read[2].inquiry.question else { panic!("{text}") };
        assert_eq!(windows[0].deployment, "dep_2");
        assert_eq!((windows[0].in_wave.failed, windows[0].now_ms, state.as_slice()), (2, 7, &[1][..]));
    }
}
