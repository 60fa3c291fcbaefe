//! Owns the live view of a deployment on a terminal: what its lines say, and drawing them in place.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{FormattedDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use kernex_model::deployment::{DeploymentState, StateReason};
use kernex_model::time::Timestamp;
use kernex_model::wave::WaveState;

use super::super::listing::one_line;
use super::shown::{Shown, ShownWave};

/// Columns of a wave's bar. What stands right of it is cut where the terminal is too small.
const BAR_COLUMNS: usize = 12;
/// Full, two steps between, empty: told apart without colours, too.
const BAR_CHARACTERS: &str = "█▓▒░";
/// Columns of a wave's name, at most.
const MAX_NAME_COLUMNS: usize = 16;
/// Letters of a reason, at most: it may take more than one line.
const MAX_REASON_LETTERS: usize = 240;

/// What a device's part may be, in the words of the view; what matters most stands first.
const GROUPS: [(&str, &[&str]); 10] = [
    ("verified", &["verified"]),
    ("failed", &["failed", "rejected", "timed_out"]),
    ("rolled back", &["rolled_back"]),
    ("not sent back", &["rollback_failed"]),
    ("going back", &["rollback_queued", "rollback_offered", "rollback_running"]),
    ("installed", &["installed"]),
    ("running", &["running"]),
    ("offered", &["offered"]),
    ("waiting", &["queued"]),
    ("cancelled", &["cancelled"]),
];
/// A device that stands here has arrived, on the way forward or back.
const ARRIVED: [&str; 2] = ["verified", "rolled_back"];
/// A device that stands here takes no part.
const NO_PART: &str = "cancelled";

type Counts = BTreeMap<String, u64>;

/// One line of the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    kind: Kind,
    /// In the line's colour.
    title: String,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Headline(Tone),
    Reason,
    Trouble,
    /// With a bar after the title, which takes as many columns as the longest.
    Wave {
        tone: Tone,
        columns: usize,
        share: Share,
    },
    LeftOut,
}

/// How many of a wave's devices have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    arrived: u64,
    of: u64,
}

/// Good or bad news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Quiet,
    Busy,
    Good,
    Warning,
    Bad,
}

impl Tone {
    fn style(self) -> &'static str {
        match self {
            Self::Quiet => "dim",
            Self::Busy => "cyan",
            Self::Good => "green",
            Self::Warning => "yellow",
            Self::Bad => "red",
        }
    }
}

/// What is to be seen of a deployment. `what` is the bundle's name and version; `trouble` is why this may be old.
pub(super) fn picture(shown: &Shown, what: &str, now: Timestamp, trouble: Option<&str>) -> Vec<Line> {
    let line = |kind, title: &str, text: String| Line { kind, title: one_line(title), text: one_line(&text) };
    let plan = format!("{what} to {}  {}", shown.selector, shown.id);
    // The name that is made up where none is given only repeats the bundle and the selector.
    let made_up = shown.bundle_id.is_some_and(|bundle| shown.name.as_str().starts_with(&bundle.to_string()));
    let plan = if made_up { plan } else { format!("{}: {plan}", shown.name) };
    let headline = format!("{}  {plan}", FormattedDuration(elapsed(shown, now)));
    let mut lines = vec![
        line(Kind::Headline(tone(shown.state)), shown.state.as_str(), headline),
        line(Kind::Reason, "", reason(shown).chars().take(MAX_REASON_LETTERS).collect()),
    ];
    lines.extend(trouble.map(|trouble| line(Kind::Trouble, "", trouble.to_owned())));
    let longest = shown.waves.iter().map(|wave| wave.name.chars().count()).max().unwrap_or_default();
    let columns = longest.clamp(1, MAX_NAME_COLUMNS);
    lines.extend(shown.waves.iter().map(|wave| {
        let share = share(&wave.counts);
        let text = format!("{}  {}", percent(share), groups(&wave.counts));
        line(Kind::Wave { tone: wave_tone(wave), columns, share }, &wave.name, text)
    }));
    let left_out: u64 = shown.exclusions.iter().map(|exclusion| exclusion.count).sum();
    if left_out > 0 {
        let why: Vec<String> = shown
            .exclusions
            .iter()
            .map(|exclusion| format!("{} ({}, {})", exclusion.message, exclusion.count, exclusion.code))
            .collect();
        lines.push(line(Kind::LeftOut, "", format!("{left_out} left out: {}", why.join("; "))));
    }
    lines
}

/// How it all ended, in one line.
pub(super) fn summary(shown: &Shown, now: Timestamp) -> String {
    let mut counts = Counts::new();
    for (name, count) in shown.waves.iter().flat_map(|wave| &wave.counts) {
        *counts.entry(name.clone()).or_default() += count;
    }
    let took = FormattedDuration(elapsed(shown, now));
    format!("{} is {} after {took}: {}", shown.id, shown.state.as_str(), groups(&counts))
}

/// Since it was created; a settled one has stopped its clock.
fn elapsed(shown: &Shown, now: Timestamp) -> Duration {
    let until = if shown.settled { shown.updated_at } else { now };
    // The server's clock may be ahead of this one.
    Duration::from_millis(u64::try_from(until.since(shown.created_at)).unwrap_or(0))
}

