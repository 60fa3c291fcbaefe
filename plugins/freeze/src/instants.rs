//! Moments as people write them, RFC 3339.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since the Unix epoch.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|error| error.to_string())?;
    Ok(moment.unix_timestamp() * 1_000 + i64::from(moment.millisecond()))
}

/// The second in UTC; the plain number where it has no year of four digits.
pub(crate) fn written(ms: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)).ok();
    let text = moment.and_then(|moment| moment.format(&Rfc3339).ok());
    text.unwrap_or_else(|| format!("{ms} ms after 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written() {
        assert_eq!(parse("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(parse("1969-12-31T23:59:59.999Z"), Ok(-1));
        assert_eq!(parse("2024-02-29T00:00:00+01:00"), Ok(1_709_161_200_000));
        assert_eq!(parse("2025-12-23T12:00:00Z"), Ok(1_766_491_200_000));
        assert_eq!(written(1_709_161_200_000), "2024-02-28T23:00:00Z");
        assert_eq!(written(-1), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in
            ["", "2026-01-01", "2026-01-01T00:00:00", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z", "yesterday"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
