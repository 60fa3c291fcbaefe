//! Deployments, assignments, configs, bundles and what devices reported: each list in its order, each walk to its end.

use kernex_model::bundle::{Bundle, BundleHistoryEntry, DeviceConfig};
use kernex_model::deployment::{Deployment, DeploymentKind, DeploymentState};
use kernex_model::report::{Report, TimelineEntry};
use serde_json::json;

use super::*;
use crate::{CommitError, DeploymentFilter, Due, Page};

/// Migrations before the one that made room for approvals.
const BEFORE_APPROVALS: usize = 10;

fn deployment(number: u64, state: DeploymentState, kind: DeploymentKind) -> Deployment {
    let settled = state == DeploymentState::Completed;
    serde_json::from_value(json!({
        "id": deployment_id(number), "name": "gateway-os to stable", "kind": kind, "bundle_id": null,
        "config": {"interval": 18446744073709551615_u64, "z": 1, "a": null}, "selector": "site=berlin,!legacy",
        "plan": kernex_model::deployment::Plan::default(), "state": state,
        "pinned": {"targeting": {"name": "rings", "revision": 1}, "rollback": {"name": "guardian", "revision": number + 1}},
        "reason": {"code": "a", "message": "b", "by": "host"},
        "waves": [kernex_model::wave::Wave::waiting("canary"), kernex_model::wave::Wave::waiting("rest")],
        "exclusions": [{"code": "x", "message": "y", "count": 3, "sample": [device_id(1)]}], "wave": 0,
        "rollback": null, "settled": settled, "judge_state": "", "created_by": "system", "created_at": at(0),
        "updated_at": at(0), "revision": 1,
    }))
    .unwrap()
}

#[tokio::test]
async fn deployments_are_listed_newest_first_by_state_and_kind() {
    let store = memory().await;
    use DeploymentKind::{Direct, Fleet};
    use DeploymentState::{Completed, Running};
    let all: Vec<Deployment> = (0..12)
        .map(|n| deployment(n, if n % 3 == 0 { Completed } else { Running }, if n % 2 == 0 { Fleet } else { Direct }))
        .collect();
    let mut make = changes();
    for deployment in &all {
        make.create(deployment);
    }
    store.commit(make).await.unwrap();
    assert_eq!(store.deployment(all[5].id).await.unwrap().as_ref(), Some(&all[5]));
    for kind in [None, Some(Fleet), Some(Direct)] {
        for state in [None, Some(Running), Some(Completed)] {
            let wanted: Vec<_> = all
                .iter()
                .rev()
                .filter(|d| kind.is_none_or(|kind| d.kind == kind) && state.is_none_or(|state| d.state == state))
                .cloned()
                .collect();
            let (mut page, mut read) = (Page::first(2), Vec::new());
            loop {
                let listed = store.list_deployments(DeploymentFilter { kind, state }, &page).await.unwrap();
                read.extend(listed.items);
                page.after = listed.next;
                if page.after.is_none() {
                    break;
                }
            }
            assert_eq!(read, wanted, "{kind:?} {state:?}");
        }
    }
    let unsettled: Vec<_> = all.iter().rev().filter(|d| !d.settled).cloned().collect();
    assert_eq!(store.unsettled_deployments().await.unwrap(), unsettled);
}

/// Migrations before the one that knows pins.
const BEFORE_PINS: u32 = 11;

#[tokio::test]
async fn deployments_from_before_there_were_pins_have_none() {
    let store = memory().await;
    let kept = deployment(1, DeploymentState::Running, DeploymentKind::Fleet);
    let mut make = changes();
    make.create(&kept);
    store.commit(make).await.unwrap();
    let migrations = store.migrations();
    let later = migrations.status().await.unwrap().iter().filter(|status| status.version > BEFORE_PINS).count();
    assert_eq!(migrations.down(later).await.unwrap(), later);
    assert_eq!(migrations.up().await.unwrap(), later);
    let read = store.deployment(kept.id).await.unwrap().unwrap();
    assert!(kept.pinned.is_some());
    assert_eq!((read.pinned, read.name), (None, kept.name));
}

