//! Owns remembering what was computed for a text, so that it is computed once in a batch.

use super::{ColumnKey, Row};

/// What was computed for the texts of one batch: for the first device that has the text, and remembered for the
/// others. Keep it in the job, which lives as long as the batch.
///
/// ```
/// use kernex_sdk::targeting::{ByText, Layout, Rows, texts};
/// use kernex_sdk::{Fact, testing};
///
/// let layout = Layout { columns: vec![texts("model")], waves: vec!["all".to_owned()], exclusions: Vec::new() };
/// let facts = [Fact::text("model", "gateway-2")];
/// let batch = testing::batch(&layout, &[(1, &facts), (2, &facts)]);
/// let (mut fitting, mut compared) = (ByText::default(), 0);
/// for row in Rows::new(&layout, &batch) {
///     let fits = fitting.of(&row, "model", |model| {
///         compared += 1;
///         model.starts_with("gateway")
///     });
///     assert_eq!(fits, Some(true));
/// }
/// assert_eq!(compared, 1, "both devices are of this model");
/// ```
#[derive(Debug, Clone)]
pub struct ByText<T>(Vec<Option<T>>);

impl<T> Default for ByText<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy> ByText<T> {
    /// What `compute` makes of the row's text; none where [`Row::text`] is none.
    pub fn of(&mut self, row: &Row<'_>, column: impl ColumnKey, compute: impl FnOnce(&str) -> T) -> Option<T> {
        let number = row.text_number(column)?;
        if let Some(Some(known)) = self.0.get(number) {
            return Some(*known);
        }
        self.compute(row.dictionary(), number, compute)
    }

    /// Apart, so that what happens for every device is small enough to be inlined.
    #[cold]
    #[inline(never)]
    fn compute(&mut self, dictionary: &[String], number: usize, compute: impl FnOnce(&str) -> T) -> Option<T> {
        let computed = compute(dictionary.get(number)?);
        self.0.resize(dictionary.len(), None);
        self.0[number] = Some(computed);
        Some(computed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targeting::{Layout, Rows, texts};
    use crate::{Fact, testing};

    #[test]
    fn each_text_is_computed_once() {
        let layout =
            Layout { columns: vec![texts("model"), texts("site")], waves: vec!["all".into()], exclusions: Vec::new() };
        let [long, short] = ["gateway", "a1"].map(|model| [Fact::text("model", model), Fact::text("site", "lab")]);
        let batch = testing::batch(&layout, &[(1, &long), (2, &short), (3, &long), (4, &[]), (5, &short)]);
        let (mut lengths, mut computed) = (ByText::default(), 0);
        let found: Vec<Option<usize>> = Rows::new(&layout, &batch)
            .map(|row| {
                lengths.of(&row, "model", |model| {
                    computed += 1;
                    model.len()
                })
            })
            .collect();
        assert_eq!((found, computed), (vec![Some(7), Some(2), Some(7), None, Some(2)], 2));
    }
}
