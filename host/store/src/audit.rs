//! Owns how audit records are stored: newest first, found by who did it and by what it was done to. Nothing changes or removes one.

use kernex_model::id::AuditId;
use kernex_model::principal::Principal;
use kernex_model::record::AuditRecord;

use crate::cursor::{Listed, Page};
use crate::error::StoreError;
use crate::key::{Key, complemented};
use crate::record::Record;
use crate::store::Store;
use crate::walk::Walk;

/// Which audit records a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditFilter<'a> {
    /// Those of this principal.
    pub principal: Option<Principal>,
    /// Those on this kind of thing.
    pub resource_kind: Option<&'a str>,
    /// Those on this thing.
    pub resource_id: Option<&'a str>,
}

fn by(principal: Principal) -> String {
    format!("by={principal}")
}

fn kind(kind: &str) -> String {
    format!("kind={kind}")
}

fn on(id: &str) -> String {
    format!("on={id}")
}

impl Record for AuditRecord {
    type Id = AuditId;
    const TABLE: &'static str = "audit";
    const OPAQUE: &'static [&'static str] = &["detail"];
    const APPEND_ONLY: bool = true;
    const TERM_TABLE: Option<&'static str> = Some("audit_term");

    fn key_of(id: &AuditId) -> Key {
        Key::newest_first(id.0)
    }

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }

    fn id_text(key: &Key) -> Option<String> {
        complemented(key.sort()).map(|ulid| AuditId(ulid).to_string())
    }

    fn terms(&self) -> Vec<String> {
        let id = self.resource_id.as_deref().map(on);
        [by(self.principal), kind(&self.resource_kind)].into_iter().chain(id).collect()
    }
}

impl Store {
    /// Audit records, newest first.
    ///
    /// # Errors
    /// Where the database fails or the cursor is another list's.
    pub async fn list_audit(&self, filter: AuditFilter<'_>, page: &Page) -> Result<Listed<AuditRecord>, StoreError> {
        // The rarest is walked, the others are checked on what it leads to.
        let term =
            filter.resource_id.map(on).or_else(|| filter.principal.map(by)).or_else(|| filter.resource_kind.map(kind));
        let walk = term.map_or(Walk::Table, Walk::Term);
        let name = format!("{:?}", (filter.principal.map(by), filter.resource_kind, filter.resource_id));
        self.list_where(&walk, page, &name, |record: &AuditRecord| {
            filter.principal.is_none_or(|principal| record.principal == principal)
                && filter.resource_kind.is_none_or(|kind| record.resource_kind == kind)
                && filter.resource_id.is_none_or(|id| record.resource_id.as_deref() == Some(id))
        })
        .await
    }
}
