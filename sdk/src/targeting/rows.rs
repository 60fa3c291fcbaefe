//! Rows over the columns of a batch, with facts by name or place, and type.

use super::{Batch, Column, Layout};

/// In a column of texts: no such fact.
const ABSENT: u32 = u32::MAX;

/// The devices of a batch, one after the other.
///
/// ```
/// use kernex_sdk::targeting::{Layout, Rows, texts};
/// use kernex_sdk::{Fact, testing};
///
/// let layout = Layout { columns: vec![texts("site")], waves: vec!["all".to_owned()], exclusions: Vec::new() };
/// let devices: [(u64, &[Fact]); 2] = [(1, &[Fact::text("site", "lab")]), (2, &[])];
/// let batch = testing::batch(&layout, &devices);
/// let sites: Vec<Option<&str>> = Rows::new(&layout, &batch).map(|row| row.text("site")).collect();
/// assert_eq!(sites, [Some("lab"), None]);
/// ```
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    layout: &'a Layout,
    batch: &'a Batch,
    next: usize,
}

impl<'a> Rows<'a> {
    /// The rows of a batch whose columns are those of the layout.
    #[must_use]
    pub fn new(layout: &'a Layout, batch: &'a Batch) -> Self {
        Self { layout, batch, next: 0 }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        let hash = *self.batch.device_hashes.get(self.next)?;
        let row = Row { layout: self.layout, batch: self.batch, index: self.next, hash };
        self.next += 1;
        Some(row)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.batch.device_hashes.len() - self.next;
        (left, Some(left))
    }
}

/// Which column of the layout: by the name of its fact, or by its place in [`Layout::columns`]. A name is looked up
/// for every device, a place is not.
///
/// ```
/// use kernex_sdk::targeting::{ColumnKey, Layout, texts};
///
/// let columns = vec![texts("site"), texts("model")];
/// let layout = Layout { columns, waves: vec!["all".to_owned()], exclusions: Vec::new() };
/// assert_eq!(("model".place(&layout), 1_usize.place(&layout), "colour".place(&layout)), (Some(1), Some(1), None));
/// ```
pub trait ColumnKey {
    /// The place in [`Layout::columns`].
    fn place(self, layout: &Layout) -> Option<usize>;
}

impl ColumnKey for usize {
    fn place(self, _: &Layout) -> Option<usize> {
        Some(self)
    }
}

impl ColumnKey for &str {
    fn place(self, layout: &Layout) -> Option<usize> {
        layout.columns.iter().position(|request| request.fact == self)
    }
}

impl ColumnKey for &String {
    fn place(self, layout: &Layout) -> Option<usize> {
        self.as_str().place(layout)
    }
}

/// One device. A fact is none when the device has no such fact, or it is of another type, or the
/// layout did not ask for it.
///
/// ```
/// use kernex_sdk::targeting::{Layout, Rows, booleans, integers, reals, texts};
/// use kernex_sdk::{Fact, testing};
///
/// let columns = vec![texts("site"), integers("fact.battery"), reals("fact.load"), booleans("fact.docked")];
/// let layout = Layout { columns, waves: vec!["all".to_owned()], exclusions: Vec::new() };
/// let facts = [Fact::text("site", "lab"), Fact::integer("fact.battery", 80), Fact::boolean("fact.docked", true)];
/// let batch = testing::batch(&layout, &[(7, &facts)]);
/// let row = Rows::new(&layout, &batch).next().expect("one device");
/// assert_eq!((row.device_hash(), row.text("site"), row.text_number("site")), (7, Some("lab"), Some(0)));
/// assert_eq!((row.integer("fact.battery"), row.boolean("fact.docked")), (Some(80), Some(true)));
/// assert_eq!(row.real("fact.load"), None);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    layout: &'a Layout,
    batch: &'a Batch,
    index: usize,
    hash: u64,
}

