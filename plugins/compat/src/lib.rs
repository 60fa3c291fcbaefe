//! Targeting by compatibility: which models and hardware a bundle fits, and which versions come before others.

mod demand;
mod job;
mod layout;
mod settings;
mod steps;

use kernex_sdk::targeting::waves::Waves;
use kernex_sdk::targeting::{Class, Deployment, Layout, Row};
use kernex_sdk::{Diagnostic, Facts, Plugin, Reason, Requirement, Selector, Targeting, pointer};

use demand::{Collector, Need};
use job::Job;
use layout::{Columns, Exclusion, MAX_COLUMNS, MAX_REASONS, Reasons};
pub use settings::{Bundle, Demand, Floor, Settings};
use steps::Steps;

/// The device's and the deployment's fact for a bundle's name.
const BUNDLE_NAME: &str = "bundle.name";
/// The device's and the deployment's fact for a bundle's version.
const BUNDLE_VERSION: &str = "bundle.version";
/// The deployment's fact for the models that a bundle is made for; none means any.
const BUNDLE_MODELS: &str = "bundle.models";
/// The device's fact for its model.
const MODEL: &str = "model";

/// The configured plugin.
#[derive(Debug)]
pub struct Compat {
    candidates: Vec<Requirement>,
    waves: Waves,
    columns: Columns,
    reasons: Reasons,
    fixed: Fixed,
    /// The listed bundles, in the order of their names.
    rules: Vec<Rule>,
    allow_unlisted: bool,
    allow_downgrade: bool,
}

/// What one bundle demands.
#[derive(Debug)]
struct Rule {
    name: String,
    models: Option<Vec<String>>,
    hardware: Vec<Need>,
    conditions: Vec<Need>,
    steps: Steps,
    first_install: bool,
}

/// The reasons that there are whatever the settings are.
#[derive(Debug)]
struct Fixed {
    already_running: Exclusion,
    downgrade: Exclusion,
    version_unclear: Exclusion,
    version_unknown: Exclusion,
    incompatible_model: Exclusion,
    model_missing: Exclusion,
    no_wave: Exclusion,
}

impl Fixed {
    fn new(reasons: &mut Reasons) -> Self {
        let mut add = |code: &str, message: &str| reasons.add(code, message.to_owned());
        let unclear = "the versions cannot be compared: one of them is no semantic version";
        let unknown = "other versions come first, and it is not known that the device runs any version of this bundle";
        Self {
            already_running: add("already-running", "the device already runs this version"),
            downgrade: add("downgrade", "the device runs a newer version"),
            version_unclear: add("version-unclear", unclear),
            version_unknown: add("version-unknown", unknown),
            incompatible_model: add("incompatible-model", "the bundle is not made for the device's model"),
            model_missing: add("fact-missing", "the device does not say what its `model` is"),
            no_wave: add("no-wave", "no wave takes this device"),
        }
    }
}

impl Plugin for Compat {
    const NAME: &'static str = "compat";
    const SUMMARY: &'static str =
        "The models and hardware that a bundle fits, version floors and checkpoints, in waves";
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, Vec<Diagnostic>> {
        let (mut columns, mut reasons, mut diagnostics) = (Columns::default(), Reasons::default(), Vec::new());
        let fixed = Fixed::new(&mut reasons);
        let mut keys = [BUNDLE_NAME, BUNDLE_VERSION, MODEL].map(str::to_owned).into();
        let waves = Waves::parse(settings.waves, &mut keys, &mut diagnostics);
        // First of all, so that they are where the waves look for them.
        for key in &keys {
            columns.add_text(key);
        }
        let mut rules = Vec::new();
        for (name, bundle) in settings.bundles {
            let collector = Collector { columns: &mut columns, reasons: &mut reasons, diagnostics: &mut diagnostics };
            rules.push(Rule::parse(name, bundle, collector));
        }
        if columns.len() > MAX_COLUMNS {
            let message = format!("waves and bundles need {} facts of devices: at most {MAX_COLUMNS}", columns.len());
            diagnostics.push(Diagnostic::new("", message));
        }
        if reasons.len() > MAX_REASONS {
            let message = format!("there are {} reasons to leave devices out: at most {MAX_REASONS}", reasons.len());
            diagnostics.push(Diagnostic::new("/bundles", message));
        }
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        Ok(Self {
            candidates: settings.candidates.map(|selector| selector.0).unwrap_or_default(),
            waves,
            columns,
            reasons,
            fixed,
            rules,
            allow_unlisted: settings.allow_unlisted,
            allow_downgrade: settings.allow_downgrade,
        })
    }
}

