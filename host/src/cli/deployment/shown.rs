//! Owns a deployment as far as the command line shows it: as text for people, as the server's own document for programs.

use std::collections::BTreeMap;

use kernex_model::deployment::{DeploymentState, StateReason};
use kernex_model::id::{BundleId, DeploymentId};
use kernex_model::name::DeploymentName;
use kernex_model::pin::{Pinned, PolicyPin};
use kernex_model::time::Timestamp;
use kernex_model::wave::{ExclusionCount, WaveState};
use serde::Deserialize;
use serde_json::Value;

use super::super::listing::one_line;
use super::super::operator::Operator;
use super::super::{ApiError, CliError};

/// What every write changes, whether or not there is anything to see.
const BOOKKEEPING: [&str; 2] = ["revision", "updated_at"];

/// A deployment as a server answered it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// What people are shown of it.
    pub(super) shown: Shown,
    /// All of it, for programs.
    pub(super) document: Value,
}

/// A deployment as far as people are shown it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Shown {
    pub(super) id: DeploymentId,
    pub(super) name: DeploymentName,
    /// Absent where a config is deployed.
    #[serde(default)]
    pub(super) bundle_id: Option<BundleId>,
    pub(super) selector: String,
    pub(super) state: DeploymentState,
    #[serde(default)]
    pub(super) reason: Option<StateReason>,
    /// Absent of deployments about which the active revisions decide.
    #[serde(default)]
    pub(super) pinned: Option<Pinned>,
    pub(super) waves: Vec<ShownWave>,
    #[serde(default)]
    pub(super) exclusions: Vec<ExclusionCount>,
    #[serde(default)]
    pub(super) settled: bool,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

/// A wave as far as people are shown it. Its counts are by name, so that a newer server's are shown, too.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ShownWave {
    pub(super) name: String,
    pub(super) state: WaveState,
    pub(super) counts: BTreeMap<String, u64>,
}

impl Seen {
    /// From a server's answer.
    pub(super) fn parse(document: Value) -> Result<Self, CliError> {
        let shown = Shown::deserialize(&document).map_err(|error| ApiError::Unreadable(error.to_string()))?;
        Ok(Self { shown, document })
    }

    /// As it stands now.
    pub(super) async fn read(operator: &Operator, id: DeploymentId) -> Result<Self, CliError> {
        Self::parse(operator.get(&format!("/api/v1/deployments/{id}")).await?)
    }

    /// Whether anything is not as it was, apart from the server's own bookkeeping.
    pub(super) fn differs_from(&self, before: &Self) -> bool {
        let content = |seen: &Self| {
            let mut document = seen.document.clone();
            if let Value::Object(fields) = &mut document {
                fields.retain(|name, _| !BOOKKEEPING.contains(&name.as_str()));
            }
            document
        };
        content(self) != content(before)
    }
}

impl Shown {
    /// Where it stands, in a few lines.
    pub(super) fn describe(&self) -> String {
        let mut text = format!("{}  {}  {}\n", self.id, self.state.as_str(), self.name);
        if let Some(reason) = &self.reason {
            text.push_str(&format!("  because {} ({}, by {})\n", one_line(&reason.message), reason.code, reason.by));
        }
        if let Some(pinned) = &self.pinned {
            text.push_str(&format!("  {}\n", pins(pinned)));
        }
        for wave in &self.waves {
            let name = one_line(&wave.name);
            text.push_str(&format!("  wave {name:<12} {:<8} {}\n", wave.state_text(), wave.counts_text()));
        }
        for exclusion in &self.exclusions {
            text.push_str(&format!(
                "  left out: {} devices, {} ({})\n",
                exclusion.count,
                one_line(&exclusion.message),
                exclusion.code
            ));
        }
        text
    }

    /// What is not as it was, in one line: the state with its reason, and the waves that moved.
    pub(super) fn difference(&self, before: &Self) -> String {
        let mut parts = Vec::new();
        if before.state != self.state {
            let because = |reason: &StateReason| format!(" because {}", one_line(&reason.message));
            let reason = self.reason.as_ref().map(because).unwrap_or_default();
            parts.push(format!("{}{reason}", self.state.as_str()));
        }
        if let Some(pinned) = self.pinned.as_ref().filter(|_| before.pinned != self.pinned) {
            parts.push(pins(pinned));
        }
        for (at, wave) in self.waves.iter().enumerate() {
            let same = before.waves.get(at).is_some_and(|old| old.state == wave.state && old.counts == wave.counts);
            if !same {
                parts.push(format!("{} {}: {}", one_line(&wave.name), wave.state_text(), wave.counts_text()));
            }
        }
        parts.join(" | ")
    }
}

