//! What a device runs now, compared with what a deployment brings.

use kernex_sdk::Facts;
use kernex_sdk::targeting::waves::Holding;
use kernex_sdk::targeting::{ByText, Deployment, Row};
use semver::Version;

use crate::layout::Exclusion;
use crate::steps::Steps;
use crate::{BUNDLE_MODELS, BUNDLE_NAME, BUNDLE_VERSION, Compat, Rule};

/// One deployment, made ready for comparing many devices.
#[derive(Debug)]
pub struct Job {
    /// The bundle; none when the deployment brings a config.
    bundle: Option<Bundle>,
    /// The models that the bundle itself says it is made for; none means any.
    models: Vec<String>,
    /// The place of the bundle's rule.
    rule: Option<usize>,
    /// By version: parsed and compared once in a batch.
    standings: ByText<Standing>,
    pub(crate) holding: Holding,
}

#[derive(Debug)]
struct Bundle {
    name: String,
    text: String,
    version: Option<Version>,
}

/// Whether a device that runs some version gets the deployment.
type Standing = Result<(), Exclusion>;

impl Job {
    pub(crate) fn new(plugin: &Compat, deployment: &Deployment) -> Self {
        let facts = &deployment.facts;
        let bundle = facts.text(BUNDLE_NAME).zip(facts.text(BUNDLE_VERSION)).map(|(name, text)| Bundle {
            name: name.to_owned(),
            text: text.to_owned(),
            version: Version::parse(text).ok(),
        });
        let models = facts.texts(BUNDLE_MODELS).map(<[String]>::to_vec).unwrap_or_default();
        let rule = bundle.as_ref().and_then(|bundle| plugin.place_of(&bundle.name));
        Self { bundle, models, rule, standings: ByText::default(), holding: plugin.waves.holding() }
    }

    pub(crate) fn rule<'a>(&self, plugin: &'a Compat) -> Option<&'a Rule> {
        plugin.rules.get(self.rule?)
    }

    /// The models that the bundle itself is made for; none means any.
    pub(crate) fn models(&self) -> Option<&[String]> {
        (!self.models.is_empty()).then_some(self.models.as_slice())
    }

    /// A device that runs another bundle, or none, has no version to compare.
    pub(crate) fn standing(&mut self, plugin: &Compat, row: &Row<'_>) -> Standing {
        let Some(bundle) = &self.bundle else { return Ok(()) };
        let rule = self.rule.and_then(|place| plugin.rules.get(place));
        let same = row.text(BUNDLE_NAME) == Some(&bundle.name);
        let compared = |running: &str| bundle.compared_with(running, plugin, rule.map(|rule| &rule.steps));
        let standing = if same { self.standings.of(row, BUNDLE_VERSION, compared) } else { None };
        standing.unwrap_or_else(|| bundle.installed_first(plugin, rule))
    }
}

impl Bundle {
    /// Where versions come before others, what is not known may be too old.
    fn installed_first(&self, plugin: &Compat, rule: Option<&Rule>) -> Standing {
        let guarded = |rule: &&Rule| match &self.version {
            Some(new) => rule.steps.guard(new),
            None => !rule.steps.is_empty(),
        };
        match rule.filter(guarded) {
            Some(rule) if !rule.first_install => Err(plugin.fixed.version_unknown),
            Some(_) | None => Ok(()),
        }
    }

    fn compared_with(&self, running: &str, plugin: &Compat, steps: Option<&Steps>) -> Standing {
        if running == self.text {
            return Err(plugin.fixed.already_running);
        }
        let (Some(new), Ok(old)) = (&self.version, Version::parse(running)) else {
            let unguarded = steps.is_none_or(Steps::is_empty);
            return if plugin.allow_downgrade && unguarded { Ok(()) } else { Err(plugin.fixed.version_unclear) };
        };
        if old.cmp_precedence(new).is_gt() {
            return if plugin.allow_downgrade { Ok(()) } else { Err(plugin.fixed.downgrade) };
        }
        match steps.and_then(|steps| steps.first(&old, new)) {
            Some(exclusion) => Err(exclusion),
            None => Ok(()),
        }
    }
}
