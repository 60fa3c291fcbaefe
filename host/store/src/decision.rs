//! Owns how the decision log is stored: newest first, found by gate, policy, subject and outcome.

use kernex_model::id::{DecisionId, Ulid};
use kernex_model::name::PolicyName;
use kernex_model::record::{Decision, DecisionGate, DecisionOutcome};
use kernex_model::time::Timestamp;
use surrealdb::types::{RecordId, Value, Variables};

use crate::changes::Changes;
use crate::cursor::{Listed, MAX_PAGE, Page};
use crate::error::{Failure, StoreError};
use crate::key::{Key, LAST, complement, complemented};
use crate::record::Record;
use crate::store::Store;
use crate::walk::{Walk, pair, pair_key};

/// The table of the log's terms.
const TERMS: &str = "decision_term";
/// Walks over keys without reading what stands behind them. From the front: the database scans a range of keys forwards
/// only, and with `ORDER BY id DESC` it sorts what it has cut off at `LIMIT` before.
pub(crate) const PLACE: &str = "SELECT VALUE id FROM type::record('decision', $from>..$to) LIMIT 1 START $skip";

/// As that: the last identifier of a period is within it.
const IDS: &str = "SELECT VALUE id FROM type::record('decision_term', $from>..=$to) LIMIT $limit";

/// Which decisions a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DecisionFilter<'a> {
    /// Those of this gate.
    pub gate: Option<DecisionGate>,
    /// Those of this policy.
    pub policy: Option<&'a PolicyName>,
    /// Those about this principal, deployment or device.
    pub subject: Option<&'a str>,
    /// Those that came out like this.
    pub outcome: Option<DecisionOutcome>,
}

/// The place of the first identifier of a moment: behind it stand the decisions from before.
fn first_of(moment: Timestamp) -> String {
    complement(Ulid::from_parts(u64::try_from(moment.as_millis()).unwrap_or_default(), 0))
}

fn gate(gate: DecisionGate) -> String {
    let name = match gate {
        DecisionGate::Authorization => "authorization",
        DecisionGate::Targeting => "targeting",
        DecisionGate::Rollback => "rollback",
    };
    format!("gate={name}")
}

fn policy(name: &PolicyName) -> String {
    format!("policy={name}")
}

fn subject(subject: &str) -> String {
    format!("subject={subject}")
}

fn outcome(outcome: DecisionOutcome) -> String {
    format!("outcome={}", outcome.as_str())
}

impl Record for Decision {
    type Id = DecisionId;
    const TABLE: &'static str = "decision";
    const OPAQUE: &'static [&'static str] = &["input", "output", "facts_read", "log"];
    const APPEND_ONLY: bool = true;
    const TERM_TABLE: Option<&'static str> = Some(TERMS);

    fn key_of(id: &DecisionId) -> Key {
        Key::newest_first(id.0)
    }

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }

    fn id_text(key: &Key) -> Option<String> {
        complemented(key.sort()).map(|ulid| DecisionId(ulid).to_string())
    }

    fn terms(&self) -> Vec<String> {
        vec![gate(self.gate), policy(&self.policy), subject(&self.subject), outcome(self.outcome)]
    }
}

