//! Devices that are written straight into the store of a server that is stopped: more than anybody would enrol one by one.

use kernex_model::action::Action;
use kernex_model::device::Device;
use kernex_model::digest::Digest;
use kernex_model::id::{AuditId, DeviceId, Ulid};
use kernex_model::principal::Principal;
use kernex_model::record::AuditRecord;
use kernex_store::{Changes, Store, StoreOptions};
use serde_json::json;

use super::ServerProcess;

/// Devices made in one transaction.
const CHUNK: u64 = 1_000;
/// 2026-11-21T15:00:00Z, in milliseconds since the Unix epoch.
const NOON: u64 = 1_795_273_200_000;

fn device(number: u64) -> Device {
    let channel = if number.is_multiple_of(100) { "beta" } else { "stable" };
    let id = DeviceId(Ulid::from_parts(NOON + number, u128::from(number)));
    let json = json!({
        "id": id, "name": format!("gate {number}"), "model": "gw-1", "status": "active",
        "labels": { "channel": channel, "site": format!("s{}", number % 50) },
        "facts": { "os": "linux", "kernel": "6.12.48", "memory_mib": 512 },
        "key_digest": Digest::of(&number.to_be_bytes()), "public_key": "",
        "bundle_id": null, "verified_bundle_id": null, "config_version": null,
        "created_at": "2026-11-21T15:00:00Z", "updated_at": "2026-11-21T15:00:00Z", "revision": 1
    });
    serde_json::from_value(json).expect("a device's own form")
}

fn record(number: u64) -> AuditRecord {
    AuditRecord {
        id: AuditId(Ulid::from_parts(NOON, u128::from(number))),
        at: "2026-11-21T15:00:00Z".parse().expect("a time"),
        principal: Principal::System,
        action: Action::DeviceEnrol,
        resource_kind: "device".to_owned(),
        resource_id: None,
        decision_id: None,
        decision_ids: Vec::new(),
        request_id: None,
        address: None,
        detail: None,
    }
}

/// Writes active devices into the stopped server's store: one in a hundred of the channel `beta`, the others `stable`, at
/// fifty sites.
///
/// # Panics
/// Where the server runs, or the store fails.
pub async fn populate(server: &ServerProcess, devices: u64) {
    let url = format!("rocksdb://{}", server.data_dir().join("store").display()).parse().expect("a store's address");
    let store = Store::open(&url, StoreOptions::default()).await.expect("the server has stopped");
    for first in (0..devices).step_by(usize::try_from(CHUNK).expect("a small number")) {
        let mut changes = Changes::new(&record(first));
        for number in first..devices.min(first + CHUNK) {
            changes.create(&device(number));
        }
        store.commit(changes).await.expect("devices are written");
    }
    store.close().await.expect("the store closes");
}
