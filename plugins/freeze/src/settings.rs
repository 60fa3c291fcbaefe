//! What an administrator sets.

use schemars::JsonSchema;
use serde::Deserialize;

/// When changes are allowed, and when they are refused.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The actions that are changes: `noun:verb`, `noun:*`, or `*` for everything. All others are
    /// allowed, and so is whatever a device or a caller who has not logged in does.
    pub covers: Vec<String>,
    /// When changes are allowed, every week; at any time when it is left out. At most 64.
    #[serde(default)]
    pub windows: Option<Vec<Window>>,
    /// When changes are refused, also within a window. At most 256.
    #[serde(default)]
    pub freezes: Vec<Period>,
    /// Roles that may change things at any time. At most 64.
    #[serde(default)]
    pub exempt: Vec<Exemption>,
    /// Steps of `deployment:control` that are always allowed, because they only stop something;
    /// `pause` and `cancel` when it is left out.
    #[serde(default = "default_free_steps")]
    pub free_steps: Vec<String>,
}

/// A time of the week.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The days on which it begins.
    pub days: Vec<Day>,
    /// When it begins: `HH:MM`, 00:00 to 23:59.
    pub from: String,
    /// When it ends, this minute excluded: `HH:MM`, 00:00 to 24:00. On the next day where it is
    /// earlier than `from`.
    pub to: String,
    /// How many minutes the clock of `from` and `to` is ahead of UTC, -720 to 840: 60 is Central
    /// European Time. It is the same in summer and in winter; 0 when it is left out.
    #[serde(default)]
    pub utc_offset_minutes: i32,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// A stretch of time in which changes are refused.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// What denials call it, at most 128 bytes.
    pub name: String,
    /// When it begins, as in RFC 3339: `2026-12-18T17:00:00+01:00`.
    pub from: String,
    /// When it ends, this moment excluded, as in RFC 3339.
    pub to: String,
}

/// A role that may change things at any time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exemption {
    /// Its name.
    pub role: String,
    /// What it needs beside the role; nothing when it is left out.
    #[serde(default)]
    pub needs: Needs,
}

/// What an exemption needs beside the role.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// Nothing.
    #[default]
    Nothing,
    /// Somebody else than the caller has approved what is to be changed: the resource's fact
    /// `approved_by` names them.
    Approval,
}

fn default_free_steps() -> Vec<String> {
    ["pause", "cancel"].map(str::to_owned).into()
}
