//! Owns pages that are filled from several of the store's, where what a filter lets through is known only afterwards.

use kernex_store::{Cursor, Listed, Page};

/// Pages of the store that one answer looks at. What is not found by then is behind the answer's cursor.
const MAX_PAGES: usize = 16;

/// A page that is being filled. Each page of the store is asked for only as many items as there is still
/// room for, so that the cursor always stands behind the last one shown.
#[derive(Debug)]
pub(super) struct Filling<T> {
    items: Vec<T>,
    limit: usize,
    pages: usize,
    next: Next,
}

#[derive(Debug)]
enum Next {
    First(Option<Cursor>),
    More(Cursor),
    End,
}

impl<T> Filling<T> {
    pub(super) fn new(page: Page) -> Self {
        Self { items: Vec::new(), limit: usize::from(page.limit), pages: 0, next: Next::First(page.after) }
    }

    /// Which page of the store to read; `None` where there is enough.
    pub(super) fn wanted(&self) -> Option<Page> {
        let limit = u16::try_from(self.limit.saturating_sub(self.items.len())).ok().filter(|limit| *limit > 0)?;
        match &self.next {
            _ if self.pages >= MAX_PAGES => None,
            Next::First(after) => Some(Page { limit, after: after.clone() }),
            Next::More(after) => Some(Page { limit, after: Some(after.clone()) }),
            Next::End => None,
        }
    }

    /// Takes in what was read, as far as it is to be shown.
    pub(super) fn take(&mut self, listed: Listed<T>, shown: impl Fn(&T) -> bool) {
        self.pages += 1;
        self.next = listed.next.map_or(Next::End, Next::More);
        self.items.extend(listed.items.into_iter().filter(shown));
    }

    /// The page.
    pub(super) fn listed(self) -> Listed<T> {
        let next = match self.next {
            Next::First(after) => after,
            Next::More(after) => Some(after),
            Next::End => None,
        };
        Listed { items: self.items, next }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn cursor(place: usize) -> Cursor {
        let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("01234567{place}"));
        text.parse().expect("the form of a cursor")
    }

    /// Reads 0..size through a filter, page after page, as a client does.
    fn read_all(size: usize, limit: u16, shown: fn(&usize) -> bool) -> Vec<Vec<usize>> {
        let places: Vec<_> = (0..=size).map(cursor).collect();
        let mut answers = Vec::new();
        let mut after = None;
        loop {
            let mut filling = Filling::new(Page { limit, after });
            while let Some(page) = filling.wanted() {
                let from = page
                    .after
                    .map_or(0, |after| places.iter().position(|place| *place == after).expect("a cursor we gave"));
                let to = (from + usize::from(page.limit)).min(size);
                filling.take(Listed { items: (from..to).collect(), next: (to < size).then(|| cursor(to)) }, shown);
            }
            let listed = filling.listed();
            assert!(listed.items.len() <= usize::from(limit));
            answers.push(listed.items);
            match listed.next {
                Some(next) => after = Some(next),
                None => return answers,
            }
        }
    }

    #[test]
    fn every_shown_item_comes_once_and_in_order() {
        for (shown, label) in [
            ((|_| true) as fn(&usize) -> bool, "all"),
            (|n| n % 3 == 0, "a third"),
            (|n| *n == 777, "one"),
            (|_| false, "none"),
        ] {
            for limit in [1, 7, 100, 1_000] {
                let all: Vec<usize> = read_all(1_000, limit, shown).concat();
                assert_eq!(all, (0..1_000).filter(shown).collect::<Vec<_>>(), "{label}, {limit}");
            }
        }
    }

    #[test]
    fn a_page_is_filled_as_far_as_possible() {
        assert_eq!(read_all(1_000, 100, |n| n % 3 == 0)[0].len(), 100);
        assert_eq!(read_all(10, 100, |_| true).len(), 1);
    }
}
