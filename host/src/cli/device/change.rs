//! Owns what the command line changes of one device: its labels, and the bundle that it goes back to.

use kernex_model::id::{BundleId, DeviceId};
use reqwest::Method;
use reqwest::header::IF_MATCH;
use serde_json::{Map, Value, json};

use super::COLUMNS;
use crate::cli::CliError;
use crate::cli::listing::{Column, Format, show_one};
use crate::cli::operator::Server;

const ASSIGNMENT: [Column; 4] =
    [("deployment", "/deployment_id"), ("device", "/device_id"), ("bundle", "/bundle_id"), ("state", "/state")];

/// Set labels of a device, or take them away.
#[derive(Debug, clap::Args)]
pub(crate) struct Label {
    #[command(flatten)]
    server: Server,
    /// The device (dev_…)
    device: DeviceId,
    /// KEY=VALUE sets a label, KEY= takes it away; those that are not named stay
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, Option<String>)>,
    /// How the device is shown
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// Send a device back to an earlier bundle.
#[derive(Debug, clap::Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    server: Server,
    /// The device (dev_…)
    device: DeviceId,
    /// The bundle (bun_…) [default: the one that it last ran verified before the present one]
    #[arg(long, value_name = "ID")]
    to: Option<BundleId>,
    /// How the assignment is shown that brings it back
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// No label is empty, so an empty value is none.
fn label(text: &str) -> Result<(String, Option<String>), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            Ok((key.to_owned(), Some(value.to_owned()).filter(|value| !value.is_empty())))
        }
        Some(_) | None => Err("write KEY=VALUE, or KEY= to take the label away".to_owned()),
    }
}

impl Label {
    /// On the revision that is read here: what somebody else changes in between is not overwritten.
    pub(super) async fn run(self) -> Result<(), CliError> {
        let operator = self.server.operator().await?;
        let path = format!("/api/v1/devices/{}", self.device);
        let tag = operator.api.tag(&path, Some(operator.token())).await?;
        let labels: Map<String, Value> = self.labels.into_iter().map(|(key, value)| (key, json!(value))).collect();
        let request = operator.api.request(Method::PATCH, &path, Some(operator.token()))?.header(IF_MATCH, tag);
        let device: Value = operator.api.answer(request.json(&json!({ "labels": labels }))).await?;
        show_one(&device, &COLUMNS, self.output)
    }
}

impl Rollback {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let path = format!("/api/v1/devices/{}/rollback", self.device);
        let assignment: Value = self.server.operator().await?.post(&path, &json!({ "to_bundle": self.to })).await?;
        show_one(&assignment, &ASSIGNMENT, self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_set_or_taken_away() {
        let set = |key: &str, value: Option<&str>| Ok((key.to_owned(), value.map(str::to_owned)));
        assert_eq!(label("site=berlin"), set("site", Some("berlin")));
        assert_eq!(label("site="), set("site", None));
        assert!(label("site").is_err() && label("=berlin").is_err());
    }
}
