//! Owns the tests of the store against the real embedded engines: fixtures here, one file per subject.

mod deployments;
mod devices;
mod identity;
mod kept;
mod leases;
mod migrations;
mod opening;
mod plans;
mod records;
mod transactions;

use kernex_model::assignment::{Assignment, AssignmentState};
use kernex_model::device::Device;
use kernex_model::digest::Digest;
use kernex_model::id::{AssignmentId, DeploymentId, DeviceId, Ulid, UserId};
use kernex_model::principal::Principal;
use kernex_model::record::AuditRecord;
use kernex_model::time::Timestamp;
use kernex_model::user::User;
use serde_json::json;

use crate::{Changes, Store, StoreOptions};

/// 2026-11-21T15:00:00Z.
const NOON: i64 = 1_795_273_200_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(NOON + seconds * 1_000)
}

/// Identifiers in the order of their numbers.
fn ulid(number: u64) -> Ulid {
    Ulid::from_parts(u64::try_from(NOON).unwrap() + number, u128::from(number))
}

fn device_id(number: u64) -> DeviceId {
    DeviceId(ulid(number))
}

fn deployment_id(number: u64) -> DeploymentId {
    DeploymentId(ulid(number))
}

async fn memory() -> Store {
    let store = Store::open(&"mem://".parse().unwrap(), StoreOptions::default()).await.unwrap();
    store.migrations().up().await.unwrap();
    store
}

async fn disk(folder: &tempfile::TempDir) -> Store {
    let url = format!("rocksdb://{}", folder.path().join("store").display()).parse().unwrap();
    let options = StoreOptions { cache_bytes: 64 << 20, ..StoreOptions::default() };
    let store = Store::open(&url, options).await.unwrap();
    store.migrations().up().await.unwrap();
    store
}

/// A record of something that the host did; each has an identifier of its own.
fn audit() -> AuditRecord {
    audit_by(Principal::System, None)
}

fn audit_by(principal: Principal, on: Option<&str>) -> AuditRecord {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    serde_json::from_value(json!({
        "id": format!("aud_{}", ulid(number)), "at": at(0), "principal": principal, "action": "device:update",
        "resource_kind": "device", "resource_id": on, "decision_id": null, "request_id": null, "address": "10.0.0.1",
        "detail": {"count": u64::MAX, "note": "a number that the database would round"},
    }))
    .unwrap()
}

fn changes() -> Changes {
    Changes::new(&audit())
}

fn user(number: u64, username: &str, email: &str) -> User {
    serde_json::from_value(json!({
        "id": UserId(ulid(number)), "username": username, "email": email, "roles": ["operator"], "disabled": false,
        "created_at": at(0), "updated_at": at(0), "revision": 1,
    }))
    .unwrap()
}

fn device(number: u64, labels: serde_json::Value) -> Device {
    serde_json::from_value(json!({
        "id": device_id(number), "name": null, "model": "gw-200", "status": "active", "labels": labels,
        "facts": {"os": "linux", "cores": 4, "load": 0.5, "docked": true, "nets": ["lte", "wifi"]},
        "key_digest": Digest::of(&number.to_be_bytes()), "public_key": "PEM", "bundle_id": null,
        "verified_bundle_id": null, "config_version": null, "created_at": at(0), "updated_at": at(0), "revision": 1,
    }))
    .unwrap()
}

fn assignment(deployment: u64, device: u64, state: AssignmentState, wave: u16, due_s: i64) -> Assignment {
    let (deployment, device) = (deployment_id(deployment), device_id(device));
    serde_json::from_value(json!({
        "id": AssignmentId { deployment, device }, "deployment_id": deployment, "device_id": device, "wave": wave,
        "state": state, "attempt": 0, "failed_attempts": 0, "bundle_id": null, "config_version": null,
        "previous_bundle_id": null, "previous_config_version": null, "due_at": at(due_s), "progress": null,
        "error": null, "offered_at": null, "installed_at": null, "updated_at": at(0), "revision": 1,
    }))
    .unwrap()
}
