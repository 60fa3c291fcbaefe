//! The weekly windows, as what they leave open of a week in UTC.

use kernex_sdk::Diagnostic;

use crate::settings::{Day, Window};

const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 1_440;
const DAY_MS: i64 = DAY_MINUTES * MINUTE_MS;
const WEEK_MS: i64 = 7 * DAY_MS;
/// The Unix epoch was a Thursday: how far into a week, from Monday, it lies.
const EPOCH_IN_WEEK_MS: i64 = 3 * DAY_MS;
/// How many windows there may be.
const MAX_WINDOWS: usize = 64;
/// Offsets from UTC that are in use on Earth, in minutes.
const OFFSETS: std::ops::RangeInclusive<i32> = -720..=840;

/// What is open, in order and disjoint, within one week.
#[derive(Debug)]
pub(crate) struct Windows(Vec<Span>);

/// Milliseconds since Monday 00:00 UTC: at least `from`, less than `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    from: i64,
    to: i64,
}

/// Whether changes are allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Open,
    /// Until a moment in milliseconds since the Unix epoch.
    ClosedUntil(i64),
}

impl Windows {
    pub(crate) fn parse(windows: &[Window], diagnostics: &mut Vec<Diagnostic>) -> Self {
        if windows.is_empty() || windows.len() > MAX_WINDOWS {
            let message = format!("there are 1 to {MAX_WINDOWS} windows; without the list, changes are always allowed");
            diagnostics.push(Diagnostic::new("/windows", message));
        }
        let mut spans = Vec::new();
        for (index, window) in windows.iter().enumerate() {
            match times(window) {
                Ok((from, length)) => spans.extend(window.days.iter().flat_map(|day| weekly(*day, from, length))),
                Err((field, message)) => {
                    diagnostics.push(Diagnostic::new(format!("/windows/{index}{field}"), message));
                }
            }
        }
        Self(merged(spans))
    }

    pub(crate) fn standing(&self, now_ms: i64) -> Standing {
        let week_ms = (now_ms.rem_euclid(WEEK_MS) + EPOCH_IN_WEEK_MS) % WEEK_MS;
        let following = self.0.partition_point(|span| span.to <= week_ms);
        let next = match self.0.get(following) {
            Some(span) if span.from <= week_ms => return Standing::Open,
            Some(span) => span.from,
            None => WEEK_MS + self.0.first().map_or(0, |span| span.from),
        };
        Standing::ClosedUntil(now_ms.saturating_add(next - week_ms))
    }
}

/// When a window begins, in minutes of its day in UTC, and how many minutes it lasts. Otherwise the
/// pointer within the window, and what is wrong there.
fn times(window: &Window) -> Result<(i64, i64), (&'static str, &'static str)> {
    if window.days.is_empty() {
        return Err(("/days", "a window begins on one day at least"));
    }
    let from = minutes(&window.from).filter(|from| *from < DAY_MINUTES);
    let from = from.ok_or(("/from", "a window begins at `HH:MM`, 00:00 to 23:59"))?;
    let to = minutes(&window.to).ok_or(("/to", "a window ends at `HH:MM`, 00:00 to 24:00"))?;
    if from == to {
        return Err(("/to", "a window does not end when it begins; a whole day is 00:00 to 24:00"));
    }
    if !OFFSETS.contains(&window.utc_offset_minutes) {
        return Err(("/utc_offset_minutes", "an offset from UTC is -720 to 840 minutes"));
    }
    let length = if to > from { to - from } else { to + DAY_MINUTES - from };
    Ok((from - i64::from(window.utc_offset_minutes), length))
}

/// Minutes since midnight of `HH:MM`, at most 24:00.
fn minutes(text: &str) -> Option<i64> {
    let &[ten_hours, hour, b':', ten_minutes, minute] = text.as_bytes() else { return None };
    let number = |tens: u8, ones: u8| {
        let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
        digits.then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
    };
    let (hours, minutes) = (number(ten_hours, hour)?, number(ten_minutes, minute)?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= DAY_MINUTES).then_some(total)
}

