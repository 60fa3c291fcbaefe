//! Owns the record of one question to a policy: made in one place, whatever the gate.

use std::time::Duration;

use kernex_engine::Run;
use kernex_model::id::{DecisionId, RequestId};
use kernex_model::policy::{Fact, Fault, Log, Reason};
use kernex_model::record::{Decision, DecisionOutcome};
use kernex_model::trace::TraceId;
use poem_openapi::types::Any;
use serde::Serialize;

use super::context::Context;
use super::policies::ActivePolicy;
use super::{App, Caller};

/// The code of a decision whose cause is the policy's own failure.
pub(super) const POLICY_FAULT: &str = "policy-fault";

/// The reason of a fault. `gate` is the policy's, as a person calls it.
pub(super) fn fault_reason(gate: &str, fault: impl std::fmt::Display) -> Reason {
    Reason::new(POLICY_FAULT, format!("the {gate} policy failed: {fault}"))
}

/// What a policy was asked, and what it used to answer.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Who or what it is about.
    pub subject: String,
    /// The action, or the contract's name of the question.
    pub question: String,
    /// The question as the plugin saw it.
    pub input: serde_json::Value,
    /// What the plugin looked up.
    pub facts_read: Vec<Fact>,
    /// What the plugin wrote.
    pub log: Log,
    /// Fuel.
    pub fuel: u64,
    /// Time.
    pub duration: Duration,
    /// The code of the failure that ended it, for the metrics.
    pub fault: Option<&'static str>,
    /// The request that led to it.
    pub request_id: Option<RequestId>,
    /// The trace of that request.
    pub trace_id: Option<TraceId>,
}

impl Asked {
    /// A question that nothing was spent on yet.
    pub(super) fn new(subject: impl ToString, question: impl Into<String>, input: &impl Serialize) -> Self {
        Self {
            subject: subject.to_string(),
            question: question.into(),
            input: json(input),
            facts_read: Vec::new(),
            log: Log::default(),
            fuel: 0,
            duration: Duration::ZERO,
            fault: None,
            request_id: None,
            trace_id: None,
        }
    }

    /// The same question, which the caller's request led to.
    pub(super) fn of(self, caller: &Caller) -> Self {
        Self { request_id: caller.request_id, trace_id: caller.trace_id, ..self }
    }

    /// Adds what one call cost, looked up and wrote; gives what it came to.
    pub(super) fn spent<T>(&mut self, run: Run<T>) -> Result<T, Fault> {
        self.fuel += run.fuel;
        self.duration += run.duration;
        for fact in run.facts_read {
            // Each call looks a fact up by itself; the decision has it once.
            if self.facts_read.iter().all(|known| known.name != fact.name) {
                self.facts_read.push(fact);
            }
        }
        self.log.append(run.log);
        self.fault = run.outcome.as_ref().err().map(Fault::code);
        run.outcome
    }
}

/// What a policy, or the host in its place, came to.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    /// In one word.
    pub outcome: DecisionOutcome,
    /// Why.
    pub reason: Reason,
    /// The answer as the plugin gave it; absent for a fault.
    pub output: Option<serde_json::Value>,
}

impl ActivePolicy {
    /// The record of a question to this policy, without what it keeps secret.
    pub(super) fn decision(&self, context: &Context, asked: &Asked, verdict: Verdict) -> Decision {
        let (log, log_truncated) = asked.log.clone().into_parts();
        let mut decision = Decision {
            id: DecisionId(context.ulid()),
            at: context.now(),
            gate: self.revision.gate,
            policy: self.revision.name.clone(),
            plugin_digest: self.revision.plugin_digest,
            settings_digest: self.revision.settings_digest,
            subject: asked.subject.clone(),
            question: asked.question.clone(),
            outcome: verdict.outcome,
            code: verdict.reason.code,
            message: verdict.reason.message,
            input: Any(asked.input.clone()),
            output: verdict.output.map(Any),
            facts_read: Any(json(&asked.facts_read)),
            redacted: false,
            log,
            log_truncated,
            fuel: asked.fuel,
            duration_us: u64::try_from(asked.duration.as_micros()).unwrap_or(u64::MAX),
            request_id: asked.request_id,
            trace_id: asked.trace_id,
        };
        decision.redact(&self.revision.secret_facts);
        decision
    }
}

impl App {
    /// Counts what a policy came to, and gives its record.
    pub(super) fn decided(&self, policy: &ActivePolicy, asked: &Asked, verdict: Verdict) -> Decision {
        self.metrics.decided(&policy.label, verdict.outcome.as_str(), asked.fault, asked.fuel, asked.duration);
        policy.decision(&self.context, asked, verdict)
    }
}

/// A model value as JSON: our own types, which always have such a form.
pub(super) fn json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_default()
}
