//! Change freezes: changes are allowed in weekly windows, and refused in freezes.

mod freezes;
mod instants;
mod settings;
mod windows;

use kernex_sdk::authorization::{Decision, Principal, PrincipalKind, Request, Resource, Visible};
use kernex_sdk::grants::Grants;
use kernex_sdk::words::{Asked, ByWord, Word};
use kernex_sdk::{Authorization, Diagnostic, Facts, Plugin, Reason};

use freezes::Freezes;
pub use settings::{Day, Exemption, Needs, Period, Settings, Window};
use windows::{Standing, Windows};

/// The context's fact for the time of the call, in milliseconds since the Unix epoch.
const NOW_MS: &str = "now_ms";
/// The resource's fact for who has approved it.
const APPROVED_BY: &str = "approved_by";
/// The resource's fact for what a control action does.
const STEP: &str = "step";
/// The action whose steps may be free.
const CONTROL: &str = "deployment:control";
/// How many exempt roles there may be.
const MAX_EXEMPT: usize = 64;

/// The configured plugin.
#[derive(Debug)]
pub struct Freeze {
    covers: Grants,
    windows: Option<Windows>,
    freezes: Freezes,
    exempt: ByWord<Needs>,
    free_steps: Vec<String>,
}

impl Plugin for Freeze {
    const NAME: &'static str = "freeze";
    const SUMMARY: &'static str = "Changes in weekly windows only, and none in a change freeze";
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, Vec<Diagnostic>> {
        let mut diagnostics = Vec::new();
        if settings.covers.is_empty() {
            diagnostics.push(Diagnostic::new("/covers", "a policy that covers no action refuses nothing"));
        }
        let covers = Grants::parse(&settings.covers, "/covers", &mut diagnostics);
        let windows = settings.windows.map(|windows| Windows::parse(&windows, &mut diagnostics));
        let freezes = Freezes::parse(settings.freezes, &mut diagnostics);
        let exempt = exempt(settings.exempt, &mut diagnostics);
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        Ok(Self { covers, windows, freezes, exempt, free_steps: settings.free_steps })
    }
}

impl Authorization for Freeze {
    fn check(&self, request: &Request) -> Decision {
        let Request { principal, action, resource, context } = request;
        if !self.is_change(principal, action, resource) {
            return Decision::Allow;
        }
        let needs_approval = match self.exemption(principal, resource) {
            Exempt::Yes => return Decision::Allow,
            Exempt::OnceApproved => true,
            Exempt::No => false,
        };
        match self.refusal(context.integer(NOW_MS)) {
            None => Decision::Allow,
            Some(Reason { code, message }) if needs_approval => {
                let message = format!("{message}; the caller may once somebody else has approved it");
                Decision::Deny(Reason { code, message })
            }
            Some(reason) => Decision::Deny(reason),
        }
    }

    fn scope(&self, _: &Principal, _: &str, _: &str) -> Visible {
        Visible::All
    }
}

/// Whether a role of the caller sets them free.
enum Exempt {
    Yes,
    OnceApproved,
    No,
}

impl Freeze {
    /// What devices do to themselves is no change that anybody plans, and who could not log in could
    /// not use an exemption either.
    fn is_change(&self, principal: &Principal, action: &str, resource: &Resource) -> bool {
        match principal.kind {
            PrincipalKind::User | PrincipalKind::Service => {}
            PrincipalKind::Device | PrincipalKind::Anonymous => return false,
        }
        let step = resource.facts.text(STEP).filter(|_| action == CONTROL);
        let is_free = step.is_some_and(|step| self.free_steps.iter().any(|free| free == step));
        self.covers.contain(Asked::of(action)) && !is_free
    }

    fn exemption(&self, principal: &Principal, resource: &Resource) -> Exempt {
        let mut exempt = Exempt::No;
        for needs in principal.roles.iter().filter_map(|role| self.exempt.get(Word::of(role))) {
            match needs {
                Needs::Nothing => return Exempt::Yes,
                Needs::Approval if is_approved(principal, resource) => return Exempt::Yes,
                Needs::Approval => exempt = Exempt::OnceApproved,
            }
        }
        exempt
    }

    /// Why nothing may be changed at this time.
    fn refusal(&self, now_ms: Option<i64>) -> Option<Reason> {
        let Some(now_ms) = now_ms else {
            return Some(Reason::new("time-unknown", "the time of the call is not known: changes may be frozen"));
        };
        if let Some(freeze) = self.freezes.at(now_ms) {
            let end = instants::written(freeze.to_ms);
            return Some(Reason::new("change-freeze", format!("`{}` freezes changes until {end}", freeze.name)));
        }
        match self.windows.as_ref()?.standing(now_ms) {
            Standing::Open => None,
            Standing::ClosedUntil(next_ms) => {
                let next = instants::written(next_ms);
                Some(Reason::new("outside-window", format!("changes have their times; the next begins at {next}")))
            }
        }
    }
}

/// Whether somebody else than the caller has approved it.
fn is_approved(principal: &Principal, resource: &Resource) -> bool {
    let approvers = resource.facts.texts(APPROVED_BY).unwrap_or_default();
    approvers.iter().any(|approver| !approver.is_empty() && *approver != principal.id)
}

fn exempt(exemptions: Vec<Exemption>, diagnostics: &mut Vec<Diagnostic>) -> ByWord<Needs> {
    if exemptions.len() > MAX_EXEMPT {
        diagnostics.push(Diagnostic::new("/exempt", format!("there are at most {MAX_EXEMPT} exempt roles")));
    }
    for (index, exemption) in exemptions.iter().enumerate() {
        if exemption.role.is_empty() || exemptions[..index].iter().any(|earlier| earlier.role == exemption.role) {
            let message = "each exempt role has a name, and stands here once";
            diagnostics.push(Diagnostic::new(format!("/exempt/{index}/role"), message));
        }
    }
    ByWord::new(exemptions.into_iter().map(|exemption| (exemption.role, exemption.needs)))
}

kernex_sdk::export_authorization!(Freeze);

#[cfg(test)]
mod tests;