impl Store {
    /// One decision.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn decision(&self, id: DecisionId) -> Result<Option<Decision>, StoreError> {
        self.get(&id).await
    }

    /// Decisions, newest first.
    ///
    /// # Errors
    /// Where the database fails or the cursor is another list's.
    pub async fn list_decisions(
        &self,
        filter: DecisionFilter<'_>,
        page: &Page,
    ) -> Result<Listed<Decision>, StoreError> {
        // The rarest is walked, the others are checked on what it leads to.
        let term = filter
            .subject
            .map(subject)
            .or_else(|| filter.outcome.map(outcome))
            .or_else(|| filter.policy.map(policy))
            .or_else(|| filter.gate.map(gate));
        let walk = term.map_or(Walk::Table, Walk::Term);
        let name = format!(
            "{:?}",
            (filter.gate.map(gate), filter.policy.map(policy), filter.subject, filter.outcome.map(outcome))
        );
        self.list_where(&walk, page, &name, |decision: &Decision| {
            filter.gate.is_none_or(|gate| decision.gate == gate)
                && filter.policy.is_none_or(|policy| decision.policy == *policy)
                && filter.subject.is_none_or(|subject| decision.subject == subject)
                && filter.outcome.is_none_or(|outcome| decision.outcome == outcome)
        })
        .await
    }

    /// What the decisions of a policy, or those `about` a subject, whoever made them, are called: newest first, from just
    /// before `to` back to `from`, at most `limit` of them `after` another one. It is a walk over as many keys.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn decision_ids_between(
        &self,
        name: &PolicyName,
        about: Option<&str>,
        (from, to): (Timestamp, Timestamp),
        after: Option<DecisionId>,
        limit: usize,
    ) -> Result<Vec<DecisionId>, StoreError> {
        let term = about.map_or_else(|| policy(name), subject);
        // The first identifier of the moment at which the period ends is just outside of it.
        let begin = after.map_or_else(|| first_of(to), |after| complement(after.0));
        let mut variables = Variables::new();
        variables.insert("from", pair(&term, &begin));
        variables.insert("to", pair(&term, &first_of(from)));
        variables.insert("limit", i64::try_from(limit).unwrap_or(i64::MAX));
        let keys = self.rows(IDS, variables, 0).await?;
        let id = |key: &Value| match key {
            Value::RecordId(id) => {
                Key::from_value(id.key.clone()).and_then(|key| complemented(key.sort())).map(DecisionId)
            }
            _ => None,
        };
        keys.iter()
            .map(|key| {
                let reason = "its key has another form".to_owned();
                id(key).ok_or_else(|| StoreError::Unreadable { record: TERMS.to_owned(), reason })
            })
            .collect()
    }

    /// Decisions by their identifiers, in their order; those that do not exist are left out.
    ///
    /// # Errors
    /// Where the database fails or there are more than 5,000.
    pub async fn decisions_by_id(&self, ids: &[DecisionId]) -> Result<Vec<Decision>, StoreError> {
        self.get_many(ids).await
    }

    /// Appends decisions that led to no change, such as denials. Doing it again changes nothing.
    ///
    /// # Errors
    /// Where the database fails or there are more than [`crate::MAX_RECORDS`].
    pub async fn append_decisions(&self, decisions: &[Decision]) -> Result<(), StoreError> {
        if decisions.is_empty() {
            return Ok(());
        }
        let mut changes = Changes::unaudited();
        for decision in decisions {
            changes.put(decision);
        }
        self.commit_unaudited(changes).await
    }

    /// Removes decisions made before `older_than`, at most 1,000 and `limit`; tells how many went.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn prune_decisions(&self, older_than: Timestamp, limit: usize) -> Result<usize, StoreError> {
        // Newest first: behind the complement of that moment's first identifier stand the older ones.
        let from = first_of(older_than);
        let old = self.walk::<Decision>(&Walk::Table, &from, limit.min(usize::from(MAX_PAGE))).await?;
        self.remove_decisions(&old).await?;
        Ok(old.len())
    }

    /// The place of the `count`-th decision, newest first, behind a place; all of them stand behind an empty one.
    /// `None` where there are fewer. It is a walk over as many keys.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn decision_place(&self, behind: &str, count: u32) -> Result<Option<String>, StoreError> {
        let mut variables = Variables::new();
        variables.insert("from", behind.to_owned());
        variables.insert("to", LAST.to_owned());
        variables.insert("skip", i64::from(count.saturating_sub(1)));
        let Some(found) = self.rows(PLACE, variables, 0).await?.into_iter().next() else { return Ok(None) };
        let place = match found {
            Value::RecordId(id) => Key::from_value(id.key).map(|key| key.sort().to_owned()),
            _ => None,
        };
        place.map(Some).ok_or_else(|| StoreError::Unreadable {
            record: Decision::TABLE.to_owned(),
            reason: "its key has another form".to_owned(),
        })
    }

    /// Removes the decisions behind a place, at most 1,000 and `limit`. Gives the place behind which others may be
    /// left; `None` where there are none.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn prune_decisions_behind(&self, place: &str, limit: usize) -> Result<Option<String>, StoreError> {
        let limit = limit.min(usize::from(MAX_PAGE));
        let old = self.walk::<Decision>(&Walk::Table, place, limit).await?;
        self.remove_decisions(&old).await?;
        // The next step begins where this one ended: what was removed would be walked over again from the first place.
        Ok(old.last().filter(|_| old.len() == limit).map(|(place, _)| place.clone()))
    }

    async fn remove_decisions(&self, old: &[(String, Decision)]) -> Result<(), StoreError> {
        if old.is_empty() {
            return Ok(());
        }
        let mut gone: Vec<Value> = Vec::with_capacity(old.len() * 5);
        for (place, decision) in old {
            // A transaction of its own for each plan: many of them together would be too much for one.
            self.remove_kept(decision).await?;
            gone.push(Value::RecordId(decision.key().record_id(Decision::TABLE)));
            gone.extend(
                decision.terms().iter().map(|term| Value::RecordId(RecordId::new(TERMS, pair_key(term, place)))),
            );
        }
        let mut variables = Variables::new();
        variables.insert("gone", gone);
        self.retried("DELETE $gone RETURN NONE", variables).await.map(drop).map_err(Failure::into_error)
    }
}