impl Rule {
    fn parse(name: String, bundle: Bundle, mut collector: Collector<'_>) -> Self {
        let pointer = format!("/bundles/{}", pointer::escaped(&name));
        if bundle.models.as_ref().is_some_and(Vec::is_empty) {
            let message = "a bundle is made for at least one model; leave the list out for any";
            collector.diagnostics.push(Diagnostic::new(format!("{pointer}/models"), message));
        }
        let hardware = collector.needs(bundle.hardware, "incompatible-hardware", &format!("{pointer}/hardware"));
        let conditions = collector.needs(bundle.conditions, "condition-unmet", &format!("{pointer}/conditions"));
        let Collector { reasons, diagnostics, .. } = collector;
        let steps = Steps::parse(&name, bundle.floors, bundle.checkpoints, reasons, (&pointer, diagnostics));
        Self { name, models: bundle.models, hardware, conditions, steps, first_install: bundle.first_install }
    }
}

impl Targeting for Compat {
    type Job = Job;

    fn layout(&self) -> Layout {
        Layout { columns: self.columns.requests(), waves: self.waves.names(), exclusions: self.reasons.reasons() }
    }

    fn candidates(&self, deployment: &Deployment) -> Result<Selector, Reason> {
        let facts = &deployment.facts;
        if facts.texts(BUNDLE_MODELS).is_some_and(<[String]>::is_empty) {
            return Err(Reason::new("no-model", "the bundle is made for no model at all"));
        }
        let (name, version) = match (facts.text(BUNDLE_NAME), facts.text(BUNDLE_VERSION)) {
            (Some(name), Some(version)) => (name, version),
            (None, None) => return Ok(self.candidates.clone()),
            (Some(_), None) | (None, Some(_)) => {
                let message = "the deployment says a bundle's name or its version, not both";
                return Err(Reason::new("fact-missing", message));
            }
        };
        let rule = self.place_of(name).and_then(|place| self.rules.get(place));
        if rule.is_none() && !self.allow_unlisted {
            let message = "the bundle is not among those that the policy lists";
            return Err(Reason::new("bundle-not-listed", message));
        }
        if rule.is_some_and(|rule| !rule.steps.is_empty()) && semver::Version::parse(version).is_err() {
            let message = "other versions come first, and the deployed one is no semantic version";
            return Err(Reason::new("version-unclear", message));
        }
        Ok(self.candidates.clone())
    }

    fn begin(&self, deployment: &Deployment) -> Job {
        Job::new(self, deployment)
    }

    fn classify(&self, job: &mut Job, row: &Row<'_>) -> Class {
        match self.wave(job, row) {
            Ok(wave) => Class::Wave(wave),
            Err(Exclusion(number)) => Class::Excluded(number),
        }
    }
}

impl Compat {
    fn place_of(&self, bundle: &str) -> Option<usize> {
        self.rules.binary_search_by(|rule| rule.name.as_str().cmp(bundle)).ok()
    }

    /// The device's wave. What lasts is looked at first, so that it is not said of a device that it only has to be
    /// charged when the bundle does not fit it at all.
    fn wave(&self, job: &mut Job, row: &Row<'_>) -> Result<u16, Exclusion> {
        let rule = job.rule(self);
        let listed = rule.and_then(|rule| rule.models.as_deref());
        for models in [job.models(), listed].into_iter().flatten() {
            let model = row.text(MODEL).ok_or(self.fixed.model_missing)?;
            if models.iter().all(|known| known != model) {
                return Err(self.fixed.incompatible_model);
            }
        }
        let unmet = |needs: &[Need]| needs.iter().find_map(|need| need.exclusion(row)).map_or(Ok(()), Err);
        rule.map_or(Ok(()), |rule| unmet(&rule.hardware))?;
        job.standing(self, row)?;
        rule.map_or(Ok(()), |rule| unmet(&rule.conditions))?;
        self.waves.of(row, &mut job.holding).ok_or(self.fixed.no_wave)
    }
}

kernex_sdk::export_targeting!(Compat);

#[cfg(test)]
mod tests;
