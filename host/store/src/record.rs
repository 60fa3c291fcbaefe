//! Owns the trait that makes a noun of the model a record of the database.

use serde::Serialize;
use serde::de::DeserializeOwned;
use surrealdb::types::Object;

use crate::key::Key;

/// A noun that is kept in a table of its own. Its fields are its JSON form, so that there is one struct
/// per noun; what the database needs beside them (index fields) is derived from it on every write.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What identifies it.
    type Id: Send + std::marker::Sync;

    /// Its table.
    const TABLE: &'static str;

    /// Fields that are kept as JSON text: free documents, whose numbers the database would round and
    /// whose keys no schema knows.
    const OPAQUE: &'static [&'static str] = &[];

    /// Index fields that [`Record::derive`] adds and reading drops.
    const DERIVED: &'static [&'static str] = &[];

    /// Fields that [`crate::Changes::update`] writes; all of them, where absent.
    const EDITED: Option<&'static [&'static str]> = None;

    /// A second write of the same key changes nothing.
    const APPEND_ONLY: bool = false;

    /// The table of its term rows, `[term, key]`, where lists of it are filtered by terms.
    const TERM_TABLE: Option<&'static str> = None;

    /// The key of an identifier.
    fn key_of(id: &Self::Id) -> Key;

    /// Its own key.
    fn key(&self) -> Key;

    /// The text of the field `id` behind a key; `None` where the noun has no such field.
    fn id_text(key: &Key) -> Option<String>;

    /// Adds the index fields.
    fn derive(&self, _row: &mut Object) {}

    /// What a list can be filtered by.
    fn terms(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A record that people or the driver change, each on the revision that they read.
pub trait Revised: Record {
    /// The revision that was read.
    fn revision(&self) -> u64;
}
