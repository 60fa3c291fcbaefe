//! Owns how deployments are stored, listed newest first by state and kind.

use kernex_model::deployment::{Deployment, DeploymentKind, DeploymentState};
use kernex_model::id::DeploymentId;
use surrealdb::types::Object;

use crate::cursor::{Listed, Page};
use crate::error::StoreError;
use crate::key::{Key, complement, complemented};
use crate::record::{Record, Revised};
use crate::store::Store;
use crate::walk::Walk;

/// Deployments that may be unsettled at the same time.
const MAX_UNSETTLED: usize = 100_000;

/// Which deployments a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeploymentFilter {
    /// Those of this kind.
    pub kind: Option<DeploymentKind>,
    /// Those that stand here.
    pub state: Option<DeploymentState>,
}

fn kind_text(kind: DeploymentKind) -> &'static str {
    match kind {
        DeploymentKind::Fleet => "fleet",
        DeploymentKind::Direct => "direct",
    }
}

fn settled_text(settled: bool) -> &'static str {
    if settled { "settled" } else { "unsettled" }
}

impl Record for Deployment {
    type Id = DeploymentId;
    const TABLE: &'static str = "deployment";
    const OPAQUE: &'static [&'static str] = &["config", "plan", "approved_by"];
    const DERIVED: &'static [&'static str] = &["newest_first", "kind_and_state", "progress"];

    fn key_of(id: &DeploymentId) -> Key {
        Key::newest_first(id.0)
    }

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }

    fn id_text(key: &Key) -> Option<String> {
        complemented(key.sort()).map(|ulid| DeploymentId(ulid).to_string())
    }

    fn derive(&self, row: &mut Object) {
        row.insert("newest_first", complement(self.id.0));
        row.insert("kind_and_state", format!("{}/{}", kind_text(self.kind), self.state.as_str()));
        row.insert("progress", settled_text(self.settled).to_owned());
    }
}

impl Revised for Deployment {
    fn revision(&self) -> u64 {
        self.revision
    }
}

impl Store {
    /// One deployment.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn deployment(&self, id: DeploymentId) -> Result<Option<Deployment>, StoreError> {
        self.get(&id).await
    }

    /// Deployments, newest first.
    ///
    /// # Errors
    /// Where the database fails or the cursor is another list's.
    pub async fn list_deployments(
        &self,
        filter: DeploymentFilter,
        page: &Page,
    ) -> Result<Listed<Deployment>, StoreError> {
        let by = |column, value: String| Walk::Index { column, value, sort: "newest_first" };
        let walk = match (filter.kind, filter.state) {
            (None, None) => Walk::Table,
            (Some(kind), None) => by("kind", kind_text(kind).to_owned()),
            (None, Some(state)) => by("state", state.as_str().to_owned()),
            (Some(kind), Some(state)) => by("kind_and_state", format!("{}/{}", kind_text(kind), state.as_str())),
        };
        self.list(&walk, page).await
    }

    /// Every deployment that the driver has to look after, newest first.
    ///
    /// # Errors
    /// Where the database fails or there are more than 100,000.
    pub async fn unsettled_deployments(&self) -> Result<Vec<Deployment>, StoreError> {
        let walk = Walk::Index { column: "progress", value: settled_text(false).to_owned(), sort: "newest_first" };
        self.walk_all(&walk, "unsettled deployments", MAX_UNSETTLED).await
    }
}