#[tokio::test]
async fn an_older_program_does_not_start_what_waits_for_approval() {
    let store = memory().await;
    let mut waiting = deployment(1, DeploymentState::AwaitingApproval, DeploymentKind::Fleet);
    waiting.approved_by = vec![Principal::User(UserId(ulid(2))), Principal::User(UserId(ulid(3)))];
    let running = deployment(4, DeploymentState::Running, DeploymentKind::Fleet);
    let mut make = changes();
    make.create(&waiting).create(&running);
    store.commit(make).await.unwrap();
    let listed = async |state| {
        let filter = DeploymentFilter { kind: Some(DeploymentKind::Fleet), state: Some(state) };
        store.list_deployments(filter, &Page::first(10)).await.unwrap().items
    };
    assert_eq!(store.deployment(waiting.id).await.unwrap().as_ref(), Some(&waiting));
    assert_eq!(listed(DeploymentState::AwaitingApproval).await, [waiting.clone()]);

    let steps = store.migrations().status().await.unwrap().len() - BEFORE_APPROVALS;
    assert_eq!(store.migrations().down(steps).await.unwrap(), steps);
    // Rows as they were before: nobody has approved them, and they are pinned to nothing.
    assert_eq!(store.migrations().up().await.unwrap(), steps);
    let halted = Deployment { state: DeploymentState::Halted, approved_by: Vec::new(), pinned: None, ..waiting };
    assert_eq!(listed(DeploymentState::Halted).await, [halted]);
    assert_eq!(listed(DeploymentState::AwaitingApproval).await, []);
    assert_eq!(listed(DeploymentState::Running).await, [Deployment { pinned: None, ..running }]);
}

#[tokio::test]
async fn the_driver_finds_what_is_due_and_nothing_else() {
    let store = memory().await;
    use AssignmentState::{Offered, Queued};
    let mut make = changes();
    for (device, state, wave, due) in
        [(1, Queued, 0, 30), (2, Queued, 0, 10), (3, Queued, 1, 10), (4, Offered, 0, 10), (5, Queued, 0, 20)]
    {
        make.create(&assignment(1, device, state, wave, due));
    }
    make.create(&assignment(2, 2, Queued, 0, 10));
    store.commit(make).await.unwrap();
    let devices = |found: Vec<Assignment>| found.into_iter().map(|a| a.device_id).collect::<Vec<_>>();
    let due = Due { deployment: deployment_id(1), state: Queued, wave: 0 };
    assert_eq!(devices(store.due_assignments(due, at(9), 10).await.unwrap()), []);
    assert_eq!(devices(store.due_assignments(due, at(20), 10).await.unwrap()), [device_id(2), device_id(5)]);
    assert_eq!(devices(store.due_assignments(due, at(99), 2).await.unwrap()), [device_id(2), device_id(5)]);
    assert_eq!(devices(store.assignments_in_state(due, 10).await.unwrap()), [device_id(2), device_id(5), device_id(1)]);
    let second_wave = Due { wave: 1, ..due };
    assert_eq!(devices(store.due_assignments(second_wave, at(99), 10).await.unwrap()), [device_id(3)]);

    // Offering moves it from one agenda to the other.
    let mut offered = assignment(1, 2, Queued, 0, 10);
    offered.state = Offered;
    offered.due_at = at(100);
    let mut offer = changes();
    offer.update(&offered);
    store.commit(offer).await.unwrap();
    assert_eq!(devices(store.due_assignments(due, at(99), 10).await.unwrap()), [device_id(5), device_id(1)]);
    let in_flight = store.in_flight_assignments(deployment_id(1)).await.unwrap();
    assert_eq!(devices(in_flight), [device_id(4), device_id(2)]);
    let of_device = store.device_assignments(device_id(2), 10).await.unwrap();
    assert_eq!(of_device.iter().map(|a| a.deployment_id).collect::<Vec<_>>(), [deployment_id(2), deployment_id(1)]);
    assert_eq!(of_device[1].revision, 2);
    let ids = [assignment(1, 3, Queued, 1, 10).id, offered.id];
    assert_eq!(devices(store.assignments_by_id(&ids).await.unwrap()), [device_id(3), device_id(2)]);
}

#[tokio::test]
async fn assignments_are_listed_page_by_page() {
    let store = memory().await;
    let mut make = changes();
    for device in 0..25 {
        let state = if device % 2 == 0 { AssignmentState::Queued } else { AssignmentState::Failed };
        make.create(&assignment(1, device, state, u16::try_from(device % 3).unwrap(), 0));
    }
    make.create(&assignment(2, 1, AssignmentState::Failed, 0, 0));
    store.commit(make).await.unwrap();
    for (state, wanted) in [(None, 25), (Some(AssignmentState::Queued), 13), (Some(AssignmentState::Failed), 12)] {
        let (mut page, mut read) = (Page::first(4), Vec::new());
        loop {
            let listed = store.list_assignments(deployment_id(1), state, &page).await.unwrap();
            read.extend(listed.items.into_iter().map(|a| a.device_id));
            page.after = listed.next;
            if page.after.is_none() {
                break;
            }
        }
        read.sort();
        read.dedup();
        assert_eq!(read.len(), wanted, "{state:?}");
    }
    let mut twice = changes();
    twice.create(&assignment(1, 3, AssignmentState::Queued, 0, 0));
    assert_eq!(store.commit(twice).await, Err(CommitError::Exists { index: "assignment" }));
}

