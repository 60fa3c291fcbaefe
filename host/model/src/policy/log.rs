//! Owns what a plugin writes to its log while it decides: its lines, and how many of them are kept.

use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

/// Bytes of log lines that are kept of one decision.
pub const LOG_BYTES: usize = 16 << 10;
/// Bytes that a line takes beside its message: a loop of empty lines would grow without a limit otherwise.
const LINE_BYTES: usize = 32;
/// Log lines that are kept of one decision.
pub const MAX_LOG_LINES: usize = LOG_BYTES / LINE_BYTES;

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum LogLevel {
    /// Only while something is looked for.
    Debug,
    /// Worth knowing.
    Info,
    /// Should not be.
    Warn,
    /// Went wrong.
    Error,
}

/// A line that a plugin wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// The text; the last one may be cut.
    pub message: String,
}

/// Lines in the order in which they were written, up to [`LOG_BYTES`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    lines: Vec<LogLine>,
    bytes: usize,
    truncated: bool,
}

impl Log {
    /// Keeps as much of a line as there is room for. After the first that does not fit, nothing is kept.
    pub fn write(&mut self, level: LogLevel, mut message: String) {
        if self.truncated {
            return;
        }
        let before = self.bytes + LINE_BYTES;
        if before + message.len() > LOG_BYTES {
            self.truncated = true;
            message.truncate(message.floor_char_boundary(LOG_BYTES.saturating_sub(before)));
            if message.is_empty() {
                return;
            }
            // What was cut off would be kept in memory with the rest.
            message.shrink_to_fit();
        }
        self.bytes = before + message.len();
        self.lines.push(LogLine { level, message });
    }

    /// Adds what was written after this, within the same limit.
    pub fn append(&mut self, later: Self) {
        for LogLine { level, message } in later.lines {
            self.write(level, message);
        }
        self.truncated |= later.truncated;
    }

    /// What is kept.
    #[must_use]
    pub fn lines(&self) -> &[LogLine] {
        &self.lines
    }

    /// Whether more was written than is kept.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// What is kept, and whether more was written.
    #[must_use]
    pub fn into_parts(self) -> (Vec<LogLine>, bool) {
        (self.lines, self.truncated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(messages: &[&str]) -> Log {
        let mut log = Log::default();
        messages.iter().for_each(|message| log.write(LogLevel::Info, (*message).to_owned()));
        log
    }

    fn messages(log: &Log) -> Vec<&str> {
        log.lines().iter().map(|line| line.message.as_str()).collect()
    }

    #[test]
    fn empty_lines_take_room_too() {
        let mut many = Log::default();
        for _ in 0..MAX_LOG_LINES {
            many.write(LogLevel::Debug, String::new());
        }
        assert_eq!((many.lines().len(), many.is_truncated()), (MAX_LOG_LINES, false));
        many.write(LogLevel::Debug, String::new());
        assert_eq!((many.lines().len(), many.is_truncated()), (MAX_LOG_LINES, true));
    }

    #[test]
    fn a_line_that_does_not_fit_is_cut_and_the_last() {
        let long = "\u{e4}".repeat(LOG_BYTES);
        let cut = log(&["x", &long, "y"]);
        assert_eq!(cut.lines().len(), 2);
        assert!(cut.is_truncated());
        // Between two characters, and with nothing behind it in memory.
        let kept = &cut.lines()[1].message;
        assert!(long.starts_with(kept.as_str()) && kept.len() > LOG_BYTES - 3 * LINE_BYTES, "{}", kept.len());
        assert!(kept.len() + LINE_BYTES * 2 < LOG_BYTES && kept.capacity() < LOG_BYTES, "{}", kept.capacity());

        let whole = "x".repeat(LOG_BYTES - LINE_BYTES);
        assert_eq!((messages(&log(&[&whole])), log(&[&whole]).is_truncated()), (vec![whole.as_str()], false));
        for more in ["y", ""] {
            let full = log(&[&whole, more]);
            assert_eq!((messages(&full), full.is_truncated()), (vec![whole.as_str()], true), "{more:?}");
        }
    }

    #[test]
    fn logs_are_joined_within_the_limit_of_one() {
        let mut joined = log(&["a"]);
        joined.append(log(&["b", "c"]));
        joined.append(Log::default());
        assert_eq!((messages(&joined), joined.is_truncated()), (vec!["a", "b", "c"], false));

        let half = "x".repeat(LOG_BYTES / 2);
        let mut joined = log(&[&half]);
        joined.append(log(&[&half]));
        joined.append(log(&["late"]));
        assert!(joined.is_truncated());
        assert_eq!(joined.lines().len(), 2, "what comes after a gap is not kept");
        let kept: usize = messages(&joined).iter().map(|message| message.len() + LINE_BYTES).sum();
        assert_eq!(kept, LOG_BYTES);
        assert_eq!(joined.clone().into_parts(), (joined.lines().to_vec(), true));

        // A part that was cut before stays the end, whatever room there is.
        let mut joined = Log::default();
        joined.append(Log { truncated: true, ..log(&["a"]) });
        joined.append(log(&["b"]));
        assert_eq!((messages(&joined), joined.is_truncated()), (vec!["a"], true));
    }

    #[test]
    fn the_recorded_form_is_stable() {
        let line = LogLine { level: LogLevel::Warn, message: "m".to_owned() };
        assert_eq!(serde_json::to_value(line).unwrap(), serde_json::json!({"level": "warn", "message": "m"}));
    }
}
