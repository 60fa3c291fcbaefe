//! Owns how plugins are stored: what is known of each, and its bytes in parts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernex_model::digest::Digest;
use kernex_model::plugin::Plugin;
use serde::{Deserialize, Serialize};

use crate::changes::Changes;
use crate::error::StoreError;
use crate::key::Key;
use crate::record::Record;
use crate::store::Store;
use crate::walk::Walk;

/// Plugins that can be uploaded, at most.
pub const MAX_PLUGINS: usize = 1_000;
/// Bytes of one part.
const PART_BYTES: usize = 512 * 1024;
/// Parts of one plugin, at most: 32 MiB.
const MAX_PARTS: usize = 64;

impl Record for Plugin {
    type Id = Digest;
    const TABLE: &'static str = "plugin";
    const OPAQUE: &'static [&'static str] = &["settings_schema"];
    const APPEND_ONLY: bool = true;

    fn key_of(digest: &Digest) -> Key {
        Key::One(digest.to_string())
    }

    fn key(&self) -> Key {
        Self::key_of(&self.digest)
    }

    fn id_text(_: &Key) -> Option<String> {
        None
    }
}

/// Some of a plugin's bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    #[serde(skip)]
    digest: Option<Digest>,
    #[serde(skip)]
    number: usize,
    /// In base64.
    content: String,
}

impl Record for Part {
    type Id = (Digest, usize);
    const TABLE: &'static str = "plugin_part";
    const APPEND_ONLY: bool = true;

    fn key_of((digest, number): &Self::Id) -> Key {
        Key::Two(digest.to_string(), format!("{number:04}"))
    }

    fn key(&self) -> Key {
        Self::key_of(&(self.digest.unwrap_or(Digest([0; 32])), self.number))
    }

    fn id_text(_: &Key) -> Option<String> {
        None
    }
}

impl Changes {
    /// Adds a plugin with its bytes. What is there already stays: the same digest is the same bytes.
    pub fn add_plugin(&mut self, plugin: &Plugin, bytes: &[u8]) -> &mut Self {
        self.put(plugin).put_parts(plugin.digest, bytes)
    }

    /// Adds a plugin that must be new, with its bytes: where another transaction was first, nothing is written.
    pub fn create_plugin(&mut self, plugin: &Plugin, bytes: &[u8]) -> &mut Self {
        self.create(plugin).put_parts(plugin.digest, bytes)
    }

    fn put_parts(&mut self, digest: Digest, bytes: &[u8]) -> &mut Self {
        for (number, content) in bytes.chunks(PART_BYTES).enumerate() {
            self.put(&Part { digest: Some(digest), number, content: STANDARD.encode(content) });
        }
        self
    }
}

impl Store {
    /// One plugin.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn plugin(&self, digest: Digest) -> Result<Option<Plugin>, StoreError> {
        self.get(&digest).await
    }

    /// A plugin's bytes, if they are whole.
    ///
    /// # Errors
    /// Where the database fails, or what it has is not what the digest says.
    pub async fn plugin_bytes(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let parts: Vec<Part> = self.walk_all(&Walk::Group(digest.to_string()), "parts of a plugin", MAX_PARTS).await?;
        if parts.is_empty() {
            return Ok(None);
        }
        let unreadable =
            |reason: String| StoreError::Unreadable { record: format!("{}:{digest}", Part::TABLE), reason };
        let mut bytes = Vec::with_capacity(parts.len() * PART_BYTES);
        for part in parts {
            bytes.extend(STANDARD.decode(part.content).map_err(|error| unreadable(error.to_string()))?);
        }
        if Digest::of(&bytes) != digest {
            return Err(unreadable("its bytes are not those of the digest".to_owned()));
        }
        Ok(Some(bytes))
    }

    /// Every plugin that is kept, by digest.
    ///
    /// # Errors
    /// Where the database fails or there are more than [`MAX_PLUGINS`] and those of this program.
    pub async fn plugins(&self) -> Result<Vec<Plugin>, StoreError> {
        self.walk_all(&Walk::Table, "plugins", 2 * MAX_PLUGINS).await
    }
}