#[tokio::test]
async fn configs_keep_every_version_exactly() {
    let store = memory().await;
    let config = |version: u64| -> DeviceConfig {
        let document = json!({"limit": u64::MAX, "ratio": 1.0, "empty": {}, "version": version, "list": [null, "x"]});
        let digest = Digest::of(document.to_string().as_bytes());
        serde_json::from_value(json!({
            "device_id": device_id(1), "version": version, "document": document, "digest": digest,
            "assignment_id": null, "created_by": "system", "created_at": at(0),
        }))
        .unwrap()
    };
    let mut make = changes();
    for version in 1..=12 {
        make.create(&config(version));
    }
    store.commit(make).await.unwrap();
    assert_eq!(store.config(device_id(1), 3).await.unwrap(), Some(config(3)));
    assert_eq!(store.latest_config(device_id(1)).await.unwrap(), Some(config(12)));
    assert_eq!(store.latest_config(device_id(2)).await.unwrap(), None);
    let page = store.list_configs(device_id(1), &Page::first(5)).await.unwrap();
    assert_eq!(page.items, (8..=12).rev().map(config).collect::<Vec<_>>());
    let mut again = changes();
    again.create(&config(12));
    assert_eq!(store.commit(again).await, Err(CommitError::Exists { index: "config" }));
}

#[tokio::test]
async fn bundles_are_unique_by_name_and_version() {
    let store = memory().await;
    let bundle = |number: u64, version: &str| -> Bundle {
        serde_json::from_value(json!({
            "id": format!("bun_{}", ulid(number)), "name": "os", "version": version, "size": 5, "sha256": Digest::of(b"x"),
            "media_type": "application/octet-stream", "labels": {"models": "a+b"}, "signature": null,
            "status": "available", "created_by": "system", "created_at": at(0), "revision": 1,
        }))
        .unwrap()
    };
    let mut make = changes();
    make.create(&bundle(1, "1.0.0")).create(&bundle(2, "1.1.0"));
    store.commit(make).await.unwrap();
    let mut again = changes();
    again.create(&bundle(3, "1.0.0"));
    assert_eq!(store.commit(again).await, Err(CommitError::Exists { index: "bundle_version" }));
    let found = store.bundle_by_name(&"os".parse().unwrap(), &"1.1.0".parse().unwrap()).await.unwrap();
    assert_eq!(found, Some(bundle(2, "1.1.0")));
    assert_eq!(store.bundle(bundle(1, "1.0.0").id).await.unwrap(), Some(bundle(1, "1.0.0")));
    assert_eq!(store.all_bundles().await.unwrap(), [bundle(2, "1.1.0"), bundle(1, "1.0.0")]);
    assert_eq!(store.list_bundles(&Page::first(1)).await.unwrap().items, [bundle(2, "1.1.0")]);
}

#[tokio::test]
async fn what_happened_to_a_device_is_told_newest_first_and_once() {
    let store = memory().await;
    let entry = |second: i64, sequence: u32| -> TimelineEntry {
        serde_json::from_value(json!({
            "device_id": device_id(1), "at": at(second), "sequence": sequence, "kind": "report", "code": "report.installed",
            "message": "it says so", "deployment_id": null, "decision_id": null,
        }))
        .unwrap()
    };
    let history = |second: i64| -> BundleHistoryEntry {
        serde_json::from_value(json!({
            "device_id": device_id(1), "at": at(second), "bundle_id": format!("bun_{}", ulid(1)), "event": "installed",
            "assignment_id": null,
        }))
        .unwrap()
    };
    let report = |attempt: u32, state: &str| -> Report {
        serde_json::from_value(json!({
            "assignment_id": assignment(1, 1, AssignmentState::Queued, 0, 0).id, "attempt": attempt, "state": state,
            "progress": 5, "error": {"code": "c", "message": "m"},
        }))
        .unwrap()
    };
    for _ in 0..2 {
        let mut tell = changes();
        tell.put(&entry(1, 0)).put(&entry(1, 1)).put(&entry(2, 0)).put(&history(1)).put(&history(2));
        tell.put(&report(1, "failed")).put(&report(1, "downloading")).put(&report(2, "installed"));
        store.commit(tell).await.unwrap();
    }
    let timeline = store.timeline(device_id(1), &Page::first(10)).await.unwrap().items;
    assert_eq!(timeline, [entry(2, 0), entry(1, 1), entry(1, 0)]);
    assert_eq!(store.bundle_history(device_id(1), &Page::first(10)).await.unwrap().items, [history(2), history(1)]);
    let reports = store.reports_of(report(1, "failed").assignment_id).await.unwrap();
    assert_eq!(reports, [report(1, "downloading"), report(1, "failed"), report(2, "installed")]);
}
