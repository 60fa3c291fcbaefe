//! What a device runs now, compared with what a deployment brings.

use kernex_sdk::Facts;
use kernex_sdk::targeting::{Deployment, Row};
use semver::Version;

use crate::{BUNDLE_MODELS, BUNDLE_NAME, BUNDLE_VERSION, Exclusion};

/// One deployment, made ready for comparing many devices.
#[derive(Debug)]
pub struct Job {
    /// The bundle; none when the deployment brings a config.
    bundle: Option<Bundle>,
    models: Vec<String>,
    /// By number of the version's text in the dictionary: parsed and compared once per batch.
    standings: Vec<Option<Standing>>,
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
        Self { bundle, models, standings: Vec::new() }
    }

    pub(crate) fn fits_model(&self, model: Option<&str>) -> bool {
        self.models.is_empty() || model.is_some_and(|model| self.models.iter().any(|known| known == model))
    }

    /// A device that runs another bundle, or none, has nothing to compare: it is updatable.
    pub(crate) fn standing(&mut self, row: &Row<'_>) -> Standing {
        let Some(bundle) = &self.bundle else { return Standing::Updatable };
        if row.text(BUNDLE_NAME) != Some(&bundle.name) {
            return Standing::Updatable;
        }
        let (Some(number), Some(text)) = (row.text_number(BUNDLE_VERSION), row.text(BUNDLE_VERSION)) else {
            return Standing::Updatable;
        };
        if number >= self.standings.len() {
            self.standings.resize(number + 1, None);
        }
        *self.standings[number].get_or_insert_with(|| bundle.compared_with(text))
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
