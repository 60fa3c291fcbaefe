//! Owns noticing that the database has just written a memtable to disk.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// Pause between two looks: a kill must come right after a flush.
const PAUSE: Duration = Duration::from_millis(1);

/// The sorted tables below a directory.
fn tables(directory: &Path) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return BTreeSet::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.ends_with(".sst")).collect()
}

/// Waits until a new table appears; whether one did within `patience`.
pub(super) async fn next(directory: &Path, patience: Duration) -> bool {
    let before = tables(directory);
    let start = Instant::now();
    while start.elapsed() < patience {
        if tables(directory).difference(&before).next().is_some() {
            return true;
        }
        tokio::time::sleep(PAUSE).await;
    }
    false
}
