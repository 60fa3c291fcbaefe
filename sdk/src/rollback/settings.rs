//! Words that the settings of rollback policies share, and what they come to.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Permission};
use crate::{Diagnostic, Reason};

/// What happens when too many fail.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Breach {
    /// The deployment pauses until a person resumes it.
    #[default]
    Pause,
    /// The deployment is halted and devices go back.
    RollBack,
}

/// Which devices go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Those that failed.
    FailedDevices,
    /// Every exposed device of the open wave.
    CurrentWave,
    /// Every exposed device of the deployment.
    Everyone,
}

impl From<Extent> for super::Extent {
    fn from(extent: Extent) -> Self {
        match extent {
            Extent::FailedDevices => Self::FailedDevices,
            Extent::CurrentWave => Self::CurrentWave,
            Extent::Everyone => Self::Everyone,
        }
    }
}

/// The action that a breach leads to; everyone goes back when `extent` is left out. An extent without a rollback is
/// added to the diagnostics, with `pointer` as its place.
pub fn action(breach: Breach, extent: Option<Extent>, pointer: &str, diagnostics: &mut Vec<Diagnostic>) -> Action {
    match breach {
        Breach::RollBack => Action::RollBack(extent.unwrap_or(Extent::Everyone).into()),
        Breach::Pause => {
            if extent.is_some() {
                diagnostics.push(Diagnostic::new(pointer, "an extent is for a rollback (`roll_back`) only"));
            }
            Action::Pause
        }
    }
}

/// Adds a share that is not within 0 to 1 to the diagnostics.
pub fn check_share(pointer: &str, share: f64, diagnostics: &mut Vec<Diagnostic>) {
    if !(0.0..=1.0).contains(&share) {
        diagnostics.push(Diagnostic::new(pointer, "a share is 0 to 1"));
    }
}

/// The answer to a person who asks to send one device back, where the settings alone decide it.
#[must_use]
pub fn manual(allowed: bool) -> Permission {
    if allowed {
        return Permission::Permitted;
    }
    Permission::Refused(Reason::new(
        "manual-rollback-disabled",
        "the rollback policy does not let single devices go back",
    ))
}
