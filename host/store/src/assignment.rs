//! Owns how assignments are stored: by deployment, by state with wave and due time, and by device.

use kernex_model::assignment::{Assignment, AssignmentState};
use kernex_model::id::{AssignmentId, DeploymentId, DeviceId};
use kernex_model::time::Timestamp;
use surrealdb::types::Object;

use crate::cursor::{Listed, Page};
use crate::error::StoreError;
use crate::key::{Key, complement};
use crate::record::{Record, Revised};
use crate::store::Store;
use crate::walk::Walk;

/// Assignments in flight, in every deployment together, that are read at once.
const MAX_IN_FLIGHT: usize = 1_000_000;

/// Assignments that the driver has to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Of this deployment.
    pub deployment: DeploymentId,
    /// That stand here.
    pub state: AssignmentState,
    /// In this wave.
    pub wave: u16,
}

fn by_state(deployment: DeploymentId, state: AssignmentState) -> String {
    format!("{}/{}", deployment.0, state.as_str())
}

fn agenda(wave: u16, due_at: &str, device: &str) -> String {
    format!("{wave:05}/{due_at}/{device}")
}

impl Record for Assignment {
    type Id = AssignmentId;
    const TABLE: &'static str = "assignment";
    const DERIVED: &'static [&'static str] = &["by_state", "agenda", "latest_first"];

    fn key_of(id: &AssignmentId) -> Key {
        Key::Two(id.deployment.0.to_string(), id.device.0.to_string())
    }

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }

    fn id_text(key: &Key) -> Option<String> {
        match key {
            Key::Two(deployment, device) => Some(format!("asg_{deployment}_{device}")),
            Key::One(_) => None,
        }
    }

    fn derive(&self, row: &mut Object) {
        row.insert("by_state", by_state(self.id.deployment, self.state));
        row.insert("agenda", agenda(self.wave, &self.due_at.to_string(), &self.id.device.0.to_string()));
        row.insert("latest_first", complement(self.id.deployment.0));
    }
}

impl Revised for Assignment {
    fn revision(&self) -> u64 {
        self.revision
    }
}

impl Store {
    /// One assignment.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn assignment(&self, id: AssignmentId) -> Result<Option<Assignment>, StoreError> {
        self.get(&id).await
    }

    /// Assignments by their identifiers, in their order; those that do not exist are left out.
    ///
    /// # Errors
    /// Where the database fails or there are more than 5,000.
    pub async fn assignments_by_id(&self, ids: &[AssignmentId]) -> Result<Vec<Assignment>, StoreError> {
        self.get_many(ids).await
    }

    /// A deployment's assignments by device; those of one state by wave and due time.
    ///
    /// # Errors
    /// Where the database fails or the cursor is another list's.
    pub async fn list_assignments(
        &self,
        deployment: DeploymentId,
        state: Option<AssignmentState>,
        page: &Page,
    ) -> Result<Listed<Assignment>, StoreError> {
        let walk = match state {
            None => Walk::Group(deployment.0.to_string()),
            Some(state) => in_state(deployment, state),
        };
        self.list(&walk, page).await
    }

    /// At most `limit` assignments whose time has come at `now`, the longest due first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn due_assignments(&self, due: Due, now: Timestamp, limit: usize) -> Result<Vec<Assignment>, StoreError> {
        // Most often nothing is due: one row tells, and spares reading a page of what is not.
        let until = agenda(due.wave, &now.to_string(), crate::key::LAST);
        let first = self.agenda_of(due, 1, &until).await?;
        if first.is_empty() || limit <= 1 {
            return Ok(first.into_iter().take(limit).collect());
        }
        self.agenda_of(due, limit, &until).await
    }

    /// At most `limit` assignments of one state and wave, whenever they are due.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn assignments_in_state(&self, due: Due, limit: usize) -> Result<Vec<Assignment>, StoreError> {
        self.agenda_of(due, limit, &agenda(due.wave, crate::key::LAST, "")).await
    }

    async fn agenda_of(&self, due: Due, limit: usize, until: &str) -> Result<Vec<Assignment>, StoreError> {
        let from = agenda(due.wave, "", "");
        let rows = self.walk(&in_state(due.deployment, due.state), &from, limit).await?;
        Ok(rows
            .into_iter()
            .take_while(|(place, _)| place.as_str() <= until)
            .map(|(_, assignment)| assignment)
            .collect())
    }

    /// At most `limit` assignments of a device, those of the newest deployments first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn device_assignments(&self, device: DeviceId, limit: usize) -> Result<Vec<Assignment>, StoreError> {
        let walk = Walk::Index { column: "device_id", value: device.to_string(), sort: "latest_first" };
        let rows = self.walk(&walk, "", limit).await?;
        Ok(rows.into_iter().map(|(_, assignment)| assignment).collect())
    }

    /// Every assignment of a deployment that holds a slot: what a host takes up when it starts.
    ///
    /// # Errors
    /// Where the database fails or there are more than a million.
    pub async fn in_flight_assignments(&self, deployment: DeploymentId) -> Result<Vec<Assignment>, StoreError> {
        let mut all = Vec::new();
        for state in AssignmentState::ALL.into_iter().filter(|state| state.in_flight()) {
            all.extend(self.walk_all(&in_state(deployment, state), "assignments in flight", MAX_IN_FLIGHT).await?);
        }
        Ok(all)
    }
}

fn in_state(deployment: DeploymentId, state: AssignmentState) -> Walk {
    Walk::Index { column: "by_state", value: by_state(deployment, state), sort: "agenda" }
}
