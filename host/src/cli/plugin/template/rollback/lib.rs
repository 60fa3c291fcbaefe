//! template-name pauses a deployment when too many of its devices have failed.

use kernex_sdk::rollback::{Action, Counts, Outcome, Permission, RollbackRequest, Window};
use kernex_sdk::{Diagnostic, Plugin, Reason, Rollback};
use schemars::JsonSchema;
use serde::Deserialize;

/// What an administrator sets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Devices of the deployment that may fail or time out before it is paused.
    #[serde(default)]
    pub max_failed: u32,
    /// Whether a person may send a single device back.
    #[serde(default = "yes")]
    pub allow_manual: bool,
}

fn yes() -> bool {
    true
}

/// The configured plugin.
#[derive(Debug)]
pub struct TemplateName {
    max_failed: u64,
    allow_manual: bool,
}

impl Plugin for TemplateName {
    const NAME: &'static str = "template-name";
    const SUMMARY: &'static str = "Pauses a deployment when too many devices have failed";
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, Vec<Diagnostic>> {
        Ok(Self {
            max_failed: settings.max_failed.into(),
            allow_manual: settings.allow_manual,
        })
    }
}

impl Rollback for TemplateName {
    fn judge(&self, window: &Window, _: &[u8]) -> Outcome {
        let failed = failed(&window.overall);
        let assigned = u64::from(window.in_wave.assigned);
        let verified = u64::from(window.in_wave.verified);
        let ended =
            self::failed(&window.in_wave) + verified + u64::from(window.in_wave.rolled_back);
        let (action, code, message) = if failed > self.max_failed {
            let message = format!("{failed} devices failed; {} may", self.max_failed);
            (Action::Pause, "too-many-failed", message)
        } else if ended < assigned {
            (
                Action::Proceed,
                "wave-in-progress",
                format!("{ended} of {assigned} devices have come to an end"),
            )
        } else if verified == 0 && assigned > 0 {
            (
                Action::Pause,
                "wave-failed",
                "no device of this wave was verified".to_owned(),
            )
        } else {
            (
                Action::Advance,
                "wave-done",
                format!("{verified} of {assigned} devices are verified"),
            )
        };
        // What is put into `state` comes back with the next window: at most 4 KiB.
        Outcome {
            action,
            reason: Reason::new(code, message),
            state: Vec::new(),
        }
    }

    fn permit(&self, _: &RollbackRequest) -> Permission {
        if self.allow_manual {
            return Permission::Permitted;
        }
        Permission::Refused(Reason::new(
            "manual-rollback-disabled",
            "the policy does not let single devices go back",
        ))
    }
}

/// Devices that came to a bad end.
fn failed(counts: &Counts) -> u64 {
    u64::from(counts.failed) + u64::from(counts.timed_out)
}

kernex_sdk::export_rollback!(TemplateName);

#[cfg(test)]
mod tests {
    use kernex_sdk::testing;

    use super::*;

    fn verdict(assigned: u32, verified: u32, failed: u32) -> (Action, String) {
        let window = testing::window(Counts {
            verified,
            failed,
            ..testing::counts(assigned)
        });
        let outcome = TemplateName::from_json(r#"{"max_failed": 2}"#)
            .unwrap()
            .judge(&window, &[]);
        (outcome.action, outcome.reason.code)
    }

    #[test]
    fn too_many_failures_pause() {
        assert_eq!(verdict(10, 0, 3), (Action::Pause, "too-many-failed".into()));
        assert_eq!(
            verdict(10, 0, 2),
            (Action::Proceed, "wave-in-progress".into())
        );
    }

    #[test]
    fn a_wave_advances_when_everyone_has_come_to_an_end() {
        assert_eq!(
            verdict(10, 9, 0),
            (Action::Proceed, "wave-in-progress".into())
        );
        assert_eq!(verdict(10, 8, 2), (Action::Advance, "wave-done".into()));
        assert_eq!(verdict(2, 0, 2), (Action::Pause, "wave-failed".into()));
        assert_eq!(verdict(0, 0, 0), (Action::Advance, "wave-done".into()));
        assert_eq!(
            verdict(u32::MAX, u32::MAX, 2),
            (Action::Advance, "wave-done".into())
        );
    }

    #[test]
    fn wrong_settings_are_pointed_at() {
        let wrong = |text: &str| TemplateName::from_json(text).unwrap_err().remove(0).pointer;
        assert_eq!(wrong(r#"{"max_failed": -1}"#), "/max_failed");
        assert_eq!(wrong(r#"{"max_fail": 1}"#), "/max_fail");
    }
}
