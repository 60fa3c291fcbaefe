//! Which instances answer a policy's calls, and those that wait for the next one: making one costs more than a short
//! answer.

use std::sync::{Arc, Mutex, PoisonError};

use kernex_model::policy::Gate;
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::engine::{refill, renews};
use crate::limits::Budget;
use crate::renewal::Renewal;
use crate::sandbox::Sandbox;

/// Instances that wait for a call, at most: about as many as there are threads.
const WAITING: usize = 8;

/// Calls that one instance answers that remembers and is not put back: what a plugin keeps by mistake, memory first of all,
/// does not grow without end.
const USES: u32 = 256;
/// Calls that one instance answers that remembers until it is put back: before its memory has to grow, most often.
const USES_IN_A_ROW: u32 = 16;

/// An instance between two calls.
pub(crate) struct Warm {
    pub(crate) store: Store<Sandbox>,
    pub(crate) instance: Instance,
    /// How it is put back to what it was; none where it is not, or cannot be.
    renewal: Option<Renewal>,
    /// Calls since it was new or put back.
    uses: u32,
}

impl Warm {
    pub(crate) fn new(store: Store<Sandbox>, instance: Instance, renewal: Option<Renewal>) -> Self {
        Self { store, instance, renewal, uses: 0 }
    }

    fn renew(&mut self) -> bool {
        let once = std::mem::take(&mut self.uses) == 1;
        self.renewal.as_mut().is_some_and(|renewal| renewal.renew(&mut self.store, once))
    }

    /// Whether it can be put back.
    fn is_renewable(&mut self) -> bool {
        // Looking is a call of its own, whatever the last one has left of its budget.
        refill(&mut self.store, Budget::describe());
        self.renewal.as_ref().is_some_and(|renewal| renewal.is_possible(&mut self.store))
    }
}

/// Which instances answer a policy's calls.
#[derive(Clone)]
pub(crate) enum Instances {
    /// Each answers one call.
    Fresh,
    /// They are put back to what they were after each call: every call finds a new one, as far as it can see.
    Renewed(Pool),
    /// They remember what the plugin lets them.
    Reused(Pool),
}

impl Instances {
    /// Of which no call sees anything of another.
    pub(crate) fn separate(gate: Gate) -> Self {
        if renews(gate) { Self::Renewed(Pool::default()) } else { Self::Fresh }
    }

    /// Of which a call may see what others left.
    pub(crate) fn reused() -> Self {
        Self::Reused(Pool::default())
    }

    /// One that waits.
    pub(crate) fn take(&self) -> Option<Warm> {
        match self {
            Self::Fresh => None,
            Self::Renewed(pool) | Self::Reused(pool) => pool.take(),
        }
    }

    /// Keeps an instance whose call went well, as far as it may be called again.
    pub(crate) fn keep(&self, mut warm: Warm) {
        warm.uses += 1;
        match self {
            Self::Fresh => {}
            Self::Renewed(pool) => {
                if warm.is_renewable() && warm.renew() {
                    pool.put(warm);
                }
            }
            Self::Reused(pool) => {
                let again = if warm.uses.is_multiple_of(USES_IN_A_ROW) && warm.is_renewable() {
                    warm.renew()
                } else {
                    warm.uses < USES
                };
                if again {
                    pool.put(warm);
                }
            }
        }
    }

    /// The same, and none waits.
    pub(crate) fn anew(&self) -> Self {
        match self {
            Self::Fresh => Self::Fresh,
            Self::Renewed(_) => Self::Renewed(Pool::default()),
            Self::Reused(_) => Self::reused(),
        }
    }
}

/// The instances of one policy that wait. A clone has the same ones.
#[derive(Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Warm>>>);

impl Pool {
    fn take(&self) -> Option<Warm> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps an instance for the next call, as far as there is room.
    fn put(&self, warm: Warm) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING {
            waiting.push(warm);
        }
    }
}
