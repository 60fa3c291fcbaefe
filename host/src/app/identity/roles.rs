//! Owns what the host itself knows of roles: which one the first account gets, and how many a principal may have.

use kernex_model::name::RoleName;
use kernex_model::policy::{Fact, Value};
use kernex_model::user::{MAX_ROLES, User};

use crate::app::AppError;

/// The role of the first account, and of those of whom one must stay enabled. What it may do is the policy's to say.
pub const ADMIN: &str = "admin";

pub(super) fn admin_role() -> Result<RoleName, AppError> {
    ADMIN.parse().map_err(|_| AppError::Internal("`admin` is no role name".to_owned()))
}

pub(super) fn is_enabled_admin(user: &User) -> bool {
    !user.disabled && user.roles.iter().any(|role| role.as_str() == ADMIN)
}

/// Roles as a policy sees that they are to be given.
pub(super) fn given(roles: &[RoleName]) -> Fact {
    Fact { name: "roles".to_owned(), value: Value::Texts(roles.iter().map(|role| role.as_str().to_owned()).collect()) }
}

/// At most [`MAX_ROLES`], each once.
pub(super) fn roles_at(pointer: &'static str, mut roles: Vec<RoleName>) -> Result<Vec<RoleName>, AppError> {
    roles.sort();
    roles.dedup();
    if roles.len() > MAX_ROLES {
        return Err(AppError::field("too-many-roles", pointer, format!("at most {MAX_ROLES} roles")));
    }
    Ok(roles)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kernex_model::action::Action;

    use super::*;

    /// The bundled document, as far as grants go.
    fn grants(of: &[&str]) -> Vec<String> {
        let document: toml::Table = include_str!("../../../../policies/rbac.toml").parse().expect("TOML");
        let mut value = &document["settings"];
        for key in of {
            value = &value[*key];
        }
        value.as_array().expect("a list").iter().map(|grant| grant.as_str().expect("a text").to_owned()).collect()
    }

    fn allows(grants: &[String], action: Action) -> bool {
        let noun = action.as_str().split(':').next().unwrap_or_default();
        grants.iter().any(|grant| grant == "*" || grant == action.as_str() || *grant == format!("{noun}:*"))
    }

    #[test]
    fn every_grant_names_an_action() {
        let known: BTreeSet<String> = Action::ALL
            .iter()
            .flat_map(|action| {
                let noun = action.as_str().split(':').next().unwrap_or_default();
                [action.as_str().to_owned(), format!("{noun}:*"), "*".to_owned()]
            })
            .collect();
        for of in [
            &["roles", "admin", "grants"][..],
            &["roles", "operator", "grants"],
            &["roles", "viewer", "grants"],
            &["device", "grants"],
            &["anonymous", "grants"],
            &["self_service"],
        ] {
            for grant in grants(of) {
                assert!(known.contains(&grant), "{grant} in {of:?}");
            }
        }
    }

    #[test]
    fn roles_are_what_they_are_called() {
        let admin = grants(&["roles", ADMIN, "grants"]);
        assert!(Action::ALL.iter().all(|action| allows(&admin, *action)));
        let (operator, viewer) = (grants(&["roles", "operator", "grants"]), grants(&["roles", "viewer", "grants"]));
        for action in Action::ALL {
            let (noun, verb) = action.as_str().split_once(':').expect("noun:verb");
            let sees = matches!(verb, "list" | "read");
            assert!(!allows(&viewer, *action) || sees, "a viewer changes nothing: {action}");
            assert!(allows(&viewer, *action) || !sees, "a viewer sees everything: {action}");
            if matches!(noun, "user" | "api-key" | "policy" | "session" | "password") {
                assert!(!allows(&operator, *action) || sees, "an operator does not administer: {action}");
            }
            if matches!(noun, "bundle" | "deployment" | "config") && *action != Action::DeploymentDrive {
                assert!(allows(&operator, *action), "an operator runs the fleet: {action}");
            }
        }
        // What everybody may do without any role is little, and written down in two places on purpose.
        assert_eq!(
            grants(&["anonymous", "grants"]),
            ["user:register", "session:create", "session:refresh", "device:enrol", "device:token"]
        );
    }
}
