//! Authorization by roles: what each role, the devices and everybody may do is data in the settings.

mod selectors;
mod settings;

use kernex_sdk::authorization::{Decision, Principal, PrincipalKind, Request, Resource, Visible};
use kernex_sdk::grants::Grants;
use kernex_sdk::words::{Asked, ByWord, Word};
use kernex_sdk::{Authorization, Diagnostic, Facts, Operator, Plugin, Reason, Requirement, pointer};

pub use settings::{Granted, Role, Settings};

/// The kind of resource that a role's `devices` selector narrows.
const DEVICE: &str = "device";
/// The fact that says whose account or session a resource is.
const OWNER: &str = "owner";

/// The configured plugin.
#[derive(Debug)]
pub struct Rbac {
    roles: ByWord<Allowed>,
    device: Grants,
    anonymous: Grants,
    self_service: Grants,
}

/// What a role allows, and on which devices.
#[derive(Debug)]
struct Allowed {
    grants: Grants,
    devices: Vec<Requirement>,
}

impl Plugin for Rbac {
    const NAME: &'static str = "rbac";
    const SUMMARY: &'static str = "Roles with grants of the form noun:verb, narrowed by a device selector";
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, Vec<Diagnostic>> {
        let mut diagnostics = Vec::new();
        let mut grants = |pointer: &str, grants: &[String]| Grants::parse(grants, pointer, &mut diagnostics);
        let device = grants("/device/grants", &settings.device.grants);
        let anonymous = grants("/anonymous/grants", &settings.anonymous.grants);
        let self_service = grants("/self_service", &settings.self_service);
        let mut roles = Vec::new();
        for (name, role) in settings.roles {
            let grants = grants(&format!("/roles/{}/grants", pointer::escaped(&name)), &role.grants);
            let devices = role.devices.map(|selector| selector.0).unwrap_or_default();
            roles.push((name, Allowed { grants, devices }));
        }
        if diagnostics.is_empty() {
            Ok(Self { roles: ByWord::new(roles), device, anonymous, self_service })
        } else {
            Err(diagnostics)
        }
    }
}

impl Authorization for Rbac {
    fn check(&self, request: &Request) -> Decision {
        let (principal, action, resource) = (&request.principal, &request.action, &request.resource);
        let asked = Asked::of(action);
        let allowed = match principal.kind {
            PrincipalKind::User => {
                self.role_allows(principal, asked, resource)
                    || (self.self_service.contain(asked) && is_own(principal, resource))
            }
            PrincipalKind::Service => self.role_allows(principal, asked, resource),
            PrincipalKind::Device => {
                if !self.device.contain(asked) {
                    return missing(action);
                }
                if resource.id.as_ref().is_some_and(|id| *id != principal.id) {
                    return Decision::Deny(Reason::new(
                        "not-own-device",
                        format!("a device may do `{action}` to itself only"),
                    ));
                }
                true
            }
            PrincipalKind::Anonymous => self.anonymous.contain(asked),
        };
        if allowed { Decision::Allow } else { missing(action) }
    }

    fn scope(&self, principal: &Principal, action: &str, resource_kind: &str) -> Visible {
        let asked = Asked::of(action);
        let nothing = || Visible::Nothing(lacking(action));
        match principal.kind {
            PrincipalKind::User | PrincipalKind::Service => {}
            PrincipalKind::Anonymous if self.anonymous.contain(asked) => return Visible::All,
            PrincipalKind::Anonymous | PrincipalKind::Device => return nothing(),
        }
        let mut seen: Option<Vec<Requirement>> = None;
        for allowed in self.granting(principal, asked) {
            if resource_kind != DEVICE || allowed.devices.is_empty() {
                return Visible::All;
            }
            seen = Some(match seen {
                Some(selector) => selectors::either(selector, &allowed.devices),
                None => allowed.devices.clone(),
            });
        }
        if let Some(selector) = seen {
            return Visible::Matching(selector);
        }
        if principal.kind == PrincipalKind::User && self.self_service.contain(asked) {
            let own =
                Requirement { key: OWNER.to_owned(), operator: Operator::Equals, values: vec![principal.id.clone()] };
            return Visible::Matching(vec![own]);
        }
        nothing()
    }
}

impl Rbac {
    /// The principal's roles that grant the action. A role that the settings do not know grants
    /// nothing.
    fn granting(&self, principal: &Principal, asked: Asked<'_>) -> impl Iterator<Item = &Allowed> {
        principal
            .roles
            .iter()
            .filter_map(|role| self.roles.get(Word::of(role)))
            .filter(move |allowed| allowed.grants.contain(asked))
    }

    fn role_allows(&self, principal: &Principal, asked: Asked<'_>, resource: &Resource) -> bool {
        // A device that does not exist yet has no labels to compare.
        let narrowed = resource.kind == DEVICE && resource.id.is_some();
        self.granting(principal, asked).any(|allowed| !narrowed || selectors::hold(&allowed.devices, &resource.facts))
    }
}

/// Whether the resource is the user's own account, or belongs to it.
fn is_own(principal: &Principal, resource: &Resource) -> bool {
    let account = resource.kind == "user" && resource.id.as_ref() == Some(&principal.id);
    account || resource.facts.text(OWNER) == Some(&principal.id)
}

fn lacking(action: &str) -> Reason {
    Reason::new("role-missing", format!("no role of the caller grants `{action}`"))
}

fn missing(action: &str) -> Decision {
    Decision::Deny(lacking(action))
}

kernex_sdk::export_authorization!(Rbac);

#[cfg(test)]
mod tests;
