//! Owns the doctor's look at the clock: nothing that the machine keeps can be of a time that has not come.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kernex_model::time::Timestamp;

use super::{Finding, bad, good};
use crate::app::Context;
use crate::config::Settings;

/// 2026-01-01T00:00:00Z: a clock before this program was made is wrong.
const BUILT_AFTER_MILLIS: i64 = 1_767_225_600_000;
/// How far a file may be ahead: a clock is moved by seconds now and then, and a file server has one of its own.
const TOLERANCE_MILLIS: i64 = 5 * 60 * 1_000;
/// Files of one directory that are looked at.
const MAX_FILES: usize = 10_000;

const REMEDY: &str = "set the time, `timedatectl set-ntp true` for instance";

/// Whether the clock can be right, by this program and by what is in the data directory and the store's.
pub(super) fn clock(context: &Context, settings: &Settings) -> Finding {
    let now = context.now();
    if now.as_millis() < BUILT_AFTER_MILLIS {
        return bad("clock", format!("it says {now}: tokens and certificates would be refused"), REMEDY);
    }
    let store = settings.store_url().ok().and_then(|url| url.path().map(Path::to_owned));
    let newest = [Some(settings.data_dir().to_owned()), store].into_iter().flatten().filter_map(newest_in).max();
    match newest {
        Some((time, file)) if time.since(now) > TOLERANCE_MILLIS => bad(
            "clock",
            format!("it says {now}, and {} is of {time}, which has not come", file.display()),
            format!("{REMEDY}; if the time is right, `touch` the file"),
        ),
        Some(_) | None => good("clock", format!("it says {now}")),
    }
}

/// The file of a directory that was written last, and when; `None` where nothing can be read.
fn newest_in(directory: PathBuf) -> Option<(Timestamp, PathBuf)> {
    let files = std::fs::read_dir(directory).ok()?.take(MAX_FILES).flatten();
    files.filter_map(|file| Some((timestamp(file.metadata().ok()?.modified().ok()?), file.path()))).max()
}

fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::from_millis(chrono::DateTime::<chrono::Utc>::from(time).timestamp_millis())
}
