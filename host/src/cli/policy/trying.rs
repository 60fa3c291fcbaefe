//! Owns the commands that try a revision out before it decides: looking on, and replays.

use std::time::Duration;

use kernex_model::id::DeploymentId;
use kernex_model::name::PolicyName;
use serde_json::{Value, json};

use super::print_standing;
use crate::cli::CliError;
use crate::cli::listing::{Column, Listing, one_line};
use crate::cli::operator::Server;
use crate::cli::output::say;

const COLUMNS: [Column; 7] = [
    ("at", "/at"),
    ("subject", "/subject"),
    ("question", "/question"),
    ("decided", "/decided/outcome"),
    ("candidate", "/candidate/outcome"),
    ("why", "/candidate/message"),
    ("code", "/candidate/code"),
];
/// Pause between two looks at a replay.
const PAUSE: Duration = Duration::from_millis(500);
/// Names of a breakdown, and differences, that are printed.
const SHOWN: usize = 10;

/// Let a revision look on.
#[derive(Debug, clap::Args)]
pub(crate) struct Shadow {
    #[command(flatten)]
    server: Server,
    /// The policy
    name: PolicyName,
    /// Its revision; none looks on any more where it is left out
    revision: Option<u64>,
    /// The share of questions that it is asked, in percent
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    sample_percent: u8,
}

/// Show what was seen.
#[derive(Debug, clap::Args)]
pub(crate) struct Seen {
    #[command(flatten)]
    server: Server,
    /// The policy
    name: PolicyName,
}

/// List differences.
#[derive(Debug, clap::Args)]
pub(crate) struct Differences {
    /// The policy
    name: PolicyName,
    #[command(flatten)]
    listing: Listing,
}

/// Replay what was decided.
#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    server: Server,
    /// The policy
    name: PolicyName,
    /// The revision that is asked
    revision: u64,
    /// How many days back
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=3_650))]
    days: u16,
    /// Only what was decided about this deployment, however long ago: its plan, or what was said of how it went
    #[arg(long, value_name = "DEPLOYMENT", conflicts_with = "days")]
    deployment: Option<DeploymentId>,
    /// The share of decisions that is asked again, in percent
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    sample_percent: u8,
}

impl Shadow {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let path = format!("/api/v1/policies/{}/shadow", self.name);
        let body = json!({ "revision": self.revision, "sample_percent": self.sample_percent });
        let policy: Value = self.server.operator().await?.post(&path, &body).await?;
        print_standing(&policy);
        match policy["shadow"].as_u64() {
            Some(revision) => say!("{} revision {revision} looks on", self.name),
            None => say!("{}: no revision looks on", self.name),
        }
        Ok(())
    }
}

impl Seen {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let path = format!("/api/v1/policies/{}/shadow", self.name);
        let shadow: Value = self.server.operator().await?.get(&path).await?;
        say!("{} revision {} looks on since {}", self.name, shadow["revision"], one_line(text(&shadow["since"])));
        print_comparison(&shadow["comparison"], &shadow["breakdown"]);
        Ok(())
    }
}

impl Differences {
    pub(super) async fn run(self) -> Result<(), CliError> {
        self.listing.print(&format!("/api/v1/policies/{}/differences", self.name), &[], &COLUMNS).await
    }
}

