//! Owns what is shown of a simulated fleet: live lines on a terminal, plain ones elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::World;
use super::tally::{Phase, Tally};
use crate::cli::output::say;

/// How often a terminal is drawn.
const REDRAW: Duration = Duration::from_millis(500);
/// How often a plain line is printed, where it differs from the last.
const REPRINT: Duration = Duration::from_secs(2);

/// Shows the fleet until it is stopped.
pub(crate) async fn show(world: Arc<World>) {
    if std::io::stderr().is_terminal() { draw(&world).await } else { print(&world).await }
}

async fn draw(world: &World) {
    let screen = MultiProgress::new();
    // A template of words in braces: that this one is well-formed is shown by the test below.
    let style = ProgressStyle::with_template(LINE).unwrap_or_else(|_| ProgressStyle::default_spinner());
    let lines: Vec<ProgressBar> = ["devices", "running", "so far", "trouble"]
        .into_iter()
        .map(|title| screen.add(ProgressBar::new_spinner().with_style(style.clone()).with_prefix(title)))
        .collect();
    let mut rate = Rate::new();
    while world.stop.run_until_cancelled(tokio::time::sleep(REDRAW)).await.is_some() {
        let texts = [
            format!("{} devices: {}", world.options.devices, phases(&world.tally)),
            versions(&world.tally),
            format!("{}, {:.0} heartbeats/s", so_far(&world.tally), rate.next(&world.tally)),
            trouble(&world.tally),
        ];
        for (line, text) in lines.iter().zip(texts) {
            line.set_message(text);
            line.tick();
        }
    }
    lines.iter().for_each(ProgressBar::finish_and_clear);
}

const LINE: &str = "{prefix:>8} {msg}";

async fn print(world: &World) {
    let mut rate = Rate::new();
    let mut last = String::new();
    while world.stop.run_until_cancelled(tokio::time::sleep(REPRINT)).await.is_some() {
        let line = one_line(&world.tally);
        let rate = rate.next(&world.tally);
        if line != last {
            eprintln!("{line}, {rate:.0} heartbeats/s");
            last = line;
        }
    }
}

/// How it stood at the end, on standard output.
pub(crate) fn summary(world: &World) {
    say!("{} devices: {}", world.options.devices, one_line(&world.tally));
    say!("{} heartbeats, {} bytes downloaded and checked", count(&world.tally.heartbeats), count(&world.tally.bytes));
    if let Some(trouble) = world.tally.last_trouble() {
        say!("{} calls failed, the last one: {trouble}", count(&world.tally.troubles));
    }
}

fn one_line(tally: &Tally) -> String {
    format!("{} | running {} | {}", phases(tally), versions(tally), so_far(tally))
}

fn phases(tally: &Tally) -> String {
    let phases = Phase::ALL.map(|phase| format!("{} {}", tally.at(phase).max(0), phase.as_str()));
    phases.join(", ")
}

fn versions(tally: &Tally) -> String {
    let versions: Vec<String> =
        tally.versions().into_iter().map(|(version, count)| format!("{version} ×{count}")).collect();
    if versions.is_empty() { "nothing yet".to_owned() } else { versions.join(", ") }
}

fn so_far(tally: &Tally) -> String {
    format!(
        "{} installed, {} failed, {} rolled back, {} configured, {} errors",
        count(&tally.installed),
        count(&tally.failed),
        count(&tally.rolled_back),
        count(&tally.configured),
        count(&tally.troubles)
    )
}

fn trouble(tally: &Tally) -> String {
    tally.last_trouble().unwrap_or_else(|| "none".to_owned())
}

fn count(counter: &std::sync::atomic::AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Heartbeats a second since it was last asked.
struct Rate {
    since: Instant,
    heartbeats: u64,
}

impl Rate {
    fn new() -> Self {
        Self { since: Instant::now(), heartbeats: 0 }
    }

    fn next(&mut self, tally: &Tally) -> f64 {
        let heartbeats = count(&tally.heartbeats);
        let rate = heartbeats.saturating_sub(self.heartbeats) as f64 / self.since.elapsed().as_secs_f64().max(0.001);
        *self = Self { since: Instant::now(), heartbeats };
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_say_what_there_is() {
        assert!(ProgressStyle::with_template(LINE).is_ok());
        let tally = Tally::new(3);
        tally.shift(Phase::Waiting, Phase::Idle);
        tally.runs(None, Some("1.0.0"));
        let line = one_line(&tally);
        assert!(
            line.starts_with("2 waiting, 1 idle, 0 downloading, 0 installing | running 1.0.0 ×1 | 0 installed"),
            "{line}"
        );
    }
}
