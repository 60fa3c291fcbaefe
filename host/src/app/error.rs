//! Owns what can go wrong in a use case, in words that know nothing of HTTP.

use kernex_model::id::DecisionId;
use kernex_model::policy::Reason;
use kernex_store::{CommitError, StoreError};

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// RFC 6901 JSON pointer into the body, or the parameter's name.
    pub pointer: String,
    /// A sentence for people.
    pub detail: String,
}

/// Why a use case did not do what was asked. Every variant but `Internal` leaves everything as it was
/// and is safe to show; `code`s are stable.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The request makes no sense as it is.
    #[error("{detail}")]
    Invalid {
        /// For machines.
        code: &'static str,
        /// For people.
        detail: String,
        /// Which fields.
        fields: Vec<FieldError>,
    },
    /// Nobody knows who is calling.
    #[error("{detail}")]
    Unauthenticated {
        /// For machines.
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// The authorization policy said no, or failed.
    #[error("{}", reason.message)]
    Denied {
        /// Where the decision is recorded.
        decision: DecisionId,
        /// The policy's reason; `policy-fault` where it failed.
        reason: Reason,
    },
    /// The host itself says no, whatever a policy says.
    #[error("{detail}")]
    Forbidden {
        /// For machines.
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// There is no such thing, or the caller must not know of it.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It does not fit what is there.
    #[error("{detail}")]
    Conflict {
        /// For machines.
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// The caller edits something that has changed since it was read.
    #[error("it has changed since it was read; read it again")]
    Stale,
    /// The caller must say which revision it edits.
    #[error("send If-Match with the ETag of what you edit")]
    PreconditionRequired,
    /// The body is larger than allowed.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// What is allowed, in bytes.
        limit_bytes: u64,
    },
    /// The body stopped coming.
    #[error("no byte of the body came for {idle_s} s")]
    Stalled {
        /// How long the server waited, in seconds.
        idle_s: u32,
    },
    /// There is no room left where bundles are kept.
    #[error("there is no room left for the content")]
    StorageFull,
    /// No byte of the range exists.
    #[error("the range lies outside the content of {size} bytes")]
    RangeNotSatisfiable {
        /// Bytes of content.
        size: u64,
    },
    /// Too many requests.
    #[error("too many requests; try again in {retry_after_s} s")]
    TooManyRequests {
        /// When to try again, in seconds.
        retry_after_s: u32,
    },
    /// Not now.
    #[error("the server is busy; try again")]
    Busy,
    /// The database is away, or does not answer in time. A change may have been made all the same.
    #[error("the database does not answer; try again")]
    StoreAway {
        /// For the log.
        cause: String,
    },
    /// Our fault. The text is for the log, never for the caller.
    #[error("internal error")]
    Internal(String),
}

impl AppError {
    /// A request that makes no sense, without naming fields.
    pub fn invalid(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid { code, detail: detail.into(), fields: Vec::new() }
    }

    /// A request with one wrong field.
    pub fn field(code: &'static str, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::Invalid { code, detail: detail.clone(), fields: vec![FieldError { pointer: pointer.into(), detail }] }
    }

    /// Something that does not fit what is there.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into() }
    }

    /// A call that only a device can make, for itself.
    #[must_use]
    pub fn not_a_device() -> Self {
        Self::Forbidden { code: "not-a-device", detail: "only the device itself can do this".to_owned() }
    }

    /// A caller that is not known.
    pub fn unauthenticated(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Unauthenticated { code, detail: detail.into() }
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::ForeignCursor => Self::field("invalid-cursor", "cursor", error.to_string()),
            StoreError::TimedOut { .. } | StoreError::Unreachable(_) | StoreError::Closed => {
                Self::StoreAway { cause: error.to_string() }
            }
            StoreError::Database(_) | StoreError::Unreadable { .. } | StoreError::TooMany { .. } => {
                Self::Internal(error.to_string())
            }
        }
    }
}

impl From<CommitError> for AppError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict { .. } => Self::Stale,
            CommitError::Exists { index } => {
                Self::Conflict { code: "already-exists", detail: format!("`{index}` is taken") }
            }
            CommitError::Busy => Self::Busy,
            CommitError::Failed(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_away_is_no_defect() {
        let away = [StoreError::TimedOut { limit_ms: 1 }, StoreError::Unreachable("x".into()), StoreError::Closed];
        for error in away {
            assert!(matches!(AppError::from(error), AppError::StoreAway { .. }));
        }
        assert!(matches!(AppError::from(StoreError::Database("x".into())), AppError::Internal(_)));
    }
}
