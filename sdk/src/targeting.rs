//! The targeting gate: which devices get a deployment, and in which wave. The columns that cross
//! the border are hidden behind rows.

mod by_text;
mod rows;
pub mod waves;

pub use crate::bindings::targeting::exports::kernex::policy::targeting::{
    Batch, Column, ColumnRequest, ColumnType, Deployment,
};
pub use by_text::ByText;
pub use rows::{ColumnKey, Row, Rows};

use crate::{Plugin, Reason, Selector};

/// Name that only the first wave may have: its class means "may be a canary". The host takes the
/// first N of the class (N is the deployment's, by default 1); the others fall through to the next
/// wave.
pub const CANARY: &str = "canary";

/// A plugin that decides which devices get a deployment.
///
/// ```
/// use kernex_sdk::targeting::{Class, Deployment, Layout, Row, integers};
/// use kernex_sdk::{Diagnostic, Fact, Plugin, Reason, Selector, Targeting, testing};
///
/// struct Charged;
///
/// # impl Plugin for Charged {
/// #     const NAME: &'static str = "charged";
/// #     const SUMMARY: &'static str = "Charged devices only";
/// #     type Settings = ();
/// #
/// #     fn configure(_: ()) -> Result<Self, Vec<Diagnostic>> {
/// #         Ok(Self)
/// #     }
/// # }
/// #
/// impl Targeting for Charged {
///     type Job = ();
///
///     fn layout(&self) -> Layout {
///         let exclusions = vec![Reason::new("battery-low", "the battery is too low, or not known")];
///         Layout { columns: vec![integers("fact.battery")], waves: vec!["all".to_owned()], exclusions }
///     }
///
///     fn candidates(&self, _: &Deployment) -> Result<Selector, Reason> {
///         Ok(Vec::new())
///     }
///
///     fn begin(&self, _: &Deployment) {}
///
///     fn classify(&self, _: &mut (), row: &Row<'_>) -> Class {
///         match row.integer("fact.battery") {
///             Some(30..) => Class::Wave(0),
///             Some(_) | None => Class::Excluded(0),
///         }
///     }
/// }
///
/// let devices: [(u64, &[Fact]); 2] = [(1, &[Fact::integer("fact.battery", 80)]), (2, &[])];
/// let batch = testing::batch(&Charged.layout(), &devices);
/// let classes = testing::classes(&Charged, &testing::deployment(&[]), &batch);
/// assert_eq!(classes, [Class::Wave(0), Class::Excluded(0)]);
/// ```
pub trait Targeting: Plugin {
    /// What classifying needs to know of a deployment, computed once per batch. It may also
    /// remember what it has computed for one device, to save doing it again for the next.
    type Job;

    /// The columns, waves and exclusions. They depend on the settings only.
    fn layout(&self) -> Layout;

    /// The devices worth asking about, as a selector that the host answers from its indexes.
    ///
    /// # Errors
    ///
    /// Why this deployment cannot be targeted at all.
    fn candidates(&self, deployment: &Deployment) -> Result<Selector, Reason>;

    /// Prepares to classify devices for a deployment.
    fn begin(&self, deployment: &Deployment) -> Self::Job;

    /// The class of one device. It must depend on nothing but the settings, the deployment and this
    /// row, so that it does not matter how devices are cut into batches.
    fn classify(&self, job: &mut Self::Job, row: &Row<'_>) -> Class;
}

/// What the classes of a policy stand for.
///
/// ```
/// use kernex_sdk::Reason;
/// use kernex_sdk::targeting::{CANARY, Layout, integers, texts};
///
/// let layout = Layout {
///     columns: vec![texts("site"), integers("fact.battery")],
///     waves: vec![CANARY.to_owned(), "all".to_owned()],
///     exclusions: vec![Reason::new("battery-low", "the device's battery is too low")],
/// };
/// assert_eq!((layout.columns.len(), layout.waves.len(), layout.exclusions.len()), (2, 2, 1));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Facts of devices that `classify` reads.
    pub columns: Vec<ColumnRequest>,
    /// Names of the waves in order; at least one.
    pub waves: Vec<String>,
    /// Why a device can be left out.
    pub exclusions: Vec<Reason>,
}

/// The class of one device.
///
/// ```
/// use kernex_sdk::targeting::Class;
///
/// let of = |charge: Option<i64>| if charge >= Some(30) { Class::Wave(0) } else { Class::Excluded(0) };
/// assert_eq!((of(Some(80)), of(Some(29)), of(None)), (Class::Wave(0), Class::Excluded(0), Class::Excluded(0)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It belongs to the wave with this index.
    Wave(u16),
    /// It is left out, for the reason with this index.
    Excluded(u16),
}

impl Class {
    /// The number that crosses the border. An index out of range becomes a number out of range,
    /// which the host reports as bad output.
    pub(crate) fn number(self, layout: &Layout) -> u16 {
        let waves = u16::try_from(layout.waves.len()).unwrap_or(u16::MAX);
        match self {
            Class::Wave(index) if index < waves => index,
            Class::Wave(_) => u16::MAX,
            Class::Excluded(index) => waves.saturating_add(index),
        }
    }
}

/// Asks for a column of texts.
///
/// ```
/// use kernex_sdk::targeting::{ColumnRequest, ColumnType, texts};
///
/// let column = ColumnRequest { fact: "model".to_owned(), type_: ColumnType::Texts };
/// assert_eq!(texts("model"), column);
/// ```
pub fn texts(fact: impl Into<String>) -> ColumnRequest {
    ColumnRequest { fact: fact.into(), type_: ColumnType::Texts }
}

/// Asks for a column of whole numbers.
///
/// ```
/// use kernex_sdk::targeting::{ColumnRequest, ColumnType, integers};
///
/// let column = ColumnRequest { fact: "fact.battery".to_owned(), type_: ColumnType::Integers };
/// assert_eq!(integers("fact.battery"), column);
/// ```
pub fn integers(fact: impl Into<String>) -> ColumnRequest {
    ColumnRequest { fact: fact.into(), type_: ColumnType::Integers }
}

/// Asks for a column of real numbers.
///
/// ```
/// use kernex_sdk::targeting::{ColumnRequest, ColumnType, reals};
///
/// let column = ColumnRequest { fact: "fact.load".to_owned(), type_: ColumnType::Reals };
/// assert_eq!(reals("fact.load"), column);
/// ```
pub fn reals(fact: impl Into<String>) -> ColumnRequest {
    ColumnRequest { fact: fact.into(), type_: ColumnType::Reals }
}

/// Asks for a column of booleans.
///
/// ```
/// use kernex_sdk::targeting::{ColumnRequest, ColumnType, booleans};
///
/// let column = ColumnRequest { fact: "fact.docked".to_owned(), type_: ColumnType::Booleans };
/// assert_eq!(booleans("fact.docked"), column);
/// ```
pub fn booleans(fact: impl Into<String>) -> ColumnRequest {
    ColumnRequest { fact: fact.into(), type_: ColumnType::Booleans }
}
