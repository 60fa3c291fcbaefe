//! Owns identifiers: typed, sortable by time, and prefixed with what they name (`dev_01J…`).

use std::fmt;
use std::str::FromStr;

pub use ulid::Ulid;

use crate::codec::InvalidText;

/// Length of a ULID's text, in bytes.
const ULID_LENGTH: usize = 26;

// The examples belong to one story, which the API's documentation tells (`http/document/examples.json`).
macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $prefix:literal, $example:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Ulid);

        impl $name {
            /// What stands before the ULID in the text form.
            pub const PREFIX: &'static str = $prefix;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut buffer = [0_u8; ULID_LENGTH];
                f.write_str($prefix)?;
                f.write_str(self.0.array_to_str(&mut buffer))
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.strip_prefix($prefix)
                    .and_then(parse_ulid)
                    .map(Self)
                    .ok_or(InvalidText {
                        what: stringify!($name),
                        pattern: concat!("^", $prefix, "[0-9A-HJKMNP-TV-Z]{26}$"),
                        max_length: ULID_LENGTH + $prefix.len(),
                    })
            }
        }

        crate::text_codec!($name {
            pattern: concat!("^", $prefix, "[0-9A-HJKMNP-TV-Z]{26}$"),
            max_length: ULID_LENGTH + $prefix.len(),
            example: concat!($prefix, $example)
        });
    };
}

/// Only the canonical upper-case form: one identifier has one text.
fn parse_ulid(text: &str) -> Option<Ulid> {
    let ulid = Ulid::from_string(text).ok()?;
    let mut buffer = [0_u8; ULID_LENGTH];
    (ulid.array_to_str(&mut buffer) == text).then_some(ulid)
}

id!(/// A person's account.
    UserId, "usr_", "01M6DMBE00ZQQ463A0QNBXXTP1");
id!(/// One login.
    SessionId, "ses_", "01M7Z876J0FMXFE81YHNB8MPR8");
id!(/// A key for a service.
    ApiKeyId, "key_", "01M6DP2BT05HRE2AVT0S3FJ8KS");
id!(/// An enrolled endpoint.
    DeviceId, "dev_", "01M6GB1FH0XWK0X6N3RSSTY90D");
id!(/// Immutable signed content.
    BundleId, "bun_", "01M7Z8SGG0138GGB68V1D0GCYT");
id!(/// An intent and its execution.
    DeploymentId, "dep_", "01M7Z9Y4C0HKHYE7QRCDEJQWKS");
id!(/// One recorded decision of a policy.
    DecisionId, "dec_", "01M7ZBN26060KA1JJ8BSC32SBV");
id!(/// One record of who did what.
    AuditId, "aud_", "01M7Z9Y4C0HKHYE7QRCDEJQWKV");
id!(/// One question that two revisions of a policy answered otherwise.
    DifferenceId, "dif_", "01M7ZBN26060KA1JJ8BSC32SBW");
id!(/// Work that takes longer than a call.
    OperationId, "opn_", "01M7ZBTJG0N3S6K8Q2V1D5C7XA");
id!(/// One request to the API; also the trace's name in logs.
    RequestId, "req_", "01M7Z9Y4C0RFVVVX9QRHKJ8E9C");

/// One device's part in one deployment. It is made of both, so that a device can be in a deployment
/// only once and planning twice gives the same assignments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssignmentId {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The device.
    pub device: DeviceId,
}

const ASSIGNMENT_PATTERN: &str = "^asg_[0-9A-HJKMNP-TV-Z]{26}_[0-9A-HJKMNP-TV-Z]{26}$";
const ASSIGNMENT_LENGTH: usize = 4 + ULID_LENGTH + 1 + ULID_LENGTH;

impl fmt::Display for AssignmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asg_{}_{}", self.deployment.0, self.device.0)
    }
}

impl FromStr for AssignmentId {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (deployment, device) = text.strip_prefix("asg_")?.split_once('_')?;
            Some(Self { deployment: DeploymentId(parse_ulid(deployment)?), device: DeviceId(parse_ulid(device)?) })
        };
        parse().ok_or(InvalidText { what: "AssignmentId", pattern: ASSIGNMENT_PATTERN, max_length: ASSIGNMENT_LENGTH })
    }
}

crate::text_codec!(AssignmentId {
    pattern: ASSIGNMENT_PATTERN,
    max_length: ASSIGNMENT_LENGTH,
    example: "asg_01M7Z9Y4C0HKHYE7QRCDEJQWKS_01M6GB1FH0XWK0X6N3RSSTY90D"
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_identifier_are_one_to_one() {
        let text = "dev_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D";
        let id: DeviceId = text.parse().expect("a canonical identifier");
        assert_eq!(id.to_string(), text);
        assert!(text.to_lowercase().parse::<DeviceId>().is_err());
        assert!("usr_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D".parse::<DeviceId>().is_err());
        assert!("dev_81JD5Z8Q0V3W4X5Y6Z7A8B9C0D".parse::<DeviceId>().is_err());
    }

    #[test]
    fn assignment_names_its_deployment_and_device() {
        let text = "asg_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D_01JD5Z8Q0V3W4X5Y6Z7A8B9C0E";
        let id: AssignmentId = text.parse().expect("a canonical identifier");
        assert_eq!(id.deployment.to_string(), "dep_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D");
        assert_eq!(id.to_string(), text);
        assert!("asg_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D".parse::<AssignmentId>().is_err());
    }
}
