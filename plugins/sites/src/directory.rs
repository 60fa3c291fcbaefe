//! Which sites a caller has.

use std::collections::BTreeMap;

use kernex_sdk::authorization::{Principal, PrincipalKind};
use kernex_sdk::selector::MAX_VALUES;
use kernex_sdk::words::{ByWord, Word};
use kernex_sdk::{Diagnostic, pointer};

use crate::settings::Settings;

/// Stands for every role.
const EVERY_ROLE: &str = "*";
/// How many roles may be listed, and how many rows a table may have.
const MAX_ROWS: usize = 256;
/// How long a site may be, in bytes: as long as a label's value.
const MAX_SITE_BYTES: usize = 128;

/// Who has which sites.
#[derive(Debug)]
pub(crate) struct Directory {
    narrows_every_role: bool,
    narrowed: ByWord<()>,
    unrestricted: ByWord<()>,
    role_prefix: String,
    by_role: ByWord<Vec<String>>,
    by_principal: ByWord<Vec<String>>,
}

/// What a caller sees of the fleet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sight<'a> {
    Everything,
    /// In order, each once, at most [`MAX_VALUES`]: a selector has no room for more.
    Sites(Vec<&'a str>),
}

impl Directory {
    pub(crate) fn parse(settings: Settings, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let Settings { narrowed_roles, unrestricted_roles, role_prefix, sites_by_role, sites_by_principal, .. } =
            settings;
        check_roles(&narrowed_roles, "/narrowed_roles", diagnostics);
        check_roles(&unrestricted_roles, "/unrestricted_roles", diagnostics);
        for (index, role) in unrestricted_roles.iter().enumerate() {
            if role == EVERY_ROLE || narrowed_roles.contains(role) {
                let message = format!("`{role}` is narrowed, or every role: it cannot be unrestricted");
                diagnostics.push(Diagnostic::new(format!("/unrestricted_roles/{index}"), message));
            }
        }
        let words = |roles: Vec<String>| ByWord::new(roles.into_iter().map(|role| (role, ())));
        Self {
            narrows_every_role: narrowed_roles.iter().any(|role| role == EVERY_ROLE),
            narrowed: words(narrowed_roles),
            unrestricted: words(unrestricted_roles),
            role_prefix,
            by_role: table(sites_by_role, "/sites_by_role", diagnostics),
            by_principal: table(sites_by_principal, "/sites_by_principal", diagnostics),
        }
    }

    pub(crate) fn sight<'a>(&'a self, principal: &'a Principal) -> Sight<'a> {
        match principal.kind {
            PrincipalKind::User | PrincipalKind::Service => {}
            // A device acts on itself; who has not logged in sees no fleet.
            PrincipalKind::Device | PrincipalKind::Anonymous => return Sight::Everything,
        }
        let has = |listed: &ByWord<()>| principal.roles.iter().any(|role| listed.get(Word::of(role)).is_some());
        if has(&self.unrestricted) {
            return Sight::Everything;
        }
        let mut sites = self.sites(principal);
        if sites.is_empty() && !self.narrows_every_role && !has(&self.narrowed) {
            return Sight::Everything;
        }
        sites.sort_unstable();
        sites.dedup();
        sites.truncate(MAX_VALUES);
        Sight::Sites(sites)
    }

    fn sites<'a>(&'a self, principal: &'a Principal) -> Vec<&'a str> {
        let mut sites = Vec::new();
        for role in &principal.roles {
            sites.extend(self.by_role.get(Word::of(role)).into_iter().flatten().map(String::as_str));
            if !self.role_prefix.is_empty() {
                sites.extend(role.strip_prefix(&self.role_prefix).filter(|site| is_site(site)));
            }
        }
        sites.extend(self.by_principal.get(Word::of(&principal.id)).into_iter().flatten().map(String::as_str));
        sites
    }
}

fn check_roles(roles: &[String], pointer: &str, diagnostics: &mut Vec<Diagnostic>) {
    if roles.len() > MAX_ROWS {
        diagnostics.push(Diagnostic::new(pointer, format!("there are at most {MAX_ROWS} roles")));
    }
    for (index, _) in roles.iter().enumerate().filter(|(_, role)| role.is_empty()) {
        diagnostics.push(Diagnostic::new(format!("{pointer}/{index}"), "a role has a name"));
    }
}

fn table(rows: BTreeMap<String, Vec<String>>, pointer: &str, diagnostics: &mut Vec<Diagnostic>) -> ByWord<Vec<String>> {
    if rows.len() > MAX_ROWS {
        diagnostics.push(Diagnostic::new(pointer, format!("a table has at most {MAX_ROWS} rows")));
    }
    for (name, sites) in &rows {
        let row = format!("{pointer}/{}", pointer::escaped(name));
        if name.is_empty() || sites.is_empty() || sites.len() > MAX_VALUES {
            let message = format!("each row has a name, and 1 to {MAX_VALUES} sites");
            diagnostics.push(Diagnostic::new(&row, message));
        }
        for (index, site) in sites.iter().enumerate() {
            if !is_site(site) {
                let message = format!("`{site}` cannot be a label's value, so it is no site");
                diagnostics.push(Diagnostic::new(format!("{row}/{index}"), message));
            }
        }
    }
    ByWord::new(rows)
}

/// Whether a device can have it as a label: the host puts it into selectors.
fn is_site(text: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !",()=!".contains(c);
    !text.is_empty() && text.len() <= MAX_SITE_BYTES && text.chars().all(plain)
}
