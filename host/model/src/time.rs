//! Owns the point in time: milliseconds since 1970 in UTC, written as RFC 3339. Nothing here reads a clock.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The last moment that RFC 3339 can write with four-digit years: 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// From milliseconds since 1970; what lies outside the years 1970 to 9999 is moved to their edge.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(0, Self::MAX.0))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, as tokens count them.
    #[must_use]
    pub fn as_secs(self) -> i64 {
        self.0 / 1_000
    }

    /// This moment and `millis` milliseconds more.
    #[must_use]
    pub fn plus_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// This moment and `secs` seconds more.
    #[must_use]
    pub fn plus_secs(self, secs: u32) -> Self {
        self.plus_millis(i64::from(secs) * 1_000)
    }

    /// Milliseconds from `earlier` to this moment; negative where it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time: DateTime<Utc> = DateTime::from_timestamp_millis(self.0).unwrap_or_default();
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// A text is not an RFC 3339 time between 1970 and 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time between 1970 and 9999")]
pub struct InvalidTimestamp;

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let millis = DateTime::parse_from_rfc3339(text).map_err(|_| InvalidTimestamp)?.timestamp_millis();
        (0..=Self::MAX.0).contains(&millis).then_some(Self(millis)).ok_or(InvalidTimestamp)
    }
}

crate::text_codec!(Timestamp { format: "date-time", example: "2026-11-21T15:00:00.000Z" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read_back() {
        let time: Timestamp = "2026-11-21T16:00:00.250+01:00".parse().expect("RFC 3339");
        assert_eq!(time.to_string(), "2026-11-21T15:00:00.250Z");
        assert_eq!(time.to_string().parse(), Ok(time));
        assert_eq!("yesterday".parse::<Timestamp>(), Err(InvalidTimestamp));
        assert_eq!("1969-12-31T23:59:59Z".parse::<Timestamp>(), Err(InvalidTimestamp));
        assert_eq!(Timestamp::MAX.plus_secs(1), Timestamp::MAX);
    }
}
