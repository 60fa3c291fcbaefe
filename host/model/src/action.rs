//! Owns the actions: everything that the authorization policy is asked about, as `noun:verb`.

use std::fmt;
use std::str::FromStr;

use crate::codec::InvalidText;

macro_rules! actions {
    ($($variant:ident => $text:literal, $doc:literal;)*) => {
        /// What a caller wants to do. Roles grant these, by name or as `noun:*`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action {
            $(#[doc = $doc] $variant,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name as it is written.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl FromStr for Action {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(InvalidText { what: "Action", pattern: PATTERN, max_length: 48 }),
                }
            }
        }
    };
}

const PATTERN: &str = "^[a-z-]+:[a-z-]+$";

actions! {
    UserRegister => "user:register", "Make an account.";
    UserList => "user:list", "List accounts.";
    UserRead => "user:read", "See an account.";
    UserUpdate => "user:update", "Change an account's roles or standing.";
    PasswordChange => "password:change", "Change one's password.";
    SessionCreate => "session:create", "Log in.";
    SessionRefresh => "session:refresh", "Renew a login.";
    SessionList => "session:list", "List one's sessions.";
    SessionRevoke => "session:revoke", "End sessions.";
    ApiKeyCreate => "api-key:create", "Make an API key.";
    ApiKeyList => "api-key:list", "List API keys.";
    ApiKeyRevoke => "api-key:revoke", "End an API key.";
    DeviceEnrol => "device:enrol", "Enrol a device.";
    DevicePreauthorize => "device:preauthorize", "Admit a key before its device enrols.";
    DeviceAdmit => "device:admit", "Admit a device.";
    DeviceBlock => "device:block", "Block or unblock a device.";
    DeviceRetire => "device:retire", "Retire a device.";
    DeviceList => "device:list", "List devices.";
    DeviceRead => "device:read", "See a device, its history and timeline.";
    DeviceUpdate => "device:update", "Change a device's labels or name.";
    DeviceRollback => "device:rollback", "Send one device back.";
    DeviceToken => "device:token", "Get a device's access token.";
    DeviceHeartbeat => "device:heartbeat", "Send a heartbeat.";
    DeviceReport => "device:report", "Report on an assignment.";
    ConfigRead => "config:read", "See a device's config.";
    ConfigWrite => "config:write", "Write or roll back a device's config.";
    BundleUpload => "bundle:upload", "Upload a bundle.";
    BundleList => "bundle:list", "List bundles.";
    BundleRead => "bundle:read", "See a bundle.";
    BundleDownload => "bundle:download", "Download a bundle's content.";
    BundleRetire => "bundle:retire", "Take a bundle out of use.";
    DeploymentPreview => "deployment:preview", "See what a deployment would do.";
    DeploymentCreate => "deployment:create", "Create a deployment.";
    DeploymentList => "deployment:list", "List deployments.";
    DeploymentRead => "deployment:read", "See a deployment and its assignments.";
    DeploymentStart => "deployment:start", "Start a deployment; the host asks in its creator's name.";
    DeploymentApprove => "deployment:approve", "Approve a deployment that waits.";
    DeploymentControl => "deployment:control", "Pause, resume, re-pin or cancel a deployment.";
    DeploymentRollback => "deployment:rollback", "Send a deployment's devices back.";
    PolicyList => "policy:list", "List policies and plugins.";
    PolicyRead => "policy:read", "See a policy or plugin.";
    PolicyWrite => "policy:write", "Write a new revision of a policy.";
    PolicyActivate => "policy:activate", "Let a revision decide or look on, or go back to an earlier one.";
    PolicyReplay => "policy:replay", "Ask a revision what was decided before.";
    OperationRead => "operation:read", "See how far long work has come.";
    PluginUpload => "plugin:upload", "Upload a plugin.";
    DecisionList => "decision:list", "List decisions.";
    DecisionRead => "decision:read", "See a decision.";
    AuditList => "audit:list", "List audit records.";
    MetricsRead => "metrics:read", "Read the server's metrics.";
    // Done by the host's own workers and command line; no policy is asked.
    DeploymentDrive => "deployment:drive", "Carry a deployment on.";
    PolicyInstall => "policy:install", "Install a policy document.";
    PolicyQuarantine => "policy:quarantine", "Take out a revision that failed too often.";
}

impl Action {
    /// Whether it only looks at something. What a device sends is no looking.
    #[must_use]
    pub fn changes_nothing(self) -> bool {
        let verb = self.as_str().split_once(':').map_or("", |(_, verb)| verb);
        matches!(verb, "read" | "list" | "download" | "preview")
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

text_codec!(Action { pattern: PATTERN, max_length: 48, example: "deployment:create" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_only_looks_changes_nothing() {
        assert!(Action::DeviceList.changes_nothing() && Action::BundleDownload.changes_nothing());
        assert!(Action::DeploymentPreview.changes_nothing());
        for action in [Action::DeviceHeartbeat, Action::PolicyReplay, Action::DeviceUpdate, Action::SessionCreate] {
            assert!(!action.changes_nothing(), "{action}");
        }
    }
}