/// A window of one day, cut in two where the week ends within it.
fn weekly(day: Day, from_minutes: i64, length_minutes: i64) -> impl Iterator<Item = Span> {
    let from = (day as i64 * DAY_MS + from_minutes * MINUTE_MS).rem_euclid(WEEK_MS);
    let to = from + length_minutes * MINUTE_MS;
    let first = Span { from, to: to.min(WEEK_MS) };
    let rest = Span { from: 0, to: to - WEEK_MS };
    [first, rest].into_iter().filter(|span| span.from < span.to)
}

fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            Some(_) | None => merged.push(span),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAYS: [Day; 7] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];

    fn window(days: &[Day], from: &str, to: &str, utc_offset_minutes: i32) -> Window {
        Window { days: days.to_vec(), from: from.into(), to: to.into(), utc_offset_minutes }
    }

    fn parsed(windows: &[Window]) -> Windows {
        let mut diagnostics = Vec::new();
        let parsed = Windows::parse(windows, &mut diagnostics);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        parsed
    }

    /// By the clock on the wall: what day and minute it is there, and whether a window of this day or
    /// of the day before holds it.
    fn is_open(windows: &[Window], minute_since_epoch: i64) -> bool {
        windows.iter().any(|window| {
            let there = minute_since_epoch + i64::from(window.utc_offset_minutes);
            let minute = there.rem_euclid(DAY_MINUTES);
            let today = usize::try_from((there.div_euclid(DAY_MINUTES) + 3).rem_euclid(7)).unwrap();
            let yesterday = (today + 6) % 7;
            let (from, to) = (minutes(&window.from).unwrap(), minutes(&window.to).unwrap());
            let begins = |day: usize| window.days.contains(&DAYS[day]);
            match from < to {
                true => begins(today) && (from..to).contains(&minute),
                false => (begins(today) && minute >= from) || (begins(yesterday) && minute < to),
            }
        })
    }

    #[test]
    fn every_minute_of_a_week_agrees_with_the_clock_on_the_wall() {
        let sets = [
            vec![window(&[Day::Mon], "00:00", "24:00", 0)],
            vec![window(&[Day::Sun], "22:30", "03:15", 0), window(&[Day::Tue], "03:00", "03:01", 0)],
            vec![window(&[Day::Mon, Day::Thu], "00:00", "08:00", 840), window(&[Day::Sun], "20:00", "19:59", -720)],
            vec![window(&[Day::Fri, Day::Sat], "23:00", "00:00", 330), window(&[Day::Sat], "00:00", "06:00", 330)],
            vec![window(&DAYS, "12:00", "12:01", -210)],
        ];
        // Three weeks around the epoch, and three of the year 2026.
        let starts = [-10 * DAY_MINUTES, 20_454 * DAY_MINUTES];
        for windows in &sets {
            let parsed = parsed(windows);
            for start in starts {
                // From the end, so that the next opening is known.
                let mut next = None;
                for minute in (start..start + 21 * DAY_MINUTES).rev() {
                    let is_open = is_open(windows, minute);
                    next = if is_open { Some(minute) } else { next };
                    let expected = match (is_open, next) {
                        (true, _) => Standing::Open,
                        (false, Some(next)) => Standing::ClosedUntil(next * MINUTE_MS),
                        (false, None) => continue,
                    };
                    assert_eq!(parsed.standing(minute * MINUTE_MS), expected, "{minute} {windows:?}");
                }
                assert!(next.is_some_and(|next| next < start + 7 * DAY_MINUTES), "{windows:?}");
            }
        }
    }

    #[test]
    fn days_without_a_gap_are_always_open() {
        let parsed = parsed(&[window(&DAYS, "06:00", "18:00", 60), window(&DAYS, "18:00", "06:00", 60)]);
        assert_eq!(parsed.0, [Span { from: 0, to: WEEK_MS }]);
        assert_eq!(parsed.standing(i64::MIN), Standing::Open);
    }
}