fn pins(pinned: &Pinned) -> String {
    let text = |pin: &PolicyPin| format!("{} {}", pin.name, pin.revision);
    format!("planned by {}, judged by {}", text(&pinned.targeting), text(&pinned.rollback))
}

impl ShownWave {
    fn state_text(&self) -> &'static str {
        match self.state {
            WaveState::Waiting => "waiting",
            WaveState::Open => "open",
            WaveState::Passed => "passed",
            WaveState::Failed => "failed",
        }
    }

    fn counts_text(&self) -> String {
        let counts = self.counts.iter().filter(|(_, count)| **count > 0);
        let texts: Vec<String> = counts.map(|(state, count)| format!("{count} {state}")).collect();
        if texts.is_empty() { "no devices".to_owned() } else { texts.join(", ") }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// A deployment as a server would answer it, which began at half past eight, with these fields instead.
    pub(in super::super) fn seen(fields: Value) -> Seen {
        let mut document = json!({
            "id": "dep_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D", "name": "two", "state": "running",
            "bundle_id": "bun_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D", "selector": "simulated=true", "waves": [], "settled": false,
            "created_at": "2026-11-21T20:30:00.000Z", "updated_at": "2026-11-21T20:30:14.500Z", "revision": 3,
        });
        let Value::Object(fields) = fields else { panic!("fields") };
        document.as_object_mut().expect("an object").extend(fields);
        Seen::parse(document).expect("a deployment")
    }

    #[test]
    fn a_deployment_is_described() {
        let seen = seen(json!({
            "state": "rolling_back",
            "reason": { "code": "failure-share", "message": "3 of 5\u{1b}[2J failed", "by": "policy:guardian" },
            "waves": [{ "name": "canary", "state": "failed", "counts": { "failed": 3, "verified": 2, "queued": 0 } }],
        }));
        let text = seen.shown.describe();
        assert!(text.contains("rolling_back  two"), "{text}");
        assert!(text.contains("3 of 5 [2J failed (failure-share, by policy:guardian)"), "{text}");
        assert!(text.contains("failed   3 failed, 2 verified\n"), "{text}");
        assert!(!text.contains("judged by"), "{text}");
    }

    #[test]
    fn a_change_is_one_line() {
        let shown = |state: &str, canary: u64| {
            seen(json!({
                "state": state, "reason": { "code": "c", "message": "so it is", "by": "host" },
                "waves": [
                    { "name": "canary", "state": "open", "counts": { "running": canary } },
                    { "name": "all", "state": "waiting", "counts": { "queued": 5 } },
                ],
            }))
            .shown
        };
        let difference = |before: Shown, now: Shown| now.difference(&before);
        assert_eq!(difference(shown("running", 1), shown("running", 1)), "");
        assert_eq!(difference(shown("running", 1), shown("running", 2)), "canary open: 2 running");
        assert_eq!(
            difference(shown("running", 2), shown("paused", 0)),
            "paused because so it is | canary open: no devices"
        );
    }

    #[test]
    fn who_decides_is_told() {
        let pin = |name: &str, revision: u64| json!({ "name": name, "revision": revision });
        let pinned = |rollback: Value| json!({ "targeting": pin("rings", 1), "rollback": rollback });
        let shown = |rollback: Value| seen(json!({ "pinned": pinned(rollback) })).shown;
        let (before, now) = (shown(pin("guardian", 2)), shown(pin("guardian", 3)));
        assert!(before.describe().contains("  planned by rings 1, judged by guardian 2\n"), "{}", before.describe());
        assert_eq!(now.difference(&before), "planned by rings 1, judged by guardian 3");
        assert_eq!(now.difference(&now), "");
    }

    #[test]
    fn bookkeeping_is_no_change() {
        let before = seen(json!({}));
        assert!(!seen(json!({ "revision": 4, "updated_at": "2026-11-21T20:30:15.000Z" })).differs_from(&before));
        assert!(seen(json!({ "settled": true })).differs_from(&before));
    }

    #[test]
    fn what_is_no_deployment_is_an_error() {
        assert!(Seen::parse(json!({ "id": "dep_1" })).is_err());
    }
}
