//! Owns the tests of the live view: what is drawn for a deployment, on terminals of many sizes.

use std::io;
use std::sync::{Arc, Mutex};

use indicatif::TermLike;
use kernex_model::assignment::AssignmentState;
use serde_json::json;

use super::super::shown::tests::seen;
use super::*;

/// A terminal: rows of letters, and a cursor that stays where writing left it.
#[derive(Debug, Clone)]
struct Paper {
    columns: u16,
    rows: u16,
    page: Arc<Mutex<Page>>,
}

#[derive(Debug, Default)]
struct Page {
    text: Vec<Vec<char>>,
    row: usize,
    column: usize,
}

impl Paper {
    fn new(columns: u16, rows: u16) -> Self {
        Self { columns, rows, page: Arc::default() }
    }

    fn live(&self) -> Live {
        Live::new(ProgressDrawTarget::term_like(Box::new(self.clone())))
    }

    /// What stands on it, without the blanks at the ends of rows.
    fn read(&self) -> Vec<String> {
        let page = self.page.lock().expect("nobody panicked while writing");
        page.text.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned()).collect()
    }

    fn move_to(&self, change: impl Fn(&mut Page)) -> io::Result<()> {
        change(&mut self.page.lock().expect("nobody panicked while writing"));
        Ok(())
    }
}

impl TermLike for Paper {
    fn width(&self) -> u16 {
        self.columns
    }

