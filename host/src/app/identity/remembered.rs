//! Owns what is remembered of the store for a short while: bounded, and never older than the last change made here.

use std::hash::Hash;
use std::time::Duration;

use moka::sync::Cache;
use parking_lot::RwLock;

/// How long something is remembered, in seconds. Changes made on this host show at once; on the others
/// of the same database after this time at the latest.
pub const REMEMBERED_S: u64 = 10;
/// Entries of one kind at most.
pub const MAX_REMEMBERED: u64 = 100_000;

/// Values by key, read from the store when they are missing.
pub struct Remembered<K, V> {
    entries: Cache<K, V>,
    /// Counts what was forgotten: a value that was read before must not be remembered after.
    changes: RwLock<u64>,
}

impl<K, V> std::fmt::Debug for Remembered<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Remembered")
    }
}

impl<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static> Default for Remembered<K, V> {
    fn default() -> Self {
        let entries =
            Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(Duration::from_secs(REMEMBERED_S)).build();
        Self { entries, changes: RwLock::new(0) }
    }
}

impl<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static> Remembered<K, V> {
    /// The value under `key`, from memory or through `read`. What does not exist is not remembered.
    ///
    /// # Errors
    /// What `read` fails with.
    pub async fn get<E>(&self, key: K, read: impl Future<Output = Result<Option<V>, E>>) -> Result<Option<V>, E> {
        if let Some(value) = self.entries.get(&key) {
            return Ok(Some(value));
        }
        let before = *self.changes.read();
        let value = read.await?;
        if let Some(value) = &value {
            let now = self.changes.read();
            if *now == before {
                self.entries.insert(key, value.clone());
            }
        }
        Ok(value)
    }

    /// Forgets what is under `key`: call it after it was changed in the store.
    pub fn forget(&self, key: &K) {
        let mut changes = self.changes.write();
        *changes += 1;
        self.entries.invalidate(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(remembered: &Remembered<u8, u8>, stored: Option<u8>) -> Option<u8> {
        remembered.get(1, async { Ok::<_, ()>(stored) }).await.expect("cannot fail")
    }

    #[tokio::test]
    async fn a_change_shows_at_once() {
        let remembered = Remembered::default();
        assert_eq!(ask(&remembered, Some(1)).await, Some(1));
        assert_eq!(ask(&remembered, Some(2)).await, Some(1));
        remembered.forget(&1);
        assert_eq!(ask(&remembered, None).await, None);
        assert_eq!(ask(&remembered, Some(3)).await, Some(3));
    }

    #[tokio::test]
    async fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let remembered = Remembered::default();
        let slow = remembered.get(1, async {
            remembered.forget(&1);
            Ok::<_, ()>(Some(1))
        });
        assert_eq!(slow.await, Ok(Some(1)));
        assert_eq!(ask(&remembered, None).await, None);
    }
}
