//! Owns what the log was told already: what comes up again with every pass is written once.

use std::collections::HashSet;
use std::hash::Hash;

use parking_lot::Mutex;

/// Things that are remembered; after so many it begins anew.
const REMEMBERED: usize = 1_024;

/// What was told.
#[derive(Debug)]
pub(super) struct News<T>(Mutex<HashSet<T>>);

impl<T> Default for News<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Eq + Hash> News<T> {
    /// Whether this has not been told yet. From here on it has.
    pub(super) fn is_news(&self, thing: T) -> bool {
        let mut told = self.0.lock();
        if told.len() >= REMEMBERED {
            told.clear();
        }
        told.insert(thing)
    }

    /// Whether this has been told.
    pub(super) fn is_told(&self, thing: &T) -> bool {
        self.0.lock().contains(thing)
    }

    /// Takes back that this has been told: the next time it is news again.
    pub(super) fn forget(&self, thing: &T) {
        self.0.lock().remove(thing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_told_once_and_few_are_remembered() {
        let news = News::default();
        assert!(news.is_news((0, "a")));
        assert!(!news.is_news((0, "a")));
        assert!(news.is_news((0, "b")));
        assert!(news.is_told(&(0, "b")) && !news.is_told(&(1, "a")));
        news.forget(&(0, "b"));
        assert!(!news.is_told(&(0, "b")) && news.is_news((0, "b")));
        assert!((1..=REMEMBERED).all(|number| news.is_news((number, "a"))));
        assert!(news.0.lock().len() <= REMEMBERED);
    }
}