impl<'a> Row<'a> {
    /// A hash of (device, deployment), evenly distributed and stable for the deployment's life.
    #[must_use]
    pub fn device_hash(&self) -> u64 {
        self.hash
    }

    /// A fact that is a text.
    #[must_use]
    pub fn text(&self, column: impl ColumnKey) -> Option<&'a str> {
        self.text_number(column).and_then(|number| self.batch.dictionary.get(number)).map(String::as_str)
    }

    /// The number of a text in the batch's dictionary: equal texts have equal numbers, so that what
    /// was computed for one device can be remembered for the next in the same batch, as [`ByText`](super::ByText) does.
    #[must_use]
    pub fn text_number(&self, column: impl ColumnKey) -> Option<usize> {
        match self.column(column)? {
            Column::Texts(cells) => {
                cells.get(self.index).filter(|number| **number != ABSENT).map(|number| *number as usize)
            }
            Column::Integers(_) | Column::Reals(_) | Column::Booleans(_) => None,
        }
    }

    /// A fact that is a whole number.
    #[must_use]
    pub fn integer(&self, column: impl ColumnKey) -> Option<i64> {
        match self.column(column)? {
            Column::Integers(cells) => cells.get(self.index).copied().filter(|cell| *cell != i64::MIN),
            Column::Texts(_) | Column::Reals(_) | Column::Booleans(_) => None,
        }
    }

    /// A fact that is a real number.
    #[must_use]
    pub fn real(&self, column: impl ColumnKey) -> Option<f64> {
        match self.column(column)? {
            Column::Reals(cells) => cells.get(self.index).copied().filter(|cell| !cell.is_nan()),
            Column::Texts(_) | Column::Integers(_) | Column::Booleans(_) => None,
        }
    }

    /// A fact that is true or false.
    #[must_use]
    pub fn boolean(&self, column: impl ColumnKey) -> Option<bool> {
        match self.column(column)? {
            Column::Booleans(cells) => match cells.get(self.index) {
                Some(0) => Some(false),
                Some(1) => Some(true),
                Some(_) | None => None,
            },
            Column::Texts(_) | Column::Integers(_) | Column::Reals(_) => None,
        }
    }

    /// The texts of the batch.
    pub(super) fn dictionary(&self) -> &'a [String] {
        &self.batch.dictionary
    }

    fn column(&self, column: impl ColumnKey) -> Option<&'a Column> {
        self.batch.columns.get(column.place(self.layout)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targeting::{booleans, integers, reals, texts};
    use crate::{Fact, testing};

    #[test]
    fn rows_show_named_facts_of_the_asked_type() {
        let layout = Layout {
            columns: vec![texts("model"), integers("fact.cores"), reals("fact.load"), booleans("fact.docked")],
            waves: vec!["all".into()],
            exclusions: Vec::new(),
        };
        let facts = [Fact::text("model", "a1"), Fact::integer("fact.cores", 4), Fact::boolean("fact.docked", true)];
        let batch = testing::batch(&layout, &[(1, &facts), (2, &facts[..1]), (3, &[])]);
        let rows: Vec<Row<'_>> = Rows::new(&layout, &batch).collect();
        assert_eq!(rows.iter().map(Row::device_hash).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(rows[0].text("model"), Some("a1"));
        assert_eq!(rows[0].text_number("model"), rows[1].text_number("model"));
        assert_eq!((rows[0].integer("fact.cores"), rows[1].integer("fact.cores")), (Some(4), None));
        assert_eq!((rows[0].boolean("fact.docked"), rows[2].boolean("fact.docked")), (Some(true), None));
        assert_eq!(rows[0].real("fact.load"), None);
        assert_eq!(rows[2].text("model"), None);
        assert_eq!(rows[0].text("fact.cores"), None);
        assert_eq!(rows[0].text("colour"), None);
        assert_eq!((rows[0].text(0), rows[0].integer(1), rows[0].integer(4)), (Some("a1"), Some(4), None));
    }
}
