//! Owns who acts: the principal's identifier, as it stands in audit records and in what it created.

use std::fmt;
use std::str::FromStr;

use crate::codec::InvalidText;
use crate::id::{ApiKeyId, DeviceId, UserId};
use crate::policy::PrincipalKind;

/// An authenticated caller, the host itself, or nobody known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Principal {
    /// A person.
    User(UserId),
    /// A service, by its API key.
    Service(ApiKeyId),
    /// A device.
    Device(DeviceId),
    /// A caller without credentials.
    Anonymous,
    /// The host: its workers, and its command line on the machine itself.
    System,
}

impl Principal {
    /// What a policy calls this kind. The host never asks a policy about itself.
    #[must_use]
    pub fn kind(self) -> PrincipalKind {
        match self {
            Self::User(_) => PrincipalKind::User,
            Self::Service(_) => PrincipalKind::Service,
            Self::Device(_) => PrincipalKind::Device,
            Self::Anonymous | Self::System => PrincipalKind::Anonymous,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::Service(id) => id.fmt(f),
            Self::Device(id) => id.fmt(f),
            Self::Anonymous => f.write_str("anonymous"),
            Self::System => f.write_str("system"),
        }
    }
}

const PATTERN: &str = "^((usr|key|dev)_[0-9A-HJKMNP-TV-Z]{26}|anonymous|system)$";

impl FromStr for Principal {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "anonymous" => Ok(Self::Anonymous),
            "system" => Ok(Self::System),
            _ => text
                .parse()
                .map(Self::User)
                .or_else(|_| text.parse().map(Self::Service))
                .or_else(|_| text.parse().map(Self::Device))
                .map_err(|_: InvalidText| InvalidText { what: "Principal", pattern: PATTERN, max_length: 30 }),
        }
    }
}

text_codec!(Principal { pattern: PATTERN, max_length: 30, example: "usr_01M6DMBE00ZQQ463A0QNBXXTP1" });
