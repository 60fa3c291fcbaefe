//! template-name deploys to one site after another, in the order of the settings.

use kernex_sdk::targeting::{CANARY, Class, Deployment, Layout, Row, texts};
use kernex_sdk::{Diagnostic, Operator, Plugin, Reason, Requirement, Selector, Targeting};
use schemars::JsonSchema;
use serde::Deserialize;

/// The label that says where a device stands.
const SITE: &str = "site";
/// How many waves the host takes.
const MAX_WAVES: usize = 64;

/// What an administrator sets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Values of the label `site`, in the order in which they get a deployment.
    pub sites: Vec<String>,
}

/// The configured plugin.
#[derive(Debug)]
pub struct TemplateName {
    sites: Vec<String>,
}

impl Plugin for TemplateName {
    const NAME: &'static str = "template-name";
    const SUMMARY: &'static str = "One site after another";
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, Vec<Diagnostic>> {
        let Settings { sites } = settings;
        let mut diagnostics = Vec::new();
        if sites.is_empty() || sites.len() > MAX_WAVES {
            diagnostics.push(Diagnostic::new(
                "/sites",
                format!("there are 1 to {MAX_WAVES} sites"),
            ));
        }
        for (index, site) in sites.iter().enumerate() {
            if site.is_empty() || site == CANARY || sites[..index].contains(site) {
                let message = format!("each site has a name of its own, and none is `{CANARY}`");
                diagnostics.push(Diagnostic::new(format!("/sites/{index}"), message));
            }
        }
        if diagnostics.is_empty() {
            Ok(Self { sites })
        } else {
            Err(diagnostics)
        }
    }
}

impl Targeting for TemplateName {
    type Job = ();

    fn layout(&self) -> Layout {
        Layout {
            columns: vec![texts(SITE)],
            waves: self.sites.clone(),
            exclusions: vec![Reason::new(
                "site-not-listed",
                "the device's site is not among those of the policy",
            )],
        }
    }

    fn candidates(&self, _: &Deployment) -> Result<Selector, Reason> {
        Ok(vec![Requirement {
            key: SITE.to_owned(),
            operator: Operator::Exists,
            values: Vec::new(),
        }])
    }

    fn begin(&self, _: &Deployment) {}

    fn classify(&self, _: &mut (), row: &Row<'_>) -> Class {
        let site = row
            .text(SITE)
            .and_then(|site| self.sites.iter().position(|listed| listed == site));
        match site.and_then(|index| u16::try_from(index).ok()) {
            Some(wave) => Class::Wave(wave),
            None => Class::Excluded(0),
        }
    }
}

kernex_sdk::export_targeting!(TemplateName);

#[cfg(test)]
mod tests {
    use kernex_sdk::{Fact, testing};

    use super::*;

    fn class(facts: &[Fact]) -> Class {
        let plugin = TemplateName::from_json(r#"{"sites": ["lab", "berlin"]}"#).unwrap();
        let batch = testing::batch(&plugin.layout(), &[(7, facts)]);
        testing::classes(&plugin, &testing::deployment(&[]), &batch)[0]
    }

    #[test]
    fn sites_are_waves() {
        assert_eq!(class(&[Fact::text("site", "lab")]), Class::Wave(0));
        assert_eq!(class(&[Fact::text("site", "berlin")]), Class::Wave(1));
        assert_eq!(class(&[Fact::text("site", "paris")]), Class::Excluded(0));
        assert_eq!(class(&[]), Class::Excluded(0));
    }

    #[test]
    fn wrong_settings_are_pointed_at() {
        let wrong = |text: &str| TemplateName::from_json(text).unwrap_err().remove(0).pointer;
        assert_eq!(wrong(r#"{"sites": ["lab", "lab"]}"#), "/sites/1");
        assert_eq!(wrong(r#"{"sites": ["canary"]}"#), "/sites/0");
        assert_eq!(wrong(r#"{"sites": []}"#), "/sites");
        assert_eq!(wrong(r#"{"site": []}"#), "/site");
    }
}
