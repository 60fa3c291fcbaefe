//! The engine and the components that its tests run.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{LazyLock, Mutex};

use kernex_engine::{Engine, Limits, Policy};
use kernex_model::policy::Gate;

/// A plugin for every gate that does wrong on request: `{"configure": "...", "decide": "..."}`.
pub const MISBEHAVING: &[u8] = include_bytes!(env!("KERNEX_GUEST_MISBEHAVING"));

/// A plugin for every gate, written against the contract 1.0.0 alone.
pub const RELEASED: &[u8] = include_bytes!(env!("KERNEX_RELEASED_1_0_0"));

/// Where [`MISBEHAVING`] says which wrong its `describe` does.
const IN_DESCRIBE: &[u8] = b"wrong-in-describe:none..........";

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

/// [`MISBEHAVING`], which does this wrong in its `describe`.
///
/// # Panics
/// Where the component does not say exactly once what it does there, or the name is too long.
#[must_use]
pub fn misdescribing(wrong: &str) -> Vec<u8> {
    let text = format!("wrong-in-describe:{wrong:.<14}");
    assert_eq!(text.len(), IN_DESCRIBE.len(), "`{wrong}` has no room");
    replaced(IN_DESCRIBE, text.as_bytes(), 1..=1)
}

/// [`MISBEHAVING`], which imports its facts from an interface of this name instead of the contract's.
///
/// # Panics
/// Where the name is not as long as the contract's.
#[must_use]
pub fn importing(name: &str) -> Vec<u8> {
    let contract = b"kernex:policy/facts@1.0.0";
    assert_eq!(name.len(), contract.len(), "`{name}` must not move what stands behind it");
    replaced(contract, name.as_bytes(), 1..=usize::MAX)
}

/// [`MISBEHAVING`] with other bytes wherever these stand, which is to be so many times.
fn replaced(before: &[u8], after: &[u8], times: RangeInclusive<usize>) -> Vec<u8> {
    let mut bytes = MISBEHAVING.to_vec();
    let stands = |at: &usize| bytes[*at..].starts_with(before);
    let places: Vec<usize> = (0..bytes.len()).filter(stands).collect();
    assert!(times.contains(&places.len()), "{} stands there {} times", before.escape_ascii(), places.len());
    for place in places {
        bytes[place..place + after.len()].copy_from_slice(after);
    }
    bytes
}

/// A component with one more module, of which it has an instance. Whatever that one does when it starts is done
/// whenever the component starts.
///
/// # Panics
/// Where it is no component.
#[must_use]
pub fn grafted(component: &[u8], module: &[u8]) -> Vec<u8> {
    const CORE_MODULE: u8 = 1;
    const CORE_INSTANCE: u8 = 2;
    let before = sections(component).into_iter().filter(|id| *id == CORE_MODULE).count();
    // One instance, of that module, with no arguments.
    let instance = [&[1_u8, 0][..], &leb(before), &[0]].concat();
    [component, &section(CORE_MODULE, module), &section(CORE_INSTANCE, &instance)].concat()
}

/// A number as WebAssembly writes lengths.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![id];
    bytes.extend(leb(content.len()));
    bytes.extend(content);
    bytes
}

/// The kinds of a component's sections, in order.
fn sections(component: &[u8]) -> Vec<u8> {
    let (mut at, mut found) = (8, Vec::new());
    while at < component.len() {
        found.push(component[at]);
        at += 1;
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = component[at];
            at += 1;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        at += length;
    }
    assert_eq!(at, component.len(), "sections fill a component");
    found
}
