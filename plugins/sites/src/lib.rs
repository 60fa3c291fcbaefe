//! Operators of single sites: they see and touch the devices that are labelled with one of their
//! sites, and no others.

mod directory;
mod settings;

use kernex_sdk::authorization::{Decision, Principal, Request, Resource, Visible};
use kernex_sdk::grants::Grants;
use kernex_sdk::words::Asked;
use kernex_sdk::{Authorization, Diagnostic, Facts, Operator, Plugin, Reason, Requirement, selector};

use directory::{Directory, Sight};
pub use settings::Settings;

/// The kind of resource that has a site.
const DEVICE: &str = "device";
/// What is done to devices without meaning one of them: the host narrows it with `scope`.
const DEVICE_LIST: &str = "device:list";
/// The resource's fact for the devices that it is about.
const SELECTOR: &str = "selector";
/// How long a label's key may be, in bytes.
const MAX_LABEL_BYTES: usize = 63;
/// How many sites a denial names: its message has an end.
const SHOWN_SITES: usize = 5;

/// The configured plugin.
#[derive(Debug)]
pub struct Sites {
    label: String,
    directory: Directory,
    allowed: Grants,
    confined: Grants,
}

impl Plugin for Sites {
    const NAME: &'static str = "sites";
    const SUMMARY: &'static str = "Operators of single sites see and touch the devices there, and no others";
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, Vec<Diagnostic>> {
        let mut diagnostics = Vec::new();
        if let Some(message) = mistake(&settings.label) {
            diagnostics.push(Diagnostic::new("/label", message));
        }
        let label = settings.label.clone();
        let allowed = Grants::parse(&settings.allowed, "/allowed", &mut diagnostics);
        let confined = Grants::parse(&settings.confined, "/confined", &mut diagnostics);
        let directory = Directory::parse(settings, &mut diagnostics);
        if diagnostics.is_empty() { Ok(Self { label, directory, allowed, confined }) } else { Err(diagnostics) }
    }
}

impl Authorization for Sites {
    fn check(&self, request: &Request) -> Decision {
        let sites = match self.directory.sight(&request.principal) {
            Sight::Everything => return Decision::Allow,
            Sight::Sites(sites) => sites,
        };
        let (action, resource) = (&request.action, &request.resource);
        let refusal = match resource.kind == DEVICE {
            true => self.refused_device(action, resource, &sites),
            false => self.refused_other(action, resource, &sites),
        };
        refusal.map_or(Decision::Allow, Decision::Deny)
    }

    fn scope(&self, principal: &Principal, action: &str, resource_kind: &str) -> Visible {
        let sites = match self.directory.sight(principal) {
            Sight::Everything => return Visible::All,
            Sight::Sites(sites) => sites,
        };
        if resource_kind != DEVICE {
            let asked = Asked::of(action);
            let is_open = self.allowed.contain(asked) || self.confined.contain(asked);
            return if is_open { Visible::All } else { Visible::Nothing(fleet_wide(action)) };
        }
        if sites.is_empty() {
            return Visible::Nothing(no_site());
        }
        let values = sites.into_iter().map(str::to_owned).collect();
        Visible::Matching(vec![Requirement { key: self.label.clone(), operator: Operator::OneOf, values }])
    }
}

impl Sites {
    fn refused_device(&self, action: &str, device: &Resource, sites: &[&str]) -> Option<Reason> {
        if sites.is_empty() {
            return Some(no_site());
        }
        match device.facts.text(&self.label) {
            Some(site) if is_among(sites, site) => None,
            // Where the caller may not look is not told.
            Some(_) => Some(Reason::new("other-site", "the device stands at no site of the caller")),
            None if action == DEVICE_LIST && device.id.is_none() => None,
            None => {
                let message =
                    format!("the device has no label `{}`, so it stands at no site of the caller", self.label);
                Some(Reason::new("site-unknown", message))
            }
        }
    }

    fn refused_other(&self, action: &str, resource: &Resource, sites: &[&str]) -> Option<Reason> {
        let asked = Asked::of(action);
        if !self.confined.contain(asked) {
            return if self.allowed.contain(asked) { None } else { Some(fleet_wide(action)) };
        }
        if sites.is_empty() {
            return Some(no_site());
        }
        let selector = resource.facts.text(SELECTOR);
        if selector.is_some_and(|selector| self.keeps_to(selector, sites)) {
            return None;
        }
        let shown = sites.iter().take(SHOWN_SITES).copied().collect::<Vec<_>>().join(",");
        let message = format!("the selector must keep to the caller's sites, as `{} in ({shown})` does", self.label);
        Some(Reason::new("not-confined", message))
    }

    /// Whether a requirement says that devices have one of the sites. All requirements hold for what
    /// is selected, so one is enough; a text that is not understood says nothing.
    fn keeps_to(&self, text: &str, sites: &[&str]) -> bool {
        let requirements = selector::parse(text).unwrap_or_default();
        requirements.iter().filter(|requirement| requirement.key == self.label).any(|requirement| {
            let values = &requirement.values;
            match requirement.operator {
                Operator::Equals | Operator::OneOf => {
                    !values.is_empty() && values.iter().all(|site| is_among(sites, site))
                }
                Operator::Differs | Operator::NoneOf | Operator::Exists | Operator::Absent => false,
            }
        })
    }
}

/// What is wrong with the label's key.
fn mistake(label: &str) -> Option<&'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    let begins = label.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if !begins || label.len() > MAX_LABEL_BYTES || !label.bytes().all(plain) {
        return Some("a label's key has letters, digits, `.`, `_`, `-` and `/`, at most 63, a letter or digit first");
    }
    if label == "model" || label.starts_with("fact.") || label.starts_with("bundle.") {
        return Some("this is no label: a device could choose its site by what it reports");
    }
    None
}

/// The sites are in order.
fn is_among(sites: &[&str], site: &str) -> bool {
    sites.binary_search(&site).is_ok()
}

fn no_site() -> Reason {
    Reason::new("no-site", "the caller is narrowed to sites, and has none")
}

fn fleet_wide(action: &str) -> Reason {
    Reason::new("fleet-wide", format!("`{action}` is not for callers who are narrowed to sites"))
}

kernex_sdk::export_authorization!(Sites);

#[cfg(test)]
mod tests;
