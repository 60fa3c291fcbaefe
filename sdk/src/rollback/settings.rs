//! Words that the settings of rollback policies share, and what they come to.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Permission};
use crate::{Diagnostic, Reason};

/// What happens when too many fail.
///
/// ```
/// use kernex_sdk::rollback::settings::Breach;
///
/// assert_eq!(serde_json::from_str::<Breach>(r#""roll_back""#).ok(), Some(Breach::RollBack));
/// assert_eq!(Breach::default(), Breach::Pause);
/// ```
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
///
/// ```
/// use kernex_sdk::rollback;
/// use kernex_sdk::rollback::settings::Extent;
///
/// assert_eq!(serde_json::from_str::<Extent>(r#""current_wave""#).ok(), Some(Extent::CurrentWave));
/// assert_eq!(rollback::Extent::from(Extent::CurrentWave), rollback::Extent::CurrentWave);
/// ```
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
///
/// ```
/// use kernex_sdk::rollback::settings::{Breach, Extent, action};
/// use kernex_sdk::rollback::{self, Action};
///
/// let mut diagnostics = Vec::new();
/// let failed = action(Breach::RollBack, Some(Extent::FailedDevices), "/extent", &mut diagnostics);
/// assert_eq!(failed, Action::RollBack(rollback::Extent::FailedDevices));
/// assert!(diagnostics.is_empty());
/// action(Breach::Pause, Some(Extent::Everyone), "/extent", &mut diagnostics);
/// assert_eq!(diagnostics[0].pointer, "/extent");
/// ```
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
///
/// ```
/// use kernex_sdk::rollback::settings::check_share;
///
/// let mut diagnostics = Vec::new();
/// check_share("/advance_share", 0.9, &mut diagnostics);
/// check_share("/max_failure_share", 10.0, &mut diagnostics);
/// assert_eq!(diagnostics.len(), 1);
/// assert_eq!(diagnostics[0].pointer, "/max_failure_share");
/// ```
pub fn check_share(pointer: &str, share: f64, diagnostics: &mut Vec<Diagnostic>) {
    if !(0.0..=1.0).contains(&share) {
        diagnostics.push(Diagnostic::new(pointer, "a share is 0 to 1"));
    }
}

/// The answer to a person who asks to send one device back, where the settings alone decide it.
///
/// ```
/// use kernex_sdk::rollback::Permission;
/// use kernex_sdk::rollback::settings::manual;
///
/// assert_eq!(manual(true), Permission::Permitted);
/// assert!(matches!(manual(false), Permission::Refused(reason) if reason.code == "manual-rollback-disabled"));
/// ```
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
