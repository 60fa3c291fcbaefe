//! Instances that answer more than once, for policies that ask for it: starting one costs more than a short answer.

use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::Store;
use wasmtime::component::Instance;

use crate::sandbox::Sandbox;

/// Instances that wait for a call, at most: about as many as there are threads.
const WAITING: usize = 8;
/// Calls that one instance answers: what a plugin keeps by mistake, memory first of all, does not grow without end.
const USES: u32 = 256;

/// An instance between two calls.
pub(crate) struct Warm {
    pub(crate) store: Store<Sandbox>,
    pub(crate) instance: Instance,
    uses: u32,
}

impl Warm {
    pub(crate) fn new(store: Store<Sandbox>, instance: Instance) -> Self {
        Self { store, instance, uses: 0 }
    }
}

/// The instances of one policy that wait. A clone has the same ones.
#[derive(Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Warm>>>);

impl Pool {
    pub(crate) fn take(&self) -> Option<Warm> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps an instance whose call went well; one that failed in any way must not come here.
    pub(crate) fn put(&self, mut warm: Warm) {
        warm.uses += 1;
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if warm.uses < USES && waiting.len() < WAITING {
            waiting.push(warm);
        }
    }
}
