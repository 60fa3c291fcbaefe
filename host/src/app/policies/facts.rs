//! Owns the facts that the host has for every policy: looked up where a plugin asks for them, and never anew where a
//! decision is made again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kernex_engine::{FactSource, Policy};
use kernex_model::policy::Value;
use kernex_model::record::DecisionGate;

use crate::app::Context;

/// The version of this program, as a text.
const VERSION: &str = "host.version";
/// The moment at which the plugin asks, in milliseconds since 1970. A targeting policy does not get it: it is asked
/// about a device again and again, and the device's class must not depend on when.
const NOW_MS: &str = "host.now_ms";

/// Whether there is a fact of this name at the gate.
fn is_there(gate: DecisionGate, name: &str) -> bool {
    match gate {
        DecisionGate::Authorization | DecisionGate::Rollback => [VERSION, NOW_MS].contains(&name),
        DecisionGate::Targeting => name == VERSION,
    }
}

/// The facts as they are now.
pub(super) fn present(gate: DecisionGate, context: Context) -> FactSource {
    FactSource::new(move |name| {
        is_there(gate, name).then(|| match name {
            NOW_MS => Value::Integer(context.now().as_millis()),
            _ => Value::Text(env!("CARGO_PKG_VERSION").to_owned()),
        })
    })
}

/// A policy that is asked what was asked before: of the facts it finds those that were looked up then.
pub(super) struct Before {
    pub(super) engine: Policy,
    missing: Arc<AtomicBool>,
}

impl Before {
    pub(super) fn of(gate: DecisionGate, engine: &Policy) -> Self {
        let missing = Arc::new(AtomicBool::new(false));
        let noted = missing.clone();
        let none = FactSource::new(move |name| {
            if is_there(gate, name) {
                noted.store(true, Ordering::Relaxed);
            }
            None
        });
        Self { engine: engine.with_facts_from(none), missing }
    }

    /// Whether it has asked for a fact that was there then, and that nobody looked up: what it would have found, and
    /// so what it would have said, is not known.
    pub(super) fn lacked_a_fact(&self) -> bool {
        self.missing.load(Ordering::Relaxed)
    }
}
