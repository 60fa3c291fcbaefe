//! The targeting gate: which devices get a deployment, and in which wave. The columns that cross
//! the border are hidden behind rows.

mod by_text;
mod rows;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
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
pub fn texts(fact: impl Into<String>) -> ColumnRequest {
    ColumnRequest { fact: fact.into(), type_: ColumnType::Texts }
}

/// Asks for a column of whole numbers.
pub fn integers(fact: impl Into<String>) -> ColumnRequest {
    ColumnRequest { fact: fact.into(), type_: ColumnType::Integers }
}

/// Asks for a column of real numbers.
pub fn reals(fact: impl Into<String>) -> ColumnRequest {
    ColumnRequest { fact: fact.into(), type_: ColumnType::Reals }
}

/// Asks for a column of booleans.
pub fn booleans(fact: impl Into<String>) -> ColumnRequest {
    ColumnRequest { fact: fact.into(), type_: ColumnType::Booleans }
}
