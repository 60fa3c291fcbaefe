//! Owns the walks that lists are: ascending over a range of keys, over one value of an index, or over the rows of one term.

use surrealdb::types::{Array, RecordIdKey, Value, Variables};

use crate::codec;
use crate::cursor::{Cursor, Listed, Page};
use crate::error::StoreError;
use crate::key::LAST;
use crate::record::Record;
use crate::store::Store;

/// Records that one page may look at before it ends early.
const MAX_LOOKED_AT: usize = 4_000;

/// One way through a table. None of them sorts: the order is the keys' or the index's own.
#[derive(Debug, Clone)]
pub(crate) enum Walk {
    /// The whole table.
    Table,
    /// The keys of one group.
    Group(String),
    /// The records with `column = value`, by an index over `column` and `sort`.
    Index {
        /// Equal to `value` in all of them.
        column: &'static str,
        /// What it equals.
        value: String,
        /// The column that gives the order.
        sort: &'static str,
    },
    /// The records that one term row each names.
    Term(String),
}

impl Walk {
    /// Names the walk in cursors.
    fn name(&self, table: &str) -> String {
        match self {
            Self::Table => table.to_owned(),
            Self::Group(group) => format!("{table}/{group}"),
            Self::Index { column, value, .. } => format!("{table}/{column}={value}"),
            Self::Term(term) => format!("{table}?{term}"),
        }
    }

    /// The query that reads `$limit` rows after `$from`, and which of its statements does.
    pub(crate) fn query<T: Record>(&self, from: &str, limit: usize) -> (String, Variables, usize) {
        let mut variables = Variables::new();
        variables.insert("limit", i64::try_from(limit).unwrap_or(i64::MAX));
        let (text, statement) = match self {
            Self::Table => {
                variables.insert("from", from.to_owned());
                variables.insert("to", LAST.to_owned());
                (format!("SELECT * FROM type::record('{}', $from>..$to) LIMIT $limit", T::TABLE), 0)
            }
            Self::Group(group) => {
                variables.insert("from", pair(group, from));
                variables.insert("to", pair(group, LAST));
                (format!("SELECT * FROM type::record('{}', $from>..$to) LIMIT $limit", T::TABLE), 0)
            }
            Self::Index { column, value, sort } => {
                variables.insert("value", value.clone());
                variables.insert("from", from.to_owned());
                (
                    format!(
                        "SELECT * FROM {} WHERE {column} = $value AND {sort} > $from ORDER BY {sort} LIMIT $limit",
                        T::TABLE
                    ),
                    0,
                )
            }
            Self::Term(term) => {
                variables.insert("from", pair(term, from));
                variables.insert("to", pair(term, LAST));
                (
                    format!(
                        "LET $ids = (SELECT VALUE target FROM type::record('{}', $from>..$to) LIMIT $limit); SELECT * FROM $ids",
                        T::TERM_TABLE.unwrap_or_default()
                    ),
                    1,
                )
            }
        };
        (text, variables, statement)
    }
}

pub(crate) fn pair(group: &str, sort: &str) -> Value {
    Value::Array(Array::from(vec![Value::String(group.to_owned()), Value::String(sort.to_owned())]))
}

pub(crate) fn pair_key(group: &str, sort: &str) -> RecordIdKey {
    RecordIdKey::Array(Array::from(vec![Value::String(group.to_owned()), Value::String(sort.to_owned())]))
}

impl Store {
    /// At most `limit` records of a walk after `from`, each with its place in the walk.
    pub(crate) async fn walk<T: Record>(
        &self,
        walk: &Walk,
        from: &str,
        limit: usize,
    ) -> Result<Vec<(String, T)>, StoreError> {
        let (text, variables, statement) = walk.query::<T>(from, limit);
        let rows = self.rows(&text, variables, statement).await?;
        rows.into_iter()
            .map(|row| {
                let place = match walk {
                    Walk::Index { sort, .. } => codec::text_of(&row, sort),
                    Walk::Table | Walk::Group(_) | Walk::Term(_) => {
                        codec::key_of(&row).map(|key| key.sort().to_owned())
                    }
                }
                .ok_or_else(|| StoreError::Unreadable {
                    record: T::TABLE.to_owned(),
                    reason: "it has no place in its list".to_owned(),
                })?;
                Ok((place, codec::decode(row)?))
            })
            .collect()
    }

    /// One page of a walk.
    pub(crate) async fn list<T: Record>(&self, walk: &Walk, page: &Page) -> Result<Listed<T>, StoreError> {
        self.list_where(walk, page, "", |_: &T| true).await
    }

    /// One page of a walk through a filter that no index answers; `filter` names it in the cursor. A page
    /// looks at a bounded number of records: where little gets through it is short, and has a next one.
    pub(crate) async fn list_where<T: Record>(
        &self,
        walk: &Walk,
        page: &Page,
        filter: &str,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Listed<T>, StoreError> {
        let name = format!("{} {filter}", walk.name(T::TABLE));
        let mut from = page.after.as_ref().map_or(Ok(""), |cursor| cursor.place(&name))?.to_owned();
        let (mut items, mut looked_at) = (Vec::new(), 0);
        loop {
            let chunk = page.size() + 1;
            let rows = self.walk::<T>(walk, &from, chunk).await?;
            let ended = rows.len() < chunk;
            looked_at += rows.len();
            for (place, item) in rows {
                if keep(&item) {
                    if items.len() == page.size() {
                        return Ok(Listed { items, next: Some(Cursor::new(&name, &from)) });
                    }
                    items.push(item);
                }
                from = place;
            }
            if ended {
                return Ok(Listed { items, next: None });
            }
            if looked_at >= MAX_LOOKED_AT {
                return Ok(Listed { items, next: Some(Cursor::new(&name, &from)) });
            }
        }
    }

    /// A whole list, page by page, up to `limit` records.
    pub(crate) async fn walk_all<T: Record>(
        &self,
        walk: &Walk,
        what: &'static str,
        limit: usize,
    ) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        let mut from = String::new();
        loop {
            let rows = self.walk::<T>(walk, &from, usize::from(crate::cursor::MAX_PAGE)).await?;
            let full = rows.len() == usize::from(crate::cursor::MAX_PAGE);
            if let Some((place, _)) = rows.last() {
                from.clone_from(place);
            }
            all.extend(rows.into_iter().map(|(_, record)| record));
            if all.len() > limit {
                return Err(StoreError::TooMany { what, limit });
            }
            if !full {
                return Ok(all);
            }
        }
    }
}