fn reason(shown: &Shown) -> String {
    match (&shown.reason, shown.state) {
        // The server keeps what was said first of the same thing: its numbers may be older than the counts below.
        (Some(StateReason { message, by, .. }), DeploymentState::Running) => format!("{by} said: {message}"),
        (Some(StateReason { message, by, .. }), _) => format!("because {message} ({by})"),
        (None, DeploymentState::Draft) => "the targeting policy chooses its devices".to_owned(),
        (None, DeploymentState::Running) => "the rollback policy has not spoken yet".to_owned(),
        (
            None,
            DeploymentState::AwaitingApproval
            | DeploymentState::Paused
            | DeploymentState::Halted
            | DeploymentState::Completed
            | DeploymentState::Cancelled
            | DeploymentState::RollingBack
            | DeploymentState::RolledBack,
        ) => "no reason was given".to_owned(),
    }
}

fn tone(state: DeploymentState) -> Tone {
    match state {
        DeploymentState::Draft | DeploymentState::Cancelled => Tone::Quiet,
        DeploymentState::Running => Tone::Busy,
        DeploymentState::Completed => Tone::Good,
        DeploymentState::AwaitingApproval
        | DeploymentState::Paused
        | DeploymentState::Halted
        | DeploymentState::RollingBack => Tone::Warning,
        DeploymentState::RolledBack => Tone::Bad,
    }
}

fn wave_tone(wave: &ShownWave) -> Tone {
    match wave.state {
        WaveState::Waiting => Tone::Quiet,
        WaveState::Open => Tone::Busy,
        WaveState::Passed => Tone::Good,
        WaveState::Failed => Tone::Bad,
    }
}

fn share(counts: &Counts) -> Share {
    let total: u64 = counts.values().sum();
    let at = |name: &str| counts.get(name).copied().unwrap_or(0);
    Share { arrived: ARRIVED.iter().map(|name| at(name)).sum(), of: total.saturating_sub(at(NO_PART)) }
}

/// Rounded down: one of a thousand that is missing is not "100 %".
fn percent(share: Share) -> String {
    match (share.arrived * 100).checked_div(share.of) {
        Some(percent) => format!("{percent:>3} %"),
        None => "    -".to_owned(),
    }
}

/// How many devices stand where; what a newer server counts is shown by its own name.
fn groups(counts: &Counts) -> String {
    let mut others = counts.clone();
    let mut texts = Vec::new();
    for (word, states) in GROUPS {
        let count: u64 = states.iter().filter_map(|state| others.remove(*state)).sum();
        if count > 0 {
            texts.push(format!("{count} {word}"));
        }
    }
    texts.extend(others.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")));
    if texts.is_empty() { "no devices".to_owned() } else { texts.join(", ") }
}

impl Line {
    /// Where its parts stand. Only the reason may go on in a second line.
    fn template(&self) -> String {
        match self.kind {
            Kind::Headline(tone) => format!("{{prefix:.bold.{}}}  {{wide_msg}}", tone.style()),
            Kind::Reason => "  {msg}".to_owned(),
            Kind::Trouble => "  {wide_msg:.yellow}".to_owned(),
            Kind::Wave { tone, columns, .. } => {
                format!("  {{prefix:{columns}!}}  {{bar:{BAR_COLUMNS}.{}/dim}} {{wide_msg}}", tone.style())
            }
            Kind::LeftOut => "  {wide_msg:.dim}".to_owned(),
        }
    }

    fn put_in(&self, bar: &ProgressBar) {
        // That the templates are well-formed is shown by the tests below.
        let style = ProgressStyle::with_template(&self.template()).unwrap_or_else(|_| ProgressStyle::default_spinner());
        bar.set_style(style.progress_chars(BAR_CHARACTERS));
        if let Kind::Wave { share, .. } = self.kind {
            // Of nothing, the drawing library would draw all.
            bar.set_length(share.of.max(1));
            bar.set_position(share.arrived);
        }
        bar.set_prefix(self.title.clone());
        bar.set_message(self.text.clone());
    }
}

/// Lines on a terminal that are drawn over those of before.
#[derive(Debug)]
pub(super) struct Live {
    screen: MultiProgress,
    bars: Vec<ProgressBar>,
}

impl Live {
    /// With nothing on it.
    pub(super) fn new(target: ProgressDrawTarget) -> Self {
        Self { screen: MultiProgress::with_draw_target(target), bars: Vec::new() }
    }

    /// Draws a picture over the one before.
    pub(super) fn draw(&mut self, picture: &[Line]) {
        for bar in self.bars.drain(picture.len().min(self.bars.len())..) {
            self.screen.remove(&bar);
        }
        while self.bars.len() < picture.len() {
            self.bars.push(self.screen.add(ProgressBar::no_length()));
        }
        for (line, bar) in picture.iter().zip(&self.bars) {
            line.put_in(bar);
        }
        // The library leaves out drawings that follow each other closely; this one has to be seen.
        if let Some(last) = self.bars.last() {
            last.force_draw();
        }
    }

    /// Leaves the last picture where it is. The cursor stands at the end of its last line, or where the echo of
    /// Ctrl-C has moved it; so nothing may be drawn any more.
    pub(super) fn leave(&self) {
        self.screen.set_draw_target(ProgressDrawTarget::hidden());
    }
}

#[cfg(test)]
mod tests;
