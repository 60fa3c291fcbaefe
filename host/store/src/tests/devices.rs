//! Devices: what operators and the host write does not overwrite each other, and every selector finds what matches and nothing else.

use kernex_model::device::{DeviceAttributes, DeviceStatus};
use kernex_model::id::BundleId;
use kernex_model::name::{BundleName, BundleVersion};
use kernex_model::selector::Selector;
use serde_json::json;
use surrealdb::types::Variables;

use super::*;
use crate::{CommitError, DeviceFilter, DevicePatch, Page, PresencePage};

fn no_bundle(_: BundleId) -> Option<(BundleName, BundleVersion)> {
    None
}

fn bundle_one(id: BundleId) -> Option<(BundleName, BundleVersion)> {
    (id == BundleId(ulid(1))).then(|| ("os".parse().unwrap(), "1.0.0".parse().unwrap()))
}

async fn fleet(store: &Store, count: u64) -> Vec<Device> {
    let mut all = changes();
    let devices: Vec<Device> = (0..count)
        .map(|n| {
            let site = ["berlin", "paris", "rome"][usize::try_from(n % 3).unwrap()];
            let channel = if n % 10 == 0 { "beta" } else { "stable" };
            let mut device = device(n, json!({"site": site, "channel": channel}));
            if n % 5 == 0 {
                device.status = DeviceStatus::Blocked;
            }
            if n % 4 == 0 {
                device.bundle_id = Some(BundleId(ulid(1)));
            }
            device
        })
        .collect();
    for device in &devices {
        all.create(device);
    }
    store.commit(all).await.unwrap();
    devices
}

async fn listed(store: &Store, filter: DeviceFilter<'_>, limit: u16) -> Vec<Device> {
    let (mut page, mut read) = (Page::first(limit), Vec::new());
    loop {
        let listed = store.list_devices(filter, &bundle_one, &page).await.unwrap();
        assert!(listed.items.len() <= usize::from(limit));
        read.extend(listed.items);
        let Some(next) = listed.next else { return read };
        page.after = Some(next.to_string().parse().unwrap());
    }
}

