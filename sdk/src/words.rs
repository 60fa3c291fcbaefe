//! Words by hash: the lookups of a decision compare numbers, and texts only once, at the end.

/// An action as it is asked for, hashed once.
///
/// ```
/// use kernex_sdk::grants::Grants;
/// use kernex_sdk::words::Asked;
///
/// let (everything, nothing) = (["*".to_owned()], []);
/// let grants = [&everything[..], &nothing].map(|grants| Grants::parse(grants, "/grants", &mut Vec::new()));
/// // It is hashed once, however many are asked.
/// let asked = Asked::of("device:retire");
/// assert_eq!(grants.map(|grants| grants.contain(asked)), [true, false]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub(crate) action: Word<'a>,
    /// The part before the colon; the whole action where there is none.
    pub(crate) noun: Word<'a>,
}

/// A text and its hash.
///
/// ```
/// use kernex_sdk::words::{ByWord, Word};
///
/// let ranks = ByWord::new([("operator".to_owned(), 2), ("viewer".to_owned(), 1)]);
/// assert_eq!(ranks.get(Word::of("operator")), Some(&2));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Word<'a> {
    pub(crate) text: &'a str,
    hash: u64,
}

impl<'a> Word<'a> {
    /// The text, hashed.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        Self { text, hash: text.bytes().fold(FNV_OFFSET, step) }
    }
}

impl<'a> Asked<'a> {
    /// The action, hashed, and its noun.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        let (mut hash, mut noun) = (FNV_OFFSET, None);
        for (position, byte) in text.bytes().enumerate() {
            if byte == b':' && noun.is_none() {
                noun = Some(Word { text: &text[..position], hash });
            }
            hash = step(hash, byte);
        }
        let action = Word { text, hash };
        Self { action, noun: noun.unwrap_or(action) }
    }
}

/// FNV-1a with 64 bits (Fowler, Noll, Vo). A collision costs a comparison, no more.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
}

/// A map from words, in the order of their hashes.
///
/// ```
/// use kernex_sdk::words::{ByWord, Word};
///
/// let ranks = ByWord::new([("operator".to_owned(), 2), ("viewer".to_owned(), 1)]);
/// assert_eq!((ranks.get(Word::of("viewer")), ranks.get(Word::of("stranger"))), (Some(&1), None));
/// ```
#[derive(Debug)]
pub struct ByWord<T>(Vec<(u64, String, T)>);

impl<T> ByWord<T> {
    /// A map from these words. Of a word that is there twice, only one value is found.
    pub fn new(entries: impl IntoIterator<Item = (String, T)>) -> Self {
        let hashed = |(word, value): (String, T)| (Word::of(&word).hash, word, value);
        let mut entries: Vec<(u64, String, T)> = entries.into_iter().map(hashed).collect();
        entries.sort_by(|(a, one, _), (b, other, _)| (a, one).cmp(&(b, other)));
        Self(entries)
    }

    /// What the word maps to.
    #[must_use]
    pub fn get(&self, word: Word<'_>) -> Option<&T> {
        let first = self.0.partition_point(|(hash, _, _)| *hash < word.hash);
        self.0[first..]
            .iter()
            .take_while(|(hash, _, _)| *hash == word.hash)
            .find(|(_, text, _)| text == word.text)
            .map(|(_, _, value)| value)
    }
}

impl<T> Default for ByWord<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_and_no_other() {
        let map = ByWord::new((0..1_000).map(|number| (format!("word-{number}"), number)));
        for number in 0..1_000 {
            assert_eq!(map.get(Word::of(&format!("word-{number}"))), Some(&number));
        }
        assert_eq!(map.get(Word::of("word-1000")), None);
        let same = Word { text: "another", hash: Word::of("word-7").hash };
        assert_eq!(map.get(same), None, "a collision is no match");
    }

    #[test]
    fn an_action_is_split_at_its_colon() {
        let asked = Asked::of("device:read");
        assert_eq!((asked.action.text, asked.noun.text), ("device:read", "device"));
        assert_eq!((asked.action.hash, asked.noun.hash), (Word::of("device:read").hash, Word::of("device").hash));
        assert_eq!(Asked::of("device").noun.text, "device");
    }
}
