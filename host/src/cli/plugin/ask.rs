//! Owns asking a prepared plugin what a case asks, and what its answers are called.

use std::borrow::Cow;
use std::time::Duration;

use kernex_engine::{Policy, Run};
use kernex_model::attribute::{FactName, FactValue};
use kernex_model::policy::{
    AuthorizationDecision, Fault, Log, Permission, Reason, RollbackAction, RollbackOutcome, TargetingPlan, Visible,
};

use super::cases::{Device, Inquiry, Question, canonical};
use crate::app::columns::{Described, batch};

/// What a plugin answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// May they?
    Check(AuthorizationDecision),
    /// What a list shows.
    Scope(Visible),
    /// A plan, or why there is none.
    Survey(Result<TargetingPlan, Reason>),
    /// What becomes of each device.
    Classify(Classes),
    /// A verdict.
    Judge(RollbackOutcome),
    /// May it?
    Permit(Permission),
}

/// What becomes of devices.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Classes {
    /// The wave's name or the exclusion's code of each device.
    pub(crate) named: Vec<String>,
    /// Whether each device is left out.
    pub(crate) left_out: Vec<bool>,
}

/// One asking: the answer and what it cost.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// The answer, or why there is none.
    pub(crate) outcome: Result<Answer, Fault>,
    /// Fuel of the last call.
    pub(crate) fuel: u64,
    /// How long the last call took.
    pub(crate) duration: Duration,
    /// What the plugin wrote.
    pub(crate) log: Log,
    /// Names of the facts that it looked up and got.
    pub(crate) facts_read: Vec<String>,
}

impl Answer {
    /// Its kind, as case files write it.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Check(AuthorizationDecision::Allow) => "allow",
            Self::Check(AuthorizationDecision::Deny(_)) => "deny",
            Self::Scope(Visible::All) => "all",
            Self::Scope(Visible::Matching(_)) => "matching",
            Self::Scope(Visible::Nothing(_)) => "nothing",
            Self::Survey(Ok(_)) => "plan",
            Self::Survey(Err(_)) => "error",
            Self::Classify(_) => "classes",
            Self::Judge(outcome) => match outcome.action {
                RollbackAction::Proceed => "proceed",
                RollbackAction::Advance => "advance",
                RollbackAction::Hold => "hold",
                RollbackAction::Pause => "pause",
                RollbackAction::RollBack(_) => "roll_back",
            },
            Self::Permit(Permission::Permitted) => "permitted",
            Self::Permit(Permission::Refused(_)) => "refused",
        }
    }

    /// The reason, where the answer has one.
    pub(crate) fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Check(AuthorizationDecision::Deny(reason))
            | Self::Scope(Visible::Nothing(reason))
            | Self::Survey(Err(reason))
            | Self::Permit(Permission::Refused(reason)) => Some(reason),
            Self::Judge(outcome) => Some(&outcome.reason),
            Self::Check(AuthorizationDecision::Allow)
            | Self::Scope(Visible::All | Visible::Matching(_))
            | Self::Survey(Ok(_))
            | Self::Classify(_)
            | Self::Permit(Permission::Permitted) => None,
        }
    }

    /// The reason's code.
    pub(crate) fn code(&self) -> Option<&str> {
        self.reason().map(|reason| reason.code.as_str())
    }

    /// In a few words.
    pub(crate) fn described(&self) -> String {
        let outcome = self.outcome();
        match self {
            Self::Scope(Visible::Matching(selector)) => match canonical(selector) {
                Ok(selector) => format!("{outcome} {selector}"),
                Err(_) => outcome.to_owned(),
            },
            Self::Survey(Ok(plan)) => format!("{outcome} of {}", plan.waves.join(", ")),
            Self::Classify(classes) => tally(&classes.named),
            Self::Check(_) | Self::Scope(_) | Self::Survey(Err(_)) | Self::Judge(_) | Self::Permit(_) => {
                self.code().map_or_else(|| outcome.to_owned(), |code| format!("{outcome} {code}"))
            }
        }
    }
}

/// `3 berlin, 1 paris`, in the order in which they came.
fn tally(named: &[String]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for name in named {
        match counts.iter_mut().find(|(known, _)| known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    if counts.is_empty() { "no devices".to_owned() } else { counts.join(", ") }
}

impl Heard {
    fn of<T>(run: Run<T>, answer: impl FnOnce(T) -> Answer) -> Self {
        let Run { outcome, fuel, duration, facts_read, log } = run;
        let facts_read = facts_read.into_iter().map(|fact| fact.name).collect();
        Self { outcome: outcome.map(answer), fuel, duration, log, facts_read }
    }
}

impl Inquiry {
    /// Asks. A classification surveys first, because the plan says which columns there are; a sequence of windows
    /// is asked one by one, up to the first fault.
    pub(crate) fn ask(&self, policy: &Policy) -> Heard {
        let facts = &self.facts;
        match &self.question {
            Question::Check { request } => {
                let one = |mut decisions: Vec<AuthorizationDecision>| {
                    Answer::Check(decisions.pop().expect("the engine has counted: one decision for one request"))
                };
                Heard::of(policy.check(std::slice::from_ref(request), facts), one)
            }
            Question::Scope { principal, action, resource_kind } => {
                Heard::of(policy.scope(principal, action, resource_kind, facts), Answer::Scope)
            }
            Question::Survey { deployment } => Heard::of(policy.survey(deployment, facts), Answer::Survey),
            Question::Classify { deployment, devices } => {
                let survey = policy.survey(deployment, facts);
                let Ok(Ok(plan)) = &survey.outcome else { return Heard::of(survey, Answer::Survey) };
                let hashes = devices.iter().map(|device| device.hash).collect();
                let devices = batch(devices, &plan.columns, hashes);
                let classes = policy.classify(deployment, plan, &devices, facts);
                Heard::of(classes, |classes| Answer::Classify(Classes::named(plan, &classes)))
            }
            Question::Judge { windows, state } => {
                let mut state = state.clone();
                let mut heard = None;
                for window in windows {
                    let run = policy.judge(window, &state, facts);
                    if let Ok(outcome) = &run.outcome {
                        state.clone_from(&outcome.state);
                    }
                    let stop = run.outcome.is_err();
                    heard = Some(Heard::of(run, Answer::Judge));
                    if stop {
                        break;
                    }
                }
                heard.expect("a case without a window is refused when its file is read")
            }
            Question::Permit { request } => Heard::of(policy.permit(request, facts), Answer::Permit),
        }
    }
}

impl Classes {
    fn named(plan: &TargetingPlan, classes: &[u16]) -> Self {
        let names: Vec<&str> = plan
            .waves
            .iter()
            .map(String::as_str)
            .chain(plan.exclusions.iter().map(|reason| reason.code.as_str()))
            .collect();
        // The engine has checked that each class is one of the plan's.
        let name = |class: &u16| names.get(usize::from(*class)).copied().unwrap_or_default().to_owned();
        let left_out = |class: &u16| usize::from(*class) >= plan.waves.len();
        Self { named: classes.iter().map(name).collect(), left_out: classes.iter().map(left_out).collect() }
    }
}

/// As the server's devices: what is not reported is text, and found by texts only.
impl Described for Device {
    fn text(&self, key: &str) -> Option<String> {
        Some(self.facts.get(key)?.texts().collect::<Vec<Cow<'_, str>>>().join(","))
    }

    fn fact(&self, name: &FactName) -> Option<&FactValue> {
        self.facts.get(&format!("fact.{name}"))
    }
}