impl Replay {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let operator = self.server.operator().await?;
        let body = self.body(chrono::Utc::now());
        let mut operation: Value = operator.post(&format!("/api/v1/policies/{}/replay", self.name), &body).await?;
        let path = format!("/api/v1/operations/{}", text(&operation["id"]));
        while operation["state"] == "running" {
            tokio::time::sleep(PAUSE).await;
            operation = operator.get(&path).await?;
        }
        if operation["state"] != "succeeded" {
            return Err(CliError::Failed(format!(
                "the replay failed: {}",
                one_line(text(&operation["failure"]["detail"]))
            )));
        }
        let replay = &operation["replay"];
        let about = self.deployment.map_or_else(String::new, |deployment| format!(" about {deployment}"));
        say!(
            "{} revision {} on what was decided{about} since {}",
            self.name,
            self.revision,
            one_line(text(&replay["from"]))
        );
        print_comparison(&replay["comparison"], &replay["breakdown"]);
        print_differences(replay["differences"].as_array().map_or(&[][..], Vec::as_slice));
        Ok(())
    }

    /// What is sent at this moment.
    fn body(&self, to: chrono::DateTime<chrono::Utc>) -> Value {
        let time = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let mut body = json!({ "revision": self.revision, "sample_percent": self.sample_percent });
        match self.deployment {
            Some(deployment) => body["deployment_id"] = json!(deployment),
            None => {
                body["from"] = json!(time(to - chrono::Duration::days(i64::from(self.days))));
                body["to"] = json!(time(to));
            }
        }
        body
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn print_comparison(comparison: &Value, breakdown: &Value) {
    let count = |name: &str| comparison[name].as_u64().unwrap_or_default();
    say!("asked      {}", count("asked"));
    say!("differing  {}", count("differing"));
    for change in breakdown["changes"].as_array().into_iter().flatten() {
        let (decided, candidate) = (text(&change["decided"]), text(&change["candidate"]));
        // The same word for another wave, or another extent.
        let otherwise = if decided == candidate { " otherwise" } else { "" };
        say!("           {} that were {decided} would be {candidate}{otherwise}", change["count"]);
    }
    for (what, name) in [("by whom", "subjects"), ("device", "devices"), ("of what", "questions")] {
        for (at, count) in breakdown[name].as_array().into_iter().flatten().take(SHOWN).enumerate() {
            let heading = if at == 0 { what } else { "" };
            say!(
                "{heading:<10} {:>6}  {}",
                count["count"].as_u64().unwrap_or_default(),
                one_line(text(&count["name"]))
            );
        }
    }
    for (name, heading) in [
        ("faults", "failed"),
        ("other_fuel", "other fuel"),
        ("missed", "missed"),
        ("not_kept", "not kept"),
        ("unrepeatable", "not asked"),
    ] {
        if count(name) > 0 {
            say!("{heading:<10} {}", count(name));
        }
    }
    say!("fuel       {} decided, {} candidate", count("decided_fuel"), count("candidate_fuel"));
}

/// The first of them, each with both reasons.
fn print_differences(differences: &[Value]) {
    for difference in differences.iter().take(SHOWN) {
        say!("\n{}", described(difference));
    }
    if differences.len() > SHOWN {
        say!("\nThe operation has {} more of them.", differences.len() - SHOWN);
    }
}

/// One difference in three lines: about whom, what was decided, and what would have been.
fn described(difference: &Value) -> String {
    let finding = |name: &str| {
        let finding = &difference[name];
        format!("{}: {} ({})", text(&finding["outcome"]), text(&finding["message"]), text(&finding["code"]))
    };
    let lines = [
        format!("{}  {}  {}", text(&difference["at"]), text(&difference["subject"]), text(&difference["question"])),
        format!("  decided    {}", finding("decided")),
        format!("  candidate  {}", finding("candidate")),
    ];
    lines.map(|line| one_line(&line)).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_both_reasons() {
        let difference = json!({
            "at": "2026-11-21T15:45:00.000Z", "subject": "dep_1", "question": "judge",
            "decided": { "outcome": "proceed", "code": "within-limits", "message": "3 of 40\u{1b}[2J failed" },
            "candidate": { "outcome": "roll_back", "code": "failure-share-exceeded", "message": "at most 5 % may" },
        });
        assert_eq!(
            described(&difference),
            "2026-11-21T15:45:00.000Z  dep_1  judge\n  decided    proceed: 3 of 40 [2J failed (within-limits)\n  \
             candidate  roll_back: at most 5 % may (failure-share-exceeded)"
        );
    }
}
