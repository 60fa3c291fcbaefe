//! Owns the form of record keys: what ranges walk over, and how newest-first is turned into ascending.

use kernex_model::id::Ulid;
use kernex_model::time::Timestamp;
use surrealdb::types::{Array, RecordId, RecordIdKey, Value};

/// Sorts after every key: keys are ASCII letters, digits, `_`, `-` and `/`.
pub(crate) const LAST: &str = "~";

/// A record's key. Lists are walks over ascending keys, so what is listed newest first has an
/// inverted one; `ORDER BY` over a range would be answered wrongly by the database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// One text.
    One(String),
    /// A group and a text within it: a list of the group is one range.
    Two(String, String),
}

impl Key {
    /// Oldest first: the identifier itself.
    pub(crate) fn oldest_first(ulid: Ulid) -> Self {
        Self::One(ulid.to_string())
    }

    /// Newest first: the identifier's complement.
    pub(crate) fn newest_first(ulid: Ulid) -> Self {
        Self::One(complement(ulid))
    }

    /// The text that tells records of one walk apart, in the walk's order.
    pub(crate) fn sort(&self) -> &str {
        match self {
            Self::One(sort) | Self::Two(_, sort) => sort,
        }
    }

    pub(crate) fn to_value(&self) -> RecordIdKey {
        match self {
            Self::One(text) => RecordIdKey::String(text.clone()),
            Self::Two(group, sort) => {
                RecordIdKey::Array(Array::from(vec![Value::String(group.clone()), Value::String(sort.clone())]))
            }
        }
    }

    pub(crate) fn record_id(&self, table: &'static str) -> RecordId {
        RecordId::new(table, self.to_value())
    }

    pub(crate) fn from_value(key: RecordIdKey) -> Option<Self> {
        match key {
            RecordIdKey::String(text) => Some(Self::One(text)),
            RecordIdKey::Array(parts) => {
                let mut parts = parts.into_vec().into_iter();
                match (parts.next(), parts.next(), parts.next()) {
                    (Some(Value::String(group)), Some(Value::String(sort)), None) => Some(Self::Two(group, sort)),
                    _ => None,
                }
            }
            RecordIdKey::Number(_) | RecordIdKey::Uuid(_) | RecordIdKey::Object(_) | RecordIdKey::Range(_) => None,
        }
    }
}

/// The identifier whose text sorts the other way round.
pub(crate) fn complement(ulid: Ulid) -> String {
    Ulid(!ulid.0).to_string()
}

/// The identifier behind a complement's text.
pub(crate) fn complemented(text: &str) -> Option<Ulid> {
    Ulid::from_string(text).ok().map(|ulid| Ulid(!ulid.0))
}

/// A number whose text sorts the other way round.
pub(crate) fn descending(number: u64) -> String {
    format!("{:020}", u64::MAX - number)
}

/// A moment whose text sorts the other way round.
pub(crate) fn latest_first(at: Timestamp) -> String {
    format!("{:015}", Timestamp::MAX.since(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inverted_sorts_the_other_way_round() {
        let (older, newer) = (Ulid(1 << 90), Ulid((1 << 90) + 7));
        assert!(Key::newest_first(newer) < Key::newest_first(older));
        assert!(Key::oldest_first(newer) > Key::oldest_first(older));
        assert_eq!(complemented(&complement(newer)), Some(newer));
        assert!(descending(9) < descending(8) && descending(u64::MAX) < descending(0));
        assert!(latest_first(Timestamp::from_millis(5)) < latest_first(Timestamp::from_millis(4)));
        for key in [Key::newest_first(older), Key::Two("a".into(), "b".into())] {
            assert_eq!(Key::from_value(key.to_value()), Some(key));
        }
    }
}
