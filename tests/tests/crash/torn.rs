//! Owns what every start after a crash must show: each acknowledged write, and no transaction in halves.

use std::collections::BTreeMap;

use kernex_tests::harness::{Client, eventually, run};
use serde_json::Value;

use super::ledger::Entries;
use super::load::{LABEL, content};

/// Items of one page: as many as a list gives.
const PAGE: usize = 1_000;

/// Every item of a list.
pub(super) async fn all(client: &Client, path: &str, parameters: &[(&str, &str)]) -> Vec<Value> {
    let mut found = Vec::new();
    let mut cursor = None::<String>;
    loop {
        let mut call = client.get(path).query("limit", PAGE);
        for (name, value) in parameters {
            call = call.query(name, value);
        }
        if let Some(cursor) = &cursor {
            call = call.query("cursor", cursor);
        }
        let page = call.await.expect(200);
        found.extend(page.items().iter().cloned());
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return found;
        }
    }
}

/// A list by its items' identifiers.
async fn by_id(client: &Client, path: &str) -> BTreeMap<String, Value> {
    let items = all(client, path, &[]).await;
    items.into_iter().map(|item| (item["id"].as_str().expect("an identifier").to_owned(), item)).collect()
}

/// How many audit records there are of an action, by what it was done to.
async fn records(client: &Client, action: &str) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for record in all(client, "/audit", &[("action", action)]).await {
        if let Some(resource) = record["resource_id"].as_str() {
            *found.entry(resource.to_owned()).or_default() += 1;
        }
    }
    found
}

/// Fails the test where an acknowledged write is missing.
pub(super) async fn nothing_is_lost(client: &Client, acknowledged: &Entries) {
    let devices = by_id(client, "/devices").await;
    for id in &acknowledged.devices {
        assert!(devices.contains_key(id), "the enrolment of {id} was acknowledged and is lost");
    }
    for (id, number) in &acknowledged.labels {
        let stored = edits(&devices[id]);
        assert!(stored >= *number, "edit {number} of {id} was acknowledged, {stored} is stored");
        assert!(stored <= number + 1, "edit {stored} of {id} was never sent");
    }
    let bundles = by_id(client, "/bundles").await;
    for (id, number) in &acknowledged.bundles {
        assert!(bundles.contains_key(id), "bundle {number} was acknowledged and is lost");
    }
    if let Some((id, number)) = acknowledged.bundles.last() {
        let answer = client.get(&format!("/bundles/{id}/content")).await.expect(200);
        assert!(answer.body == content(*number), "the content of bundle {number} is another");
    }
}

/// The number in a device's label.
fn edits(device: &Value) -> u64 {
    device["labels"][LABEL].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Fails the test where a report is lost, and where counts and assignments disagree.
pub(super) async fn reports_are_whole(client: &Client, deployment: &str, acknowledged: &Entries) {
    let path = format!("/deployments/{deployment}");
    // The driver goes on meanwhile (devices that enrolled join): both are read at one revision.
    let (stored, assignments) = eventually("the deployment stands still for a look", async || {
        let before = client.get(&path).await.expect(200);
        let assignments = all(client, &format!("{path}/assignments"), &[]).await;
        let after = client.get(&path).await.expect(200);
        (before["revision"] == after["revision"]).then_some((after, assignments))
    })
    .await;
    let mut counts = BTreeMap::<(u64, String), u64>::new();
    for assignment in &assignments {
        let state = assignment["state"].as_str().expect("a state");
        let wave = assignment["wave"].as_u64().expect("a wave");
        *counts.entry((wave, state.to_owned())).or_default() += 1;
        let device = assignment["device_id"].as_str().expect("an identifier");
        let whole = match acknowledged.reports.get(device) {
            Some(&"installed") => ["installed", "verified"].contains(&state),
            Some(_) => ["running", "installed", "verified"].contains(&state),
            None => true,
        };
        assert!(whole, "{:?} of {device} was acknowledged, it is {state}", acknowledged.reports.get(device));
    }
    for (number, wave) in (0_u64..).zip(stored["waves"].as_array().expect("waves")) {
        for (state, count) in wave["counts"].as_object().expect("counts") {
            let found = counts.get(&(number, state.clone())).copied().unwrap_or(0);
            assert_eq!(count.as_u64(), Some(found), "{state} in wave {number}\n{stored}");
        }
    }
}

/// Fails the test where a change has no audit record, or an audit record no change.
pub(super) async fn changes_and_records_agree(client: &Client, deployment: &str, edited: &[String]) {
    let devices = by_id(client, "/devices").await;
    let enrolled = records(client, "device:enrol").await;
    for id in devices.keys() {
        assert_eq!(enrolled.get(id), Some(&1), "{id} enrolled without a record");
    }
    for id in enrolled.keys() {
        assert!(devices.contains_key(id), "there is a record of the enrolment of {id}, which is not there");
    }
    let updated = records(client, "device:update").await;
    for id in edited {
        assert_eq!(updated.get(id).copied().unwrap_or(0), edits(&devices[id]), "edits and records of {id} differ");
    }
    let bundles = by_id(client, "/bundles").await;
    let uploaded = records(client, "bundle:upload").await;
    assert_eq!(bundles.keys().collect::<Vec<_>>(), uploaded.keys().collect::<Vec<_>>(), "bundles and their records");
    let reported = records(client, "device:report").await;
    for assignment in all(client, &format!("/deployments/{deployment}/assignments"), &[]).await {
        let device = assignment["device_id"].as_str().expect("an identifier");
        let expected = match assignment["state"].as_str() {
            Some("offered" | "queued") => 0,
            Some("running") => 1,
            Some("installed" | "verified") => 2,
            other => panic!("nobody failed here, but {device} is {other:?}"),
        };
        assert_eq!(
            reported.get(device).copied().unwrap_or(0),
            expected,
            "reports and records of {device}: {assignment:#}"
        );
    }
}

/// The assertions above would notice: this is what they say of a ledger that claims too much.
#[test]
#[should_panic(expected = "was acknowledged and is lost")]
fn a_lost_write_is_noticed() {
    run(async {
        let server = kernex_tests::harness::TestServer::start().await;
        let claimed = Entries { devices: vec!["dev_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D".to_owned()], ..Entries::default() };
        nothing_is_lost(&server.admin().await, &claimed).await;
    });
}
