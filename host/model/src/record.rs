//! Owns what is written down about changes and decisions: audit records and the decision log.

use poem_openapi::types::Any;
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::digest::Digest;
use crate::id::{AuditId, DecisionId, RequestId};
use crate::name::PolicyName;
use crate::policy::{LogLine, RollbackAction};
use crate::principal::Principal;
use crate::time::Timestamp;
use crate::trace::TraceId;

/// Decisions that one audit record names.
pub const MAX_DECISIONS_NAMED: usize = 100;

/// Who did what to what, when, from where, by which decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct AuditRecord {
    /// Identifier.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub principal: Principal,
    /// What was done, as `noun:verb`.
    pub action: Action,
    /// The kind of thing it was done to.
    pub resource_kind: String,
    /// Which one, where it is one.
    pub resource_id: Option<String>,
    /// The authorization decision that allowed it; of several the first.
    pub decision_id: Option<DecisionId>,
    /// All decisions that allowed it, or narrowed what it is about, in the order in which they were made; at most 100.
    /// None in records from before this was written down.
    #[serde(default)]
    pub decision_ids: Vec<DecisionId>,
    /// The request that asked for it.
    pub request_id: Option<RequestId>,
    /// The address it came from.
    pub address: Option<String>,
    /// What else is worth knowing; never a secret.
    pub detail: Option<Any<serde_json::Value>>,
}

impl AuditRecord {
    /// The same record, with the decisions that it is by.
    #[must_use]
    pub fn by(self, decisions: &[Decision]) -> Self {
        let decision_ids: Vec<DecisionId> =
            decisions.iter().map(|decision| decision.id).take(MAX_DECISIONS_NAMED).collect();
        Self { decision_id: decision_ids.first().copied(), decision_ids, ..self }
    }
}

/// How a decision came out, in a word that lists can be filtered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum DecisionOutcome {
    /// The authorization policy allowed it or shows something, or the rollback policy permitted it.
    Allow,
    /// The authorization policy denied it or shows nothing, or the rollback or targeting policy refused it.
    Deny,
    /// The targeting policy chose devices.
    Planned,
    /// The rollback policy: go on.
    Proceed,
    /// The rollback policy: open the next wave.
    Advance,
    /// The rollback policy: no new offers for now.
    Hold,
    /// The rollback policy: stop.
    Pause,
    /// The rollback policy: send devices back.
    RollBack,
    /// The policy failed; the gate stayed shut.
    Fault,
}

impl DecisionOutcome {
    /// The name as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Planned => "planned",
            Self::Proceed => "proceed",
            Self::Advance => "advance",
            Self::Hold => "hold",
            Self::Pause => "pause",
            Self::RollBack => "roll_back",
            Self::Fault => "fault",
        }
    }
}

impl From<RollbackAction> for DecisionOutcome {
    fn from(action: RollbackAction) -> Self {
        match action {
            RollbackAction::Proceed => Self::Proceed,
            RollbackAction::Advance => Self::Advance,
            RollbackAction::Hold => Self::Hold,
            RollbackAction::Pause => Self::Pause,
            RollbackAction::RollBack(_) => Self::RollBack,
        }
    }
}

/// The gate of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum DecisionGate {
    /// Who may do what.
    Authorization,
    /// Which devices get a deployment, in which wave.
    Targeting,
    /// When to go on, hold, pause or send devices back.
    Rollback,
}

impl DecisionGate {
    /// Every gate.
    pub const ALL: [Self; 3] = [Self::Authorization, Self::Targeting, Self::Rollback];
}

