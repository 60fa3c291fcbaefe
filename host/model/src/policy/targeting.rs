//! The targeting gate: which devices a deployment asks about, and the class of each.

use serde::{Deserialize, Serialize};

use super::{Fact, PolicySelector, Reason};

/// In a column of texts: this device has no such fact.
pub const ABSENT: u32 = u32::MAX;

/// A deployment as the targeting policy sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetingDeployment {
    /// Prefixed identifier.
    pub id: String,
    /// What is known of it, such as `bundle.version`.
    pub facts: Vec<Fact>,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_at_ms: u64,
}

/// Of what type a column's cells are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// Numbers and booleans are written out.
    Texts,
    /// Whole numbers only.
    Integers,
    /// Whole numbers are taken as reals.
    Reals,
    /// Booleans only.
    Booleans,
}

/// A fact of devices that `classify` wants to see. The plugin names the type: were it taken from
/// the values, it could depend on how devices are cut into batches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnRequest {
    /// Fact name or label key of a device.
    pub fact: String,
    /// A value of another type is treated as absent.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
}

/// How a deployment's devices are to be classified.
///
/// Classes `0..waves.len()` stand for the waves in order, the following `exclusions.len()`
/// classes for the reasons to leave a device out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetingPlan {
    /// Devices worth asking about.
    pub candidates: PolicySelector,
    /// Facts that `classify` wants, one column each.
    pub columns: Vec<ColumnRequest>,
    /// Names of the waves in order. A wave named `canary` is special, see [`Self::CANARY`].
    pub waves: Vec<String>,
    /// Why a device is left out.
    pub exclusions: Vec<Reason>,
}

impl TargetingPlan {
    /// The first wave may have this name. Its class then means "may be a canary": the host takes
    /// the first N of that class in the order of their device hashes (N is the deployment's, by
    /// default 1), and the others of the class fall through to the next wave.
    pub const CANARY: &'static str = "canary";
}

/// One fact of every device in a batch. Without a value for a device: [`ABSENT`] for texts,
/// `i64::MIN` for integers, NaN for reals, 2 for booleans.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// Indexes into the batch's dictionary.
    Texts(Vec<u32>),
    /// Whole numbers.
    Integers(Vec<i64>),
    /// Real numbers.
    Reals(Vec<f64>),
    /// 0 false, 1 true.
    Booleans(Vec<u8>),
}

impl Column {
    /// In a column of integers: no such fact.
    pub const NO_INTEGER: i64 = i64::MIN;
    /// In a column of booleans: no such fact.
    pub const NO_BOOLEAN: u8 = 2;

    /// How many devices the column covers.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Column::Texts(cells) => cells.len(),
            Column::Integers(cells) => cells.len(),
            Column::Reals(cells) => cells.len(),
            Column::Booleans(cells) => cells.len(),
        }
    }

    /// Whether the column covers no device.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Some devices as columns. Each column is as long as `device_hashes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// A 64-bit hash of (device, deployment), one per device: stable for the deployment's life.
    pub device_hashes: Vec<u64>,
    /// Every text in the columns, once.
    pub dictionary: Vec<String>,
    /// The plan's columns, in the plan's order.
    pub columns: Vec<Column>,
}
