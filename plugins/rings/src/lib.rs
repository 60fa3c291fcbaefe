//! Targeting by waves: a canary, then growing shares of the fleet, never a downgrade.

mod job;
mod settings;

use kernex_sdk::targeting::waves::Waves;
use kernex_sdk::targeting::{Class, Deployment, Layout, Row, texts};
use kernex_sdk::{Diagnostic, Facts, Plugin, Reason, Requirement, Selector, Targeting};

use job::{Job, Standing};
pub use settings::Settings;

/// The device's and the deployment's fact for a bundle's name.
const BUNDLE_NAME: &str = "bundle.name";
/// The device's and the deployment's fact for a bundle's version.
const BUNDLE_VERSION: &str = "bundle.version";
/// The deployment's fact for the models that a bundle is made for; none means any.
const BUNDLE_MODELS: &str = "bundle.models";
/// The device's fact for its model.
const MODEL: &str = "model";

/// The columns that are asked for whatever the settings are, in their order.
const COLUMNS: [&str; 3] = [BUNDLE_NAME, BUNDLE_VERSION, MODEL];
const NAME_COLUMN: usize = 0;
const VERSION_COLUMN: usize = 1;
const MODEL_COLUMN: usize = 2;

/// Why a device is left out, in the order of [`EXCLUSIONS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
enum Exclusion {
    AlreadyRunning,
    Downgrade,
    VersionUnclear,
    IntermediateRequired,
    IncompatibleModel,
    NoWave,
}

/// Code and message of each [`Exclusion`].
const EXCLUSIONS: [(&str, &str); 6] = [
    ("already-running", "the device already runs this version"),
    ("downgrade", "the device runs a newer version"),
    ("version-unclear", "the versions cannot be compared: one of them is no semantic version"),
    ("intermediate-required", "the device must first run an intermediate version"),
    ("incompatible-model", "the bundle is not made for the device's model"),
    ("no-wave", "no wave takes this device"),
];

/// The configured plugin.
#[derive(Debug)]
pub struct Rings {
    candidates: Vec<Requirement>,
    waves: Waves,
    /// [`COLUMNS`], and what the waves ask for.
    columns: Vec<String>,
    allow_downgrade: bool,
    intermediates: Vec<(String, Vec<semver::Version>)>,
}

impl Plugin for Rings {
    const NAME: &'static str = "rings";
    const SUMMARY: &'static str = "A canary, then growing shares of the fleet, never a downgrade";
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, Vec<Diagnostic>> {
        let mut diagnostics = Vec::new();
        let mut columns = COLUMNS.map(str::to_owned).into();
        let waves = Waves::parse(settings.waves, &mut columns, &mut diagnostics);
        let mut intermediates = Vec::new();
        for (bundle, versions) in settings.intermediate_versions {
            let mut parsed = Vec::new();
            for (index, version) in versions.iter().enumerate() {
                match semver::Version::parse(version) {
                    Ok(version) => parsed.push(version),
                    Err(error) => diagnostics.push(Diagnostic::new(
                        format!("/intermediate_versions/{bundle}/{index}"),
                        format!("`{version}` is no semantic version: {error}"),
                    )),
                }
            }
            intermediates.push((bundle, parsed));
        }
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        Ok(Self {
            candidates: settings.candidates.map(|selector| selector.0).unwrap_or_default(),
            waves,
            columns,
            allow_downgrade: settings.allow_downgrade,
            intermediates,
        })
    }
}

impl Targeting for Rings {
    type Job = Job;

    fn layout(&self) -> Layout {
        Layout {
            columns: self.columns.iter().map(texts).collect(),
            waves: self.waves.names(),
            exclusions: EXCLUSIONS.map(|(code, message)| Reason::new(code, message)).into(),
        }
    }

    fn candidates(&self, deployment: &Deployment) -> Result<Selector, Reason> {
        if deployment.facts.texts(BUNDLE_MODELS).is_some_and(<[String]>::is_empty) {
            return Err(Reason::new("no-model", "the bundle is made for no model at all"));
        }
        Ok(self.candidates.clone())
    }

    fn begin(&self, deployment: &Deployment) -> Job {
        Job::new(deployment, self.allow_downgrade, &self.intermediates, self.waves.holding())
    }

    fn classify(&self, job: &mut Job, row: &Row<'_>) -> Class {
        let excluded = |exclusion: Exclusion| Class::Excluded(exclusion as u16);
        if !job.fits_model(row) {
            return excluded(Exclusion::IncompatibleModel);
        }
        match job.standing(row) {
            Standing::Updatable => {}
            Standing::Excluded(exclusion) => return excluded(exclusion),
        }
        match self.waves.of(row, &mut job.holding) {
            Some(wave) => Class::Wave(wave),
            None => excluded(Exclusion::NoWave),
        }
    }
}

kernex_sdk::export_targeting!(Rings);

#[cfg(test)]
mod tests;
