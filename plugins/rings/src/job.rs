//! What a device runs now, compared with what a deployment brings.

use kernex_sdk::Facts;
use kernex_sdk::targeting::waves::Holding;
use kernex_sdk::targeting::{ByText, Deployment, Row};
use semver::Version;

use crate::{BUNDLE_MODELS, BUNDLE_NAME, BUNDLE_VERSION, Exclusion, MODEL_COLUMN, NAME_COLUMN, VERSION_COLUMN};

/// One deployment, made ready for comparing many devices: what depends on one text is computed once in a batch.
#[derive(Debug)]
pub struct Job {
    /// The bundle; none when the deployment brings a config.
    bundle: Option<Bundle>,
    models: Vec<String>,
    /// Whether a model is one of them.
    fitting: ByText<bool>,
    /// Whether a name is the bundle's.
    same: ByText<bool>,
    /// By version.
    standings: ByText<Standing>,
    pub(crate) holding: Holding,
}

#[derive(Debug)]
struct Bundle {
    name: String,
    text: String,
    version: Option<Version>,
    allow_downgrade: bool,
    intermediates: Vec<Version>,
}

/// Whether a device that runs some version of the same bundle gets the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Updatable,
    Excluded(Exclusion),
}

impl Job {
    pub(crate) fn new(
        deployment: &Deployment,
        allow_downgrade: bool,
        intermediates: &[(String, Vec<Version>)],
        holding: Holding,
    ) -> Self {
        let facts = &deployment.facts;
        let bundle = facts.text(BUNDLE_NAME).zip(facts.text(BUNDLE_VERSION)).map(|(name, text)| Bundle {
            name: name.to_owned(),
            text: text.to_owned(),
            version: Version::parse(text).ok(),
            allow_downgrade,
            intermediates: intermediates
                .iter()
                .find(|(bundle, _)| bundle == name)
                .map(|(_, versions)| versions.clone())
                .unwrap_or_default(),
        });
        let models = facts.texts(BUNDLE_MODELS).map(<[String]>::to_vec).unwrap_or_default();
        let (fitting, same, standings) = Default::default();
        Self { bundle, models, fitting, same, standings, holding }
    }

    pub(crate) fn fits_model(&mut self, row: &Row<'_>) -> bool {
        let Self { models, fitting, .. } = self;
        let fits = |model: &str| models.iter().any(|known| known == model);
        models.is_empty() || fitting.of(row, MODEL_COLUMN, fits) == Some(true)
    }

    /// A device that runs another bundle, or none, has nothing to compare: it is updatable.
    pub(crate) fn standing(&mut self, row: &Row<'_>) -> Standing {
        let Some(bundle) = &self.bundle else { return Standing::Updatable };
        if self.same.of(row, NAME_COLUMN, |name| name == bundle.name) != Some(true) {
            return Standing::Updatable;
        }
        let standing = self.standings.of(row, VERSION_COLUMN, |version| bundle.compared_with(version));
        standing.unwrap_or(Standing::Updatable)
    }
}

impl Bundle {
    fn compared_with(&self, running: &str) -> Standing {
        if running == self.text {
            return Standing::Excluded(Exclusion::AlreadyRunning);
        }
        let (Some(new), Ok(old)) = (&self.version, Version::parse(running)) else {
            return match self.allow_downgrade {
                true => Standing::Updatable,
                false => Standing::Excluded(Exclusion::VersionUnclear),
            };
        };
        if old.cmp_precedence(new).is_gt() {
            return match self.allow_downgrade {
                true => Standing::Updatable,
                false => Standing::Excluded(Exclusion::Downgrade),
            };
        }
        let skips = |step: &Version| old.cmp_precedence(step).is_lt() && step.cmp_precedence(new).is_lt();
        if self.intermediates.iter().any(skips) {
            return Standing::Excluded(Exclusion::IntermediateRequired);
        }
        Standing::Updatable
    }
}
