//! Owns the unit of work: what one transaction writes, together with who did it and by which decisions.

use std::collections::BTreeMap;

use kernex_model::record::{AuditRecord, Decision};
use surrealdb::types::{Object, Value};

use crate::codec;
use crate::device::DevicePatch;
use crate::error::StoreError;
use crate::record::{Record, Revised};
use crate::walk::pair_key;

/// Records that one unit of work may write, its audit and decision records included.
pub const MAX_RECORDS: usize = 5_000;

/// What happens to the rows of one group. The order of the variants is the order of the statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    Expect,
    Create,
    Update,
    Put,
    Patch,
    Delete,
    Consume,
}

/// Rows of one table that the same thing happens to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    pub(crate) rows: Vec<Value>,
    pub(crate) terms: Vec<Value>,
    pub(crate) columns: Vec<String>,
    pub(crate) term_table: Option<&'static str>,
    pub(crate) edited: Option<&'static [&'static str]>,
    pub(crate) append_only: bool,
}

/// A unit of work: everything in it is committed in one transaction, or nothing of it.
///
/// It begins with the audit record, so that an unaudited write does not compile.
#[derive(Debug, Clone)]
pub struct Changes {
    pub(crate) groups: BTreeMap<(Verb, &'static str), Group>,
    records: usize,
    failed: Option<StoreError>,
}

impl Changes {
    /// A unit of work that one thing is to be known of.
    #[must_use]
    pub fn new(audit: &AuditRecord) -> Self {
        Self::grouped(std::slice::from_ref(audit))
    }

    /// A unit of work that stands for several things, such as the reports of many devices that are
    /// committed together. At least one: without any the commit is refused.
    #[must_use]
    pub fn grouped(audit: &[AuditRecord]) -> Self {
        let mut changes = Self::unaudited();
        if audit.is_empty() {
            changes.failed = Some(StoreError::Database("a unit of work without an audit record".to_owned()));
        }
        for record in audit {
            changes.add(Verb::Create, record);
        }
        changes
    }

    /// For what is written beside units of work: presence, and decisions that changed nothing.
    pub(crate) fn unaudited() -> Self {
        Self { groups: BTreeMap::new(), records: 0, failed: None }
    }

    /// Adds the decision that led to it.
    #[must_use]
    pub fn deciding(mut self, decision: &Decision) -> Self {
        self.add(Verb::Put, decision);
        self
    }

    /// Adds a record whose key must be new.
    pub fn create<T: Record>(&mut self, record: &T) -> &mut Self {
        self.add(Verb::Create, record);
        self
    }

    /// Lets everything happen only where a record is still on the revision that was read, and does not change it. Whoever
    /// changes it at the same time is not seen: both are committed.
    pub fn expect<T: Revised>(&mut self, record: &T) -> &mut Self {
        let mut entry = Object::new();
        entry.insert("id", record.key().record_id(T::TABLE));
        entry.insert("revision", i64::try_from(record.revision()).unwrap_or(i64::MAX));
        self.group::<T>(Verb::Expect).rows.push(Value::Object(entry));
        self
    }

    /// Changes a record on the revision that was read; what is stored has the next one.
    pub fn update<T: Revised>(&mut self, record: &T) -> &mut Self {
        let Some(mut row) = self.encoded(record) else { return self };
        let revision = i64::try_from(record.revision()).unwrap_or(i64::MAX);
        row.insert("revision", revision.saturating_add(1));
        let mut entry = Object::new();
        entry.insert("id", record.key().record_id(T::TABLE));
        entry.insert("sort", record.key().sort().to_owned());
        entry.insert("revision", revision);
        entry.insert("row", row);
        let group = self.group::<T>(Verb::Update);
        group.rows.push(Value::Object(entry));
        group.edited = T::EDITED;
        self
    }

    /// Writes a record over what may be there; of an append-only noun, the first write stays.
    pub fn put<T: Record>(&mut self, record: &T) -> &mut Self {
        self.add(Verb::Put, record);
        self
    }

    /// Removes a record. Where there is none nothing happens.
    pub fn delete<T: Record>(&mut self, id: &T::Id) -> &mut Self {
        self.records += 1;
        let id = T::key_of(id).record_id(T::TABLE);
        self.group::<T>(Verb::Delete).rows.push(Value::RecordId(id));
        self
    }

    /// Writes what the host knows of a device, whatever its revision is, and leaves what operators set.
    /// A device that does not exist is a conflict.
    pub fn patch_device(&mut self, patch: &DevicePatch) -> &mut Self {
        self.records += 1;
        match patch.entry() {
            Ok(entry) => self.group::<kernex_model::device::Device>(Verb::Patch).rows.push(Value::Object(entry)),
            Err(error) => self.failed = Some(error),
        }
        self
    }

    /// Uses up a secret of the server, such as the digest of the set-up token. Where another
    /// transaction was first it is a conflict.
    pub fn consume_secret(&mut self, name: &str) -> &mut Self {
        self.records += 1;
        let id = crate::secret::record_id(name);
        self.groups.entry((Verb::Consume, crate::secret::TABLE)).or_default().rows.push(Value::RecordId(id));
        self
    }

    /// How many records it writes, its audit and decision records included; see [`MAX_RECORDS`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.records
    }

    /// Whether it writes nothing but audit records and decisions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let record = |table| table == AuditRecord::TABLE || table == Decision::TABLE;
        self.groups.keys().all(|(verb, table)| *verb == Verb::Expect || record(*table))
    }

    /// What keeps it from being committed at all.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.records > MAX_RECORDS {
            return Err(StoreError::TooMany { what: "records in one unit of work", limit: MAX_RECORDS });
        }
        Ok(())
    }

    fn group<T: Record>(&mut self, verb: Verb) -> &mut Group {
        let group = self.groups.entry((verb, T::TABLE)).or_default();
        group.term_table = T::TERM_TABLE;
        group.append_only = T::APPEND_ONLY;
        group
    }

    fn encoded<T: Record>(&mut self, record: &T) -> Option<Object> {
        self.records += 1;
        codec::encode(record).map_err(|error| self.failed = Some(error)).ok()
    }

    fn add<T: Record>(&mut self, verb: Verb, record: &T) {
        let Some(mut row) = self.encoded(record) else { return };
        let id = record.key().record_id(T::TABLE);
        let group = self.group::<T>(verb);
        if group.columns.is_empty() {
            group.columns = row.keys().cloned().collect();
        }
        row.insert("id", id.clone());
        group.rows.push(Value::Object(row));
        if T::TERM_TABLE.is_some() {
            for term in record.terms() {
                group.terms.push(term_row(T::TERM_TABLE.unwrap_or_default(), &term, record.key().sort(), &id));
            }
        }
    }
}

/// The row that lets a walk over `term` find `target`.
pub(crate) fn term_row(table: &'static str, term: &str, sort: &str, target: &surrealdb::types::RecordId) -> Value {
    let mut row = Object::new();
    row.insert("id", surrealdb::types::RecordId::new(table, pair_key(term, sort)));
    row.insert("target", target.clone());
    Value::Object(row)
}
