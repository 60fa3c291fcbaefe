//! Owns how the devices are stored that plans were made of: parts of JSON lines beside the decision, which go with it.

use kernex_model::id::{DecisionId, Ulid};
use kernex_model::kept::{KeptDevice, KeptPlan, MAX_KEPT_PARTS, devices_in};
use kernex_model::record::Decision;
use serde::{Deserialize, Serialize};
use surrealdb::types::{Value, Variables};

use crate::changes::Changes;
use crate::error::{Failure, StoreError};
use crate::key::Key;
use crate::record::Record;
use crate::store::Store;
use crate::walk::Walk;

/// Some of a plan's devices.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    #[serde(skip)]
    decision: Option<DecisionId>,
    #[serde(skip)]
    number: usize,
    /// A device in each line.
    content: String,
}

impl Record for Part {
    type Id = (DecisionId, usize);
    const TABLE: &'static str = "plan_part";
    const APPEND_ONLY: bool = true;

    fn key_of((decision, number): &Self::Id) -> Key {
        Key::Two(decision.to_string(), format!("{number:04}"))
    }

    fn key(&self) -> Key {
        Self::key_of(&(self.decision.unwrap_or(DecisionId(Ulid::nil())), self.number))
    }

    fn id_text(_: &Key) -> Option<String> {
        None
    }
}

impl Changes {
    /// Adds the devices that a plan was made of, beside its decision.
    pub fn keep_plan(&mut self, decision: DecisionId, plan: &KeptPlan) -> &mut Self {
        for (number, content) in plan.parts().iter().enumerate() {
            self.put(&Part { decision: Some(decision), number, content: content.clone() });
        }
        self
    }
}

impl Store {
    /// The devices that are kept of a plan, in the order in which they were read; none where they are gone.
    ///
    /// # Errors
    /// Where the database fails, or what it has cannot be read.
    pub async fn kept_devices(&self, decision: DecisionId) -> Result<Vec<KeptDevice>, StoreError> {
        let walk = Walk::Group(decision.to_string());
        let parts: Vec<Part> = self.walk_all(&walk, "parts of a plan", MAX_KEPT_PARTS).await?;
        let mut devices = Vec::new();
        for part in parts {
            devices.extend(devices_in(&part.content).map_err(|error| StoreError::Unreadable {
                record: format!("{}:{decision}", Part::TABLE),
                reason: error.to_string(),
            })?);
        }
        Ok(devices)
    }

    /// Removes what is kept beside a decision. Killed before the decision goes as well, it is done again.
    pub(crate) async fn remove_kept(&self, decision: &Decision) -> Result<(), StoreError> {
        let parts = decision.kept().map_or(0, |kept| kept.parts.min(MAX_KEPT_PARTS));
        if parts == 0 {
            return Ok(());
        }
        let id = |number: usize| Value::RecordId(Part::key_of(&(decision.id, number)).record_id(Part::TABLE));
        let gone: Vec<Value> = (0..parts).map(id).collect();
        let mut variables = Variables::new();
        variables.insert("gone", gone);
        self.retried("DELETE $gone RETURN NONE", variables).await.map(drop).map_err(Failure::into_error)
    }
}
