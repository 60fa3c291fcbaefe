//! What bulk work costs on the real engine, printed with `--nocapture`. The limits are generous: they catch a wrong plan, not a slow machine.

use std::time::{Duration, Instant};

use kernex_model::id::BundleId;
use kernex_model::name::{BundleName, BundleVersion};
use kernex_model::selector::Selector;
use serde_json::json;

use super::*;
use crate::{DeviceFilter, Due, Page};

/// A statement of a thousand rows that takes longer than this scans what it should not.
const BULK_LIMIT: Duration = Duration::from_secs(20);

fn told(what: &str, count: u32, began: Instant) -> Duration {
    let took = began.elapsed();
    println!(
        "{what}: {count} in {:.1} ms, {:.1} us each",
        took.as_secs_f64() * 1e3,
        took.as_secs_f64() * 1e6 / f64::from(count)
    );
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn assignments_are_written_in_bulk() {
    let folder = tempfile::tempdir().unwrap();
    let store = disk(&folder).await;
    let all: Vec<_> = (0..10_000).map(|n| assignment(1, n, AssignmentState::Queued, 0, 0)).collect();
    let began = Instant::now();
    for part in all.chunks(1_000) {
        let mut make = changes();
        for assignment in part {
            make.create(assignment);
        }
        store.commit(make).await.unwrap();
    }
    let took = told("create assignments, 1,000 a commit", 10_000, began);
    assert!(took < BULK_LIMIT * 10);

    let due = Due { deployment: deployment_id(1), state: AssignmentState::Queued, wave: 0 };
    let began = Instant::now();
    let mut found = store.due_assignments(due, at(1), 1_000).await.unwrap();
    told("read due assignments", 1_000, began);
    assert_eq!(found.len(), 1_000);
    let began = Instant::now();
    let mut offer = changes();
    for assignment in &mut found {
        assignment.state = AssignmentState::Offered;
        offer.update(assignment);
    }
    store.commit(offer).await.unwrap();
    assert!(told("update assignments on their revision, one commit", 1_000, began) < BULK_LIMIT);
    let began = Instant::now();
    assert_eq!(store.due_assignments(Due { wave: 7, ..due }, at(1), 1_000).await.unwrap(), []);
    told("ask for due assignments where there are none", 1, began);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_are_listed_at_20_000() {
    let folder = tempfile::tempdir().unwrap();
    let store = disk(&folder).await;
    let began = Instant::now();
    for first in (0..20_000_u64).step_by(1_000) {
        let mut make = changes();
        for n in first..first + 1_000 {
            make.create(&device(
                n,
                json!({"site": format!("s{}", n % 50), "channel": if n % 100 == 0 { "beta" } else { "stable" }}),
            ));
        }
        store.commit(make).await.unwrap();
    }
    told("create devices with 9 terms each", 20_000, began);
    let nobody = |_: BundleId| None::<(BundleName, BundleVersion)>;
    for text in [
        "*",
        "channel=stable",
        "channel=beta",
        "channel=beta,site=s0",
        "channel=stable,site=s7,fact.os=linux",
        "channel in (beta,none)",
        "channel!=stable",
        "!site",
    ] {
        let selector: Selector = text.parse().unwrap();
        let filter = DeviceFilter { selector: Some(&selector), ..DeviceFilter::default() };
        let began = Instant::now();
        let listed = store.list_devices(filter, &nobody, &Page::first(100)).await.unwrap();
        let took = told(&format!("page of `{text}`, {} devices", listed.items.len()), 1, began);
        assert!(took < BULK_LIMIT);
    }
    let began = Instant::now();
    assert_eq!(store.scan_devices(None, 1_000).await.unwrap().len(), 1_000);
    told("scan devices", 1_000, began);
    store.close().await.unwrap();
}
