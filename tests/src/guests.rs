//! The engine and the components that its tests run.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

use kernex_engine::{Engine, Limits, Policy};
use kernex_model::policy::Gate;

/// A plugin for every gate that does wrong on request: `{"configure": "...", "decide": "..."}`.
pub const MISBEHAVING: &[u8] = include_bytes!(env!("KERNEX_GUEST_MISBEHAVING"));

/// A plugin for every gate, written against the contract 1.0.0 alone.
pub const RELEASED: &[u8] = include_bytes!(env!("KERNEX_RELEASED_1_0_0"));

/// The one engine of the test process.
pub fn engine() -> &'static Engine {
    static ENGINE: LazyLock<Engine> =
        LazyLock::new(|| Engine::new(Limits::default()).expect("the test machine runs the engine"));
    &ENGINE
}

/// A policy over [`MISBEHAVING`] that does this wrong in its decisions. Prepared once per process.
pub fn misbehaving(gate: Gate, decide: &'static str) -> Policy {
    static PREPARED: Mutex<BTreeMap<(Gate, &str), Policy>> = Mutex::new(BTreeMap::new());
    if let Some(policy) = PREPARED.lock().expect("no holder panics").get(&(gate, decide)) {
        return policy.clone();
    }
    let policy = misbehaving_anew(gate, decide);
    PREPARED.lock().expect("no holder panics").insert((gate, decide), policy.clone());
    policy
}

/// The same, prepared again.
pub fn misbehaving_anew(gate: Gate, decide: &str) -> Policy {
    let settings = format!(r#"{{"decide": "{decide}"}}"#);
    engine().prepare(MISBEHAVING, gate, &settings).expect("it misbehaves in decisions only")
}
