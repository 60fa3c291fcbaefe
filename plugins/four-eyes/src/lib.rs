//! Four eyes: a deployment of many devices starts once somebody else than its creator has approved it.

mod limits;
mod settings;

use std::collections::BTreeSet;

use kernex_sdk::authorization::{Decision, Principal, PrincipalKind, Request, Resource, Visible};
use kernex_sdk::{Authorization, Diagnostic, Facts, Plugin, Reason};

use limits::Limits;
pub use settings::{Limit, Settings};

/// What the host asks before the first offers of a deployment.
const START: &str = "deployment:start";
/// What the host asks when somebody approves a deployment.
const APPROVE: &str = "deployment:approve";
/// The resource's fact for how many devices it has.
const DEVICES: &str = "devices";
/// The resource's fact for who made it.
const CREATED_BY: &str = "created_by";
/// The resource's fact for who has approved it.
const APPROVED_BY: &str = "approved_by";
/// How many approvals can be asked for.
const MAX_APPROVALS: u32 = 5;
/// How many roles may be listed.
const MAX_ROLES: usize = 8;
/// How long a role's name may be, in bytes: a denial names the approvers' roles.
const MAX_ROLE_BYTES: usize = 64;

/// The configured plugin.
#[derive(Debug)]
pub struct FourEyes {
    limits: Limits,
    approvals: usize,
    approver_roles: Vec<String>,
    exempt_roles: Vec<String>,
    /// The approvers' roles, as denials name them.
    approvers: String,
}

impl Plugin for FourEyes {
    const NAME: &'static str = "four-eyes";
    const SUMMARY: &'static str = "Deployments of many devices need the approval of a second person";
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, Vec<Diagnostic>> {
        let Settings { above_devices, approvals, approver_roles, exempt_roles, limits } = settings;
        let mut diagnostics = Vec::new();
        if !(1..=MAX_APPROVALS).contains(&approvals) {
            diagnostics.push(Diagnostic::new("/approvals", format!("there are 1 to {MAX_APPROVALS} approvals")));
        }
        if approver_roles.is_empty() {
            diagnostics.push(Diagnostic::new("/approver_roles", "without a role nobody could approve"));
        }
        check_roles(&approver_roles, "/approver_roles", &mut diagnostics);
        check_roles(&exempt_roles, "/exempt_roles", &mut diagnostics);
        let limits = Limits::parse(above_devices, limits, &mut diagnostics);
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        let approvers = approver_roles.iter().map(|role| format!("`{role}`")).collect::<Vec<_>>().join(" or ");
        let approvals = approvals as usize;
        Ok(Self { limits, approvals, approver_roles, exempt_roles, approvers })
    }
}

impl Authorization for FourEyes {
    fn check(&self, request: &Request) -> Decision {
        let refusal = match request.action.as_str() {
            START => self.refused_start(&request.principal, &request.resource),
            APPROVE => self.refused_approval(&request.principal, &request.resource),
            _ => None,
        };
        refusal.map_or(Decision::Allow, Decision::Deny)
    }

    fn scope(&self, _: &Principal, _: &str, _: &str) -> Visible {
        Visible::All
    }
}

impl FourEyes {
    fn refused_start(&self, principal: &Principal, deployment: &Resource) -> Option<Reason> {
        if has_one(principal, &self.exempt_roles) {
            return None;
        }
        let limit = self.limits.of(deployment);
        let devices = deployment.facts.integer(DEVICES).and_then(|devices| u64::try_from(devices).ok());
        if devices.is_some_and(|devices| devices <= limit) {
            return None;
        }
        let missing = self.approvals.saturating_sub(others(deployment));
        if missing == 0 {
            return None;
        }
        let needed = match missing {
            1 => format!("1 more person with the role {} has to approve", self.approvers),
            _ => format!("{missing} more people with the role {} have to approve", self.approvers),
        };
        let why = match devices {
            Some(1) => format!("it has 1 device, more than {limit}"),
            Some(devices) => format!("it has {devices} devices, more than {limit}"),
            None => "it is not known how many devices it has".to_owned(),
        };
        Some(Reason::new("approval-required", format!("{needed}, not its creator: {why}")))
    }

    fn refused_approval(&self, principal: &Principal, deployment: &Resource) -> Option<Reason> {
        let is_person = match principal.kind {
            PrincipalKind::User => !principal.id.is_empty(),
            // Whoever made an API key could approve with it what they created themselves.
            PrincipalKind::Service | PrincipalKind::Device | PrincipalKind::Anonymous => false,
        };
        if !is_person || !has_one(principal, &self.approver_roles) {
            let message = format!("approving is for users with the role {}", self.approvers);
            return Some(Reason::new("not-an-approver", message));
        }
        match deployment.facts.text(CREATED_BY) {
            Some(creator) if creator == principal.id => {
                let message = "somebody else than the creator has to approve a deployment";
                return Some(Reason::new("own-deployment", message));
            }
            Some(_) => {}
            None => return Some(Reason::new("creator-unknown", "it is not known who created the deployment")),
        }
        let approved = deployment.facts.texts(APPROVED_BY).unwrap_or_default();
        if approved.contains(&principal.id) {
            return Some(Reason::new("already-approved", "the caller has approved this deployment before"));
        }
        None
    }
}

/// How many people other than its creator have approved a deployment. Where the creator is not
/// known, they may be one of them.
fn others(deployment: &Resource) -> usize {
    let approved = deployment.facts.texts(APPROVED_BY).unwrap_or_default();
    let mut people: BTreeSet<&str> = approved.iter().map(String::as_str).filter(|id| !id.is_empty()).collect();
    match deployment.facts.text(CREATED_BY).filter(|creator| !creator.is_empty()) {
        Some(creator) => {
            people.remove(creator);
            people.len()
        }
        None => people.len().saturating_sub(1),
    }
}

fn has_one(principal: &Principal, roles: &[String]) -> bool {
    principal.roles.iter().any(|role| roles.contains(role))
}

fn check_roles(roles: &[String], pointer: &str, diagnostics: &mut Vec<Diagnostic>) {
    if roles.len() > MAX_ROLES {
        diagnostics.push(Diagnostic::new(pointer, format!("there are at most {MAX_ROLES} roles")));
    }
    for (index, role) in roles.iter().enumerate() {
        if role.is_empty() || role.len() > MAX_ROLE_BYTES {
            let message = format!("a role has a name of at most {MAX_ROLE_BYTES} bytes");
            diagnostics.push(Diagnostic::new(format!("{pointer}/{index}"), message));
        }
    }
}

kernex_sdk::export_authorization!(FourEyes);

#[cfg(test)]
mod tests;
