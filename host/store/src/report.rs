//! Owns how reports are stored: one for each assignment, attempt and state, so that a repeated one has no second effect.

use kernex_model::id::AssignmentId;
use kernex_model::report::{Report, ReportState};

use crate::error::StoreError;
use crate::key::Key;
use crate::record::Record;
use crate::store::Store;
use crate::walk::Walk;

/// Reports of one assignment that are read at once.
const MAX_REPORTS: usize = 1_000;

impl Record for Report {
    type Id = (AssignmentId, u32, ReportState);
    const TABLE: &'static str = "report";
    const APPEND_ONLY: bool = true;

    fn key_of((assignment, attempt, state): &Self::Id) -> Key {
        let place = match state {
            ReportState::Downloading => 0,
            ReportState::Installing => 1,
            ReportState::Installed => 2,
            ReportState::Failed => 3,
            ReportState::Rejected => 4,
        };
        Key::Two(assignment.to_string(), format!("{attempt:010}-{place}-{}", state.as_str()))
    }

    fn key(&self) -> Key {
        Self::key_of(&(self.assignment_id, self.attempt, self.state))
    }

    fn id_text(_: &Key) -> Option<String> {
        None
    }
}

impl Store {
    /// What a device reported on an assignment, by attempt and progress.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn reports_of(&self, assignment: AssignmentId) -> Result<Vec<Report>, StoreError> {
        let rows = self.walk(&Walk::Group(assignment.to_string()), "", MAX_REPORTS).await?;
        Ok(rows.into_iter().map(|(_, report)| report).collect())
    }
}