/// One decision of a policy, with all that is needed to make it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
pub struct Decision {
    /// Identifier.
    pub id: DecisionId,
    /// When.
    pub at: Timestamp,
    /// Which gate.
    pub gate: DecisionGate,
    /// Which policy.
    pub policy: PolicyName,
    /// SHA-256 of the plugin.
    pub plugin_digest: Digest,
    /// SHA-256 of its settings.
    pub settings_digest: Digest,
    /// What it was about: a principal's, deployment's or device's identifier.
    pub subject: String,
    /// What was asked for: an action (`noun:verb`), which devices of an action the caller may see (`scope noun:verb`),
    /// `plan`, `judge` or `permit`.
    pub question: String,
    /// How it came out.
    pub outcome: DecisionOutcome,
    /// The reason's code.
    pub code: String,
    /// The reason's sentence.
    pub message: String,
    /// What the policy was asked, in full.
    pub input: Any<serde_json::Value>,
    /// What it answered, in full, and of a deployment's plan what is kept of its devices; absent after a fault.
    pub output: Option<Any<serde_json::Value>>,
    /// The facts it looked up while it decided.
    pub facts_read: Any<serde_json::Value>,
    /// Whether values of secret facts were replaced by `(redacted)` in what it was asked or looked up: it cannot be made
    /// again then.
    #[serde(default)]
    pub redacted: bool,
    /// What the plugin wrote to its log while it decided, in order. Nothing where the policy, or one that is asked about
    /// the same action, declares facts secret: a line may say what they are.
    #[serde(default)]
    pub log: Vec<LogLine>,
    /// Whether the plugin wrote more than is shown: more than 16 KiB, or lines that are kept secret.
    #[serde(default)]
    pub log_truncated: bool,
    /// Fuel used, a deterministic measure of work.
    pub fuel: u64,
    /// Time used, in microseconds.
    pub duration_us: u64,
    /// The request it was made for.
    pub request_id: Option<RequestId>,
    /// The trace that the request belongs to. Absent where nobody records one, and of what no request led to.
    #[serde(default)]
    pub trace_id: Option<TraceId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_from_before_names_one_decision() {
        let before = serde_json::json!({
            "id": "aud_01M7Z9Y4HMCJ3SYZBBJR50344Q", "at": "2026-11-21T15:30:00.000Z", "principal": "system",
            "action": "device:block", "resource_kind": "device", "resource_id": null,
            "decision_id": "dec_01M7ZBN26060KA1JJ8BSC32SBV", "request_id": null, "address": null, "detail": null,
        });
        let record: AuditRecord = serde_json::from_value(before).expect("a record");
        assert!(record.decision_id.is_some() && record.decision_ids.is_empty());
        let nobody = record.by(&[]);
        assert_eq!((nobody.decision_id, nobody.decision_ids), (None, Vec::new()));
    }

    #[test]
    fn a_record_names_its_decisions_up_to_a_limit() {
        let decision = |number: usize| -> Decision {
            serde_json::from_value(serde_json::json!({
                "id": DecisionId(crate::id::Ulid(number as u128)), "at": "2026-11-21T15:30:00.000Z",
                "gate": "authorization", "policy": "rbac", "plugin_digest": "0".repeat(64),
                "settings_digest": "0".repeat(64), "subject": "s", "question": "q", "outcome": "allow", "code": "c",
                "message": "m", "input": {}, "output": null, "facts_read": [], "fuel": 1, "duration_us": 1,
                "request_id": null,
            }))
            .expect("a decision")
        };
        let decisions: Vec<Decision> = (1..=MAX_DECISIONS_NAMED + 1).map(decision).collect();
        let record = AuditRecord {
            id: AuditId(crate::id::Ulid(1)),
            at: Timestamp::from_millis(0),
            principal: Principal::System,
            action: Action::DeviceBlock,
            resource_kind: "device".to_owned(),
            resource_id: None,
            decision_id: None,
            decision_ids: Vec::new(),
            request_id: None,
            address: None,
            detail: None,
        };
        let named = record.by(&decisions);
        assert_eq!(named.decision_id, Some(decisions[0].id));
        let ids: Vec<DecisionId> = decisions[..MAX_DECISIONS_NAMED].iter().map(|decision| decision.id).collect();
        assert_eq!(named.decision_ids, ids);
    }
}
