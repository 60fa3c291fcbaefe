//! Versions that come before others: floors and checkpoints.

use kernex_sdk::Diagnostic;
use semver::Version;

use crate::layout::{Exclusion, Reasons};
use crate::settings::Floor;

/// The steps of one bundle, the lowest first: a device is told the next one that it has to take.
#[derive(Debug, Default)]
pub(crate) struct Steps(Vec<Step>);

/// A version that some devices must run before they get a newer one.
#[derive(Debug)]
struct Step {
    stone: Version,
    rule: Rule,
    exclusion: Exclusion,
}

#[derive(Debug)]
enum Rule {
    /// Who runs less than `installed` gets nothing from `target` on.
    Floor { target: Version, installed: Version },
    /// Who runs less than the stone gets nothing newer than it.
    Checkpoint,
}

impl Steps {
    /// Parses the floors and checkpoints of a bundle. What is wrong with them is added to the diagnostics, with
    /// `pointer` as the bundle's place.
    pub(crate) fn parse(
        bundle: &str,
        floors: Vec<Floor>,
        checkpoints: Vec<Version>,
        reasons: &mut Reasons,
        (pointer, diagnostics): (&str, &mut Vec<Diagnostic>),
    ) -> Self {
        let mut steps = Vec::new();
        for (index, floor) in floors.into_iter().enumerate() {
            let Floor { target, installed, stepping_stone } = floor;
            if installed.cmp_precedence(&target).is_ge() {
                let message = format!("the floor is a version before `target`, {target}");
                diagnostics.push(Diagnostic::new(format!("{pointer}/floors/{index}/installed"), message));
                continue;
            }
            let stone = stepping_stone.unwrap_or_else(|| installed.clone());
            if stone.cmp_precedence(&installed).is_lt() || stone.cmp_precedence(&target).is_ge() {
                let message = format!("the stepping stone is {installed} or newer, and older than {target}");
                diagnostics.push(Diagnostic::new(format!("{pointer}/floors/{index}/stepping_stone"), message));
                continue;
            }
            let message = format!(
                "`{bundle}` {target} and newer can be reached from {installed} or newer: the device must first be \
                    brought to {stone}"
            );
            let exclusion = reasons.add("below-floor", message);
            steps.push(Step { stone, rule: Rule::Floor { target, installed }, exclusion });
        }
        for stone in checkpoints {
            let message = format!("`{bundle}` {stone} must not be skipped: the device must first be brought to it");
            let exclusion = reasons.add("checkpoint-required", message);
            steps.push(Step { stone, rule: Rule::Checkpoint, exclusion });
        }
        steps.sort_by(|a, b| a.stone.cmp_precedence(&b.stone));
        Self(steps)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether some devices do not get this version.
    pub(crate) fn guard(&self, new: &Version) -> bool {
        self.0.iter().any(|step| step.is_before(new))
    }

    /// The step that a device must take first, if there is one.
    pub(crate) fn first(&self, old: &Version, new: &Version) -> Option<Exclusion> {
        self.0.iter().find(|step| step.is_before(new) && step.is_ahead(old)).map(|step| step.exclusion)
    }
}

impl Step {
    fn is_before(&self, new: &Version) -> bool {
        match &self.rule {
            Rule::Floor { target, .. } => new.cmp_precedence(target).is_ge(),
            Rule::Checkpoint => new.cmp_precedence(&self.stone).is_gt(),
        }
    }

    fn is_ahead(&self, old: &Version) -> bool {
        match &self.rule {
            Rule::Floor { installed, .. } => old.cmp_precedence(installed).is_lt(),
            Rule::Checkpoint => old.cmp_precedence(&self.stone).is_lt(),
        }
    }
}
