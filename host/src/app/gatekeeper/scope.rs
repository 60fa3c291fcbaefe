//! Owns what part of a list a caller is shown: the question, and what its answer means.

use std::sync::Arc;

use kernex_model::action::Action;
use kernex_model::policy::{Fault, PolicySelector, Reason, ScopeRequest, Visible};
use kernex_model::record::DecisionOutcome;
use kernex_model::selector::Selector;
use serde_json::{Value, json};

use super::question::{Answer, Question};
use super::{Gatekeeper, Grant};
use crate::app::caller::Caller;
use crate::app::error::AppError;
use crate::app::policies::Covering;
use crate::app::policies::again::Recorded;

/// Characters of a selector that the sentence of a record shows: it may have many thousand.
const MAX_TOLD: usize = 200;

/// Which resources of a kind a caller may see.
#[derive(Debug, Clone, PartialEq)]
pub enum Scope {
    /// All of them.
    All,
    /// Those that match.
    Matching(Selector),
    /// None: the list is empty.
    Nothing,
}

impl Scope {
    /// What an answer means.
    ///
    /// # Errors
    /// Where it names an impossible selector.
    pub(in crate::app) fn of(answer: &Visible) -> Result<Self, Fault> {
        Ok(match answer {
            Visible::All => Self::All,
            Visible::Nothing(_) => Self::Nothing,
            Visible::Matching(requirements) => Self::Matching(selected(requirements.clone())?),
        })
    }

    /// The selector that narrows a list; `None` for all. Call after [`Scope::is_nothing`].
    #[must_use]
    pub fn selector(&self) -> Option<&Selector> {
        match self {
            Self::Matching(selector) => Some(selector),
            Self::All | Self::Nothing => None,
        }
    }

    /// Whether nothing may be seen.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// What is shown, in a form that is the same where the same is shown.
    pub(in crate::app) fn shown(&self) -> Value {
        let all = || json!("all");
        match self {
            Self::All => all(),
            Self::Matching(selector) if selector.requirements().is_empty() => all(),
            Self::Matching(selector) => json!({ "matching": selector.canonical() }),
            Self::Nothing => json!("nothing"),
        }
    }

    /// What both show.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, _) | (_, Self::Nothing) => Self::Nothing,
            (Self::All, other) | (other, Self::All) => other,
            (Self::Matching(one), Self::Matching(other)) => Self::Matching(one.and(&other)),
        }
    }
}

impl Gatekeeper {
    /// Asks which resources of `kind` somebody may see, who was granted the action: what every policy that granted it
    /// shows. Where that is nothing, it is written down.
    ///
    /// # Errors
    /// [`AppError::Denied`] where a policy fails or names an impossible selector.
    pub fn scope(&self, grant: &Grant, kind: &'static str) -> Result<Scope, AppError> {
        let (scope, asked) = self.told(grant, kind)?;
        if !scope.is_nothing() && grant.action.changes_nothing() && self.lists.takes() {
            asked.iter().for_each(|asked| self.log.offer(asked.decision(&grant.caller, &self.context)));
        }
        Ok(scope)
    }

    /// The same for a change: the answers narrow it, and are written down together with it.
    ///
    /// # Errors
    /// As [`Gatekeeper::scope`].
    pub fn narrow(&self, grant: &mut Grant, kind: &'static str) -> Result<Scope, AppError> {
        let (scope, asked) = self.told(grant, kind)?;
        grant.asked.extend(asked);
        Ok(scope)
    }

    /// The same of a caller who was denied the action on one resource, and perhaps is not on others. That denial is
    /// written down already.
    ///
    /// # Errors
    /// As [`Gatekeeper::scope`].
    pub fn scope_of_denied(&self, caller: &Caller, action: Action, kind: &'static str) -> Result<Scope, AppError> {
        self.seen(&self.policies.authorization(action), caller, action, kind).map(|(scope, _)| scope)
    }

    fn told(&self, grant: &Grant, kind: &'static str) -> Result<(Scope, Vec<Question>), AppError> {
        let (scope, asked) = self.seen(&grant.covering, &grant.caller, grant.action, kind)?;
        if let Some(last) = asked.last().filter(|_| scope.is_nothing()) {
            self.log.offer(last.decision(&grant.caller, &self.context));
        }
        Ok((scope, asked))
    }

    /// What all of them show, with the questions; nobody is asked after the first that shows nothing.
    fn seen(
        &self,
        covering: &Covering,
        caller: &Caller,
        action: Action,
        kind: &'static str,
    ) -> Result<(Scope, Vec<Question>), AppError> {
        let principal = caller.to_policy();
        let request =
            Arc::new(ScopeRequest { principal, action: action.as_str().to_owned(), resource_kind: kind.to_owned() });
        let (mut seen, mut questions) = (Scope::All, Vec::with_capacity(covering.deciding.len()));
        for policy in &covering.deciding {
            let (run, question) = (policy.scope(&request), Recorded::Scope(request.clone()));
            let answer = |(visible, scope)| Answer::Scope(visible, scope);
            let asked = Question::answered(policy, question, run, answer, &covering.secrets);
            self.metrics.decided(&policy.label, asked.outcome().as_str(), asked.fault, asked.fuel, asked.duration);
            self.show(covering, &asked, caller);
            let Some(scope) = asked.scope() else {
                return Err(self.denied(asked.decision(caller, &self.context)));
            };
            seen = seen.and(scope.clone());
            questions.push(asked);
            if seen.is_nothing() {
                break;
            }
        }
        Ok((seen, questions))
    }
}

/// A selector as the host reads it.
///
/// # Errors
/// Where there is no such selector, though the contract lets it pass: that is the plugin's fault.
pub(in crate::app) fn selected(requirements: PolicySelector) -> Result<Selector, Fault> {
    Selector::from_policy(requirements).map_err(|error| Fault::BadOutput(error.to_string()))
}

/// What an answer is recorded as. A selector says in the message what is shown.
pub(in crate::app) fn scoped(answer: &Visible, scope: &Scope) -> (DecisionOutcome, Reason) {
    match (answer, scope) {
        (Visible::Nothing(reason), _) => (DecisionOutcome::Deny, reason.clone()),
        (Visible::Matching(_), Scope::Matching(selector)) => {
            let shown: String = selector.to_string().chars().take(MAX_TOLD).collect();
            (DecisionOutcome::Allow, Reason::new("matching", format!("the policy shows those that match {shown}")))
        }
        (Visible::All | Visible::Matching(_), _) => {
            (DecisionOutcome::Allow, Reason::new("all", "the policy shows all of them"))
        }
    }
}