    fn height(&self) -> u16 {
        self.rows
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.move_to(|page| page.row = page.row.saturating_sub(n))
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.move_to(|page| page.row += n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.move_to(|page| page.column += n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.move_to(|page| page.column = page.column.saturating_sub(n))
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)?;
        self.move_to(|page| (page.row, page.column) = (page.row + 1, 0))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let columns = usize::from(self.columns);
        self.move_to(|page| {
            for letter in text.chars() {
                // As terminals do: the letter after the last column goes to the next row.
                if page.column == columns {
                    (page.row, page.column) = (page.row + 1, 0);
                }
                let rows = page.text.len().max(page.row + 1);
                page.text.resize(rows, Vec::new());
                let (row, column) = (page.row, page.column);
                let length = page.text[row].len().max(column + 1);
                page.text[row].resize(length, ' ');
                page.text[row][column] = letter;
                page.column += 1;
            }
        })
    }

    fn clear_line(&self) -> io::Result<()> {
        self.move_to(|page| {
            let row = page.row;
            if let Some(line) = page.text.get_mut(row) {
                line.clear();
            }
            page.column = 0;
        })
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Fourteen seconds after the deployment of the tests was created.
fn now() -> Timestamp {
    "2026-11-21T20:30:14.000Z".parse().expect("a time")
}

fn draw(columns: u16, rows: u16, shown: &Shown, trouble: Option<&str>) -> Vec<String> {
    let paper = Paper::new(columns, rows);
    let mut live = paper.live();
    live.draw(&picture(shown, "gateway-os 2.0.0", now(), trouble));
    live.leave();
    paper.read()
}

fn running() -> Shown {
    seen(json!({
        "reason": { "code": "wave-open", "message": "5 of 8 devices are verified, 8 are needed", "by": "policy:guardian" },
        "waves": [
            { "name": "canary", "state": "passed", "counts": { "verified": 4, "queued": 0 } },
            { "name": "tenth", "state": "open", "counts": {
                "verified": 5, "failed": 1, "rejected": 1, "timed_out": 1, "installed": 2, "running": 3, "offered": 4,
                "queued": 3 } },
            { "name": "all", "state": "waiting", "counts": { "queued": 500 } },
            { "name": "none", "state": "waiting", "counts": {} },
        ],
        "exclusions": [{ "code": "already-running", "message": "it runs this already", "count": 12, "sample": [] }],
    }))
    .shown
}

#[test]
fn a_deployment_under_way() {
    assert_eq!(
        draw(110, 30, &running(), None),
        [
            "running  00:00:14  two: gateway-os 2.0.0 to simulated=true  dep_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D",
            "  policy:guardian said: 5 of 8 devices are verified, 8 are needed",
            "  canary  ████████████ 100 %  4 verified",
            "  tenth   ███▒░░░░░░░░  25 %  5 verified, 3 failed, 2 installed, 3 running, 4 offered, 3 waiting",
            "  all     ░░░░░░░░░░░░   0 %  500 waiting",
            "  none    ░░░░░░░░░░░░     -  no devices",
            "  12 left out: it runs this already (12, already-running)",
        ]
    );
}

#[test]
fn a_deployment_that_was_rolled_back() {
    let shown = seen(json!({
        "state": "rolled_back", "settled": true, "name": "bun_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D to simulated=true",
        "reason": { "code": "failure-share-exceeded", "message": "6 of 8 failed", "by": "policy:guardian" },
        "waves": [
            { "name": "canary", "state": "failed", "counts": { "rolled_back": 9, "rollback_failed": 1, "cancelled": 2 } },
            { "name": "all", "state": "waiting", "counts": { "cancelled": 500 } },
        ],
    }))
    .shown;
    assert_eq!(
        draw(100, 30, &shown, None),
        [
            "rolled_back  00:00:14  gateway-os 2.0.0 to simulated=true  dep_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D",
            "  because 6 of 8 failed (policy:guardian)",
            "  canary  ██████████▓░  90 %  9 rolled back, 1 not sent back, 2 cancelled",
            "  all     ░░░░░░░░░░░░     -  500 cancelled",
        ],
        "the clock has stopped when it settled"
    );
    assert_eq!(
        summary(&shown, Timestamp::MAX),
        "dep_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D is rolled_back after 00:00:14: 9 rolled back, 1 not sent back, 502 cancelled"
    );
}

#[test]
fn a_deployment_that_waits_for_approval() {
    let message = "1 more person with the role `lead` has to approve: it has 500 devices, more than 100";
    let shown = seen(json!({
        "state": "awaiting_approval", "approved_by": [],
        "reason": { "code": "approval-required", "message": message, "by": "policy:four-eyes" },
        "waves": [{ "name": "all", "state": "waiting", "counts": { "queued": 500 } }],
    }))
    .shown;
    assert_eq!(
        draw(150, 30, &shown, None),
        [
            "awaiting_approval  00:00:14  two: gateway-os 2.0.0 to simulated=true  dep_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D",
            format!("  because {message} (policy:four-eyes)").as_str(),
            "  all  ░░░░░░░░░░░░   0 %  500 waiting",
        ]
    );
}

#[test]
fn a_draft_and_trouble() {
    let draft = seen(json!({ "state": "draft" })).shown;
    let lines = draw(100, 30, &draft, Some("no answer for 00:00:07: connection refused"));
    assert_eq!(
        lines[1..],
        ["  the targeting policy chooses its devices", "  no answer for 00:00:07: connection refused"]
    );
}

#[test]
fn the_next_picture_takes_the_place_of_the_one_before() {
    let paper = Paper::new(100, 30);
    let mut live = paper.live();
    live.draw(&picture(&running(), "gateway-os 2.0.0", now(), Some("no answer")));
    let mut after = running();
    after.waves.truncate(1);
    after.exclusions.clear();
    live.draw(&picture(&after, "gateway-os 2.0.0", now(), None));
    live.leave();
    let lines: Vec<String> = paper.read().into_iter().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[0].starts_with("running") && lines[2].starts_with("  canary"), "{lines:#?}");
}

#[test]
fn a_small_terminal_cuts_what_matters_least() {
    let lines = draw(50, 30, &running(), None);
    assert_eq!(lines[0], "running  00:00:14  two: gateway-os 2.0.0 to simula");
    assert_eq!(lines[1..3], ["  policy:guardian said: 5 of 8 devices are verifie", "d, 8 are needed"], "it goes on");
    assert_eq!(lines[4], "  tenth   ███▒░░░░░░░░  25 %  5 verified, 3 failed");
}

#[test]
fn no_terminal_is_too_small() {
    for columns in 1..=120 {
        for rows in [1, 2, 5, 24] {
            let lines = draw(columns, rows, &running(), Some("no answer for 00:00:07"));
            assert!(lines.len() <= usize::from(rows), "{columns}×{rows}: {lines:#?}");
        }
    }
}

#[test]
fn what_others_wrote_does_not_move_the_cursor() {
    let shown = seen(json!({
        "selector": "a=b\u{1b}[2J",
        "reason": { "code": "c", "message": format!("one\ntwo{}", "!".repeat(1_000)), "by": "host" },
        "waves": [{ "name": "a\u{1b}[H wave with a very long name", "state": "open", "counts": { "melted": 2 } }],
    }))
    .shown;
    let lines = draw(100, 30, &shown, None);
    assert!(lines.iter().all(|line| !line.contains('\u{1b}')), "{lines:#?}");
    assert_eq!(lines.len(), 1 + 3 + 1, "a reason of 240 letters takes three rows: {lines:#?}");
    assert_eq!(lines[4], "  a [H wave with a  ░░░░░░░░░░░░   0 %  2 melted");
}

#[test]
fn every_state_of_a_device_has_one_word() {
    for state in AssignmentState::ALL {
        let found = GROUPS.iter().filter(|(_, states)| states.contains(&state.as_str())).count();
        assert_eq!(found, 1, "{}", state.as_str());
    }
    for name in ARRIVED.into_iter().chain([NO_PART]) {
        assert!(AssignmentState::ALL.iter().any(|state| state.as_str() == name), "{name}");
    }
}

#[test]
fn one_of_a_thousand_is_missing() {
    assert_eq!(percent(Share { arrived: 999, of: 1_000 }), " 99 %");
    assert_eq!(percent(Share { arrived: 1_000, of: 1_000 }), "100 %");
}