#[tokio::test]
async fn a_device_is_read_as_it_was_written() {
    let store = memory().await;
    let mut first = device(1, json!({"site": "berlin", "rack/slot": "7"}));
    first.facts.insert("big".parse().unwrap(), kernex_model::attribute::FactValue::Integer(i64::MIN));
    let second = device(2, json!({}));
    let mut make = changes();
    make.create(&first).create(&second);
    store.commit(make).await.unwrap();
    assert_eq!(store.device(first.id).await.unwrap().as_ref(), Some(&first));
    assert_eq!(store.device_by_key(second.key_digest).await.unwrap().as_ref(), Some(&second));
    assert_eq!(store.device_by_key(Digest::of(b"?")).await.unwrap(), None);
    let ids = [second.id, device_id(9), first.id];
    assert_eq!(store.devices_by_id(&ids).await.unwrap(), [second.clone(), first.clone()]);
    assert_eq!(store.devices_by_id(&[]).await.unwrap(), []);
    assert_eq!(store.scan_devices(None, 1_000).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(store.scan_devices(Some(first.id), 1_000).await.unwrap(), [second]);

    let mut stolen = device(3, json!({}));
    stolen.key_digest = first.key_digest;
    let mut again = changes();
    again.create(&stolen);
    assert_eq!(store.commit(again).await, Err(CommitError::Exists { index: "device_key" }));
}

#[tokio::test]
async fn operators_and_the_host_do_not_overwrite_each_other() {
    let store = memory().await;
    let mut read = device(1, json!({"site": "berlin", "old": "1"}));
    let mut make = changes();
    make.create(&read);
    store.commit(make).await.unwrap();

    // The host learns something after an operator has read the device.
    let mut patch = DevicePatch::new(read.id, at(5));
    patch.facts = Some(serde_json::from_value(json!({"os": "bsd"})).unwrap());
    patch.bundle_id = Some(Some(BundleId(ulid(1))));
    patch.config_version = Some(Some(3));
    let mut learn = changes();
    learn.patch_device(&patch);
    store.commit(learn).await.unwrap();

    read.labels = serde_json::from_value(json!({"site": "paris"})).unwrap();
    read.status = DeviceStatus::Blocked;
    read.updated_at = at(6);
    let mut edit = changes();
    edit.update(&read);
    store.commit(edit).await.unwrap();

    let stored = store.device(read.id).await.unwrap().unwrap();
    assert_eq!(stored.labels, read.labels, "a label that was taken away is still there, or one is missing");
    assert_eq!(stored.facts, patch.facts.clone().unwrap());
    assert_eq!((stored.bundle_id, stored.config_version), (Some(BundleId(ulid(1))), Some(3)));
    assert_eq!((stored.status, stored.revision), (DeviceStatus::Blocked, 2));

    // The terms followed: old ones lead nowhere, new ones to the device.
    for (text, found) in [
        ("site=paris", 1),
        ("fact.os=bsd", 1),
        ("model=gw-200", 1),
        ("site=berlin", 0),
        ("old=1", 0),
        ("fact.os=linux", 0),
        ("fact.nets=lte", 0),
    ] {
        let selector: Selector = text.parse().unwrap();
        let filter = DeviceFilter { selector: Some(&selector), ..DeviceFilter::default() };
        assert_eq!(listed(&store, filter, 10).await.len(), found, "{text}");
    }
    let rows = store.rows("SELECT VALUE id[0] FROM device_term", Variables::new(), 0).await.unwrap();
    assert_eq!(rows.len(), 4, "{rows:?}");

    // What is taken away is gone, and a device that does not exist is a conflict.
    patch.bundle_id = Some(None);
    patch.model = Some(None);
    patch.facts = None;
    let mut forget = changes();
    forget.patch_device(&patch);
    store.commit(forget).await.unwrap();
    let stored = store.device(read.id).await.unwrap().unwrap();
    assert_eq!((stored.bundle_id, stored.model, stored.revision), (None, None, 2));
    let mut nobody = changes();
    nobody.patch_device(&DevicePatch::new(device_id(9), at(0)));
    assert!(matches!(store.commit(nobody).await, Err(CommitError::Conflict { .. })));
}

/// Every list equals what a plain filter over all devices gives, whatever is walked.
#[tokio::test]
async fn every_selector_finds_what_matches_and_nothing_else() {
    let store = memory().await;
    let devices = fleet(&store, 120).await;
    for text in [
        "*",
        "site=berlin",
        "channel=beta",
        "site in (rome,paris)",
        "site notin (rome)",
        "!site",
        "channel",
        "site!=rome",
        "fact.os=linux",
        "fact.nets=wifi",
        "fact.docked=true",
        "fact.load=0.5",
        "fact.cores=5",
        "model=gw-200",
        "site=berlin,channel=beta",
        "site in (berlin,rome),channel=beta,fact.cores=4",
        "bundle.name=os",
        "bundle.version=1.0.0,site=paris",
        "channel=none",
    ] {
        let selector: Selector = text.parse().unwrap();
        let scope: Selector = "channel in (stable,beta)".parse().unwrap();
        for (scope, status) in [
            (None, None),
            (None, Some(DeviceStatus::Blocked)),
            (Some(&scope), None),
            (Some(&scope), Some(DeviceStatus::Active)),
        ] {
            let wanted: Vec<&Device> = devices
                .iter()
                .filter(|device| {
                    let name = device.bundle_id.and_then(bundle_one);
                    let attributes = DeviceAttributes { device, bundle: name.as_ref().map(|(n, v)| (n, v)) };
                    selector.matches(&attributes)
                        && scope.is_none_or(|scope| scope.matches(&attributes))
                        && status.is_none_or(|status| device.status == status)
                })
                .collect();
            let filter = DeviceFilter { selector: Some(&selector), scope, status };
            let found = listed(&store, filter, 7).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{text} {scope:?} {status:?}");
        }
    }
}

#[tokio::test]
async fn a_list_of_another_selector_refuses_the_cursor() {
    let store = memory().await;
    fleet(&store, 30).await;
    let (berlin, paris): (Selector, Selector) = ("site=berlin".parse().unwrap(), "site=paris".parse().unwrap());
    let filter = DeviceFilter { selector: Some(&berlin), ..DeviceFilter::default() };
    let first = store.list_devices(filter, &no_bundle, &Page::first(3)).await.unwrap();
    let page = Page { limit: 3, after: first.next };
    let other = DeviceFilter { selector: Some(&paris), ..DeviceFilter::default() };
    assert_eq!(store.list_devices(other, &no_bundle, &page).await, Err(crate::StoreError::ForeignCursor));
}

#[tokio::test]
async fn presence_is_written_over_and_read_by_page() {
    let store = memory().await;
    let mut page = PresencePage {
        page: 7,
        device_ids: vec![device_id(1), device_id(2)],
        last_seen_ms: vec![NOON, NOON + 1],
        health: vec![Default::default(); 2],
        bundle_ids: vec![None, Some(BundleId(ulid(1)))],
        config_versions: vec![Some(4), None],
    };
    store.put_presence(&[page.clone(), PresencePage { page: 12, ..PresencePage::default() }]).await.unwrap();
    page.last_seen_ms[0] += 9;
    store.put_presence(std::slice::from_ref(&page)).await.unwrap();
    let read = store.presence_pages(None, 10).await.unwrap();
    assert_eq!((read.len(), &read[0], read[1].page), (2, &page, 12));
    assert_eq!(store.presence_pages(Some(7), 10).await.unwrap().len(), 1);
    page.health.pop();
    assert!(store.put_presence(&[page]).await.is_err(), "lists of different lengths were written");
}
