//! Owns a deployment's plan: how it is carried out, and in which hours of the day.

use poem_openapi::Object;
use serde::{Deserialize, Serialize};

use crate::attribute::Facts;
use crate::name::PolicyName;
use crate::time::Timestamp;

/// How a deployment is carried out. Immutable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Object)]
#[oai(default, deny_unknown_fields)]
pub struct Plan {
    /// Devices that may be told to act and have not said how it went, at most.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000000")))]
    pub max_in_flight: u32,
    /// Seconds from an offer to the end of an attempt.
    #[oai(validator(minimum(value = "1"), maximum(value = "604800")))]
    pub attempt_timeout_s: u32,
    /// Seconds that a device must stay healthy after installing.
    #[oai(validator(maximum(value = "604800")))]
    pub soak_s: u32,
    /// Attempts that may fail before the device has failed.
    #[oai(validator(minimum(value = "1"), maximum(value = "10")))]
    pub max_attempts: u32,
    /// Devices that go first, alone: the size of the wave named `canary`.
    #[oai(validator(maximum(value = "1000")))]
    pub canary: u32,
    /// New offers are made only in this window.
    pub maintenance_window: Option<MaintenanceWindow>,
    /// Devices that begin to match later stay out.
    pub frozen: bool,
    /// The targeting policy; the active one, where absent.
    pub targeting_policy: Option<PolicyName>,
    /// The rollback policy; the active one, where absent.
    pub rollback_policy: Option<PolicyName>,
    /// Facts for the policies (`settings.<key>`), at most 64.
    #[oai(validator(max_properties = 64))]
    pub settings: Option<Facts>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            max_in_flight: 100,
            attempt_timeout_s: 3_600,
            soak_s: 60,
            max_attempts: 3,
            canary: 1,
            maintenance_window: None,
            frozen: false,
            targeting_policy: None,
            rollback_policy: None,
            settings: None,
        }
    }
}

/// A daily span of time in UTC. Where `from` is after `to` it goes past midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Object)]
#[oai(deny_unknown_fields)]
pub struct MaintenanceWindow {
    /// First minute of the day, 0 to 1439.
    #[oai(validator(maximum(value = "1439")))]
    pub from_minute: u16,
    /// The minute of the day that is no longer part of it, 0 to 1439.
    #[oai(validator(maximum(value = "1439")))]
    pub to_minute: u16,
}

impl MaintenanceWindow {
    /// Whether the moment lies inside.
    #[must_use]
    pub fn contains(self, now: Timestamp) -> bool {
        let minute = (now.as_secs() / 60).rem_euclid(1_440);
        let (from, to) = (i64::from(self.from_minute), i64::from(self.to_minute));
        if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    }
}
