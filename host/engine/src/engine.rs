//! What all policies of a process share: the runtimes, the limits, and where native code comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kernex_model::policy::{Fault, Gate};
use wasmtime::Store;

use crate::cache::Cache;
use crate::child::Compiler;
use crate::limits::{Budget, COMPONENT_HANDLES, Limits};
use crate::runtime::Runtime;
use crate::sandbox::Sandbox;
use crate::shelf::Shelf;
use crate::{fault, ticker};

/// Runs plugins. Cheap to clone; there is one per process.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    workshop: Arc<Workshop>,
    /// WebAssembly memory of one instance, in bytes: as the limits say, or less.
    memory_bytes: usize,
}

struct Shared {
    /// Where instances are made for one call.
    pooling: Runtime,
    /// Where they are put back to what they were.
    renewing: Runtime,
    limits: Limits,
    shelf: Shelf,
    /// Instances of the runtime that counts none itself which run now.
    running: AtomicU32,
}

/// One of the instances that may run at once.
pub(crate) struct Turn<'a>(&'a AtomicU32);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where native code comes from. By default this process compiles, and keeps what it made in memory only.
#[derive(Debug, Clone, Default)]
pub(crate) struct Workshop {
    /// What was compiled before.
    pub(crate) cache: Option<Cache>,
    /// The program that compiles in this one's place.
    pub(crate) compiler: Option<Compiler>,
}

/// The engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The runtime does not accept the limits, or the machine cannot reserve the memory.
    #[error("the WebAssembly runtime does not start: {0}")]
    Runtime(String),
    /// The thread that watches deadlines did not start.
    #[error("the thread that watches deadlines does not start")]
    Ticker(#[from] std::io::Error),
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("limits", &self.shared.limits)
            .field("workshop", &self.workshop)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Reserves address space for the instances and starts the thread that watches deadlines.
    ///
    /// # Errors
    ///
    /// [`EngineError`]: the machine is too small for the limits.
    pub fn new(limits: Limits) -> Result<Self, EngineError> {
        let failed = |error: wasmtime::Error| EngineError::Runtime(format!("{error:#}"));
        let pooling = Runtime::pooling(limits).map_err(failed)?;
        let renewing = Runtime::renewing().map_err(failed)?;
        ticker::start([pooling.wasm.weak(), renewing.wasm.weak()])?;
        let shared = Shared { pooling, renewing, limits, shelf: Shelf::default(), running: AtomicU32::new(0) };
        let shared = Arc::new(shared);
        Ok(Self { shared, workshop: Arc::default(), memory_bytes: limits.memory_bytes })
    }

    /// The same engine, which has plugins compiled by that program instead of in this process.
    #[must_use]
    pub fn compiled_by(&self, compiler: Compiler) -> Self {
        let workshop = Workshop { compiler: Some(compiler), ..(*self.workshop).clone() };
        Self { workshop: Arc::new(workshop), ..self.clone() }
    }

    /// The same engine, which keeps native code there and looks for it there.
    #[must_use]
    pub fn cached_in(&self, cache: Cache) -> Self {
        let workshop = Workshop { cache: Some(cache), ..(*self.workshop).clone() };
        Self { workshop: Arc::new(workshop), ..self.clone() }
    }

    /// The same engine, each of whose instances gets at most this much memory.
    pub(crate) fn with_memory_at_most(&self, bytes: usize) -> Self {
        Self { memory_bytes: bytes.min(self.memory_bytes), ..self.clone() }
    }

    /// The limits that hold for every plugin.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.shared.limits
    }

    /// Where plugins are looked at and configured.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.shared.pooling
    }

    /// Where plugins of a gate decide. Every request is a question of authorization: for those, an instance that is put
    /// back is worth its while. A batch of devices needs more memory than an instance begins with.
    pub(crate) fn runtime_of(&self, gate: Gate) -> &Runtime {
        if renews(gate) { &self.shared.renewing } else { &self.shared.pooling }
    }

    /// Lets one more instance run that no pool counts.
    pub(crate) fn turn(&self) -> Result<Turn<'_>, Fault> {
        let turn = Turn(&self.shared.running);
        if self.shared.running.fetch_add(1, Ordering::Relaxed) < self.shared.limits.concurrent_instances {
            return Ok(turn);
        }
        Err(fault::crowded())
    }

    pub(crate) fn workshop(&self) -> &Workshop {
        &self.workshop
    }

    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shared.shelf
    }

    /// A store for one call: nothing of it outlives the call. There are no facts until it is told what there are.
    pub(crate) fn store(&self, runtime: &Runtime, budget: Budget) -> Store<Sandbox> {
        let sandbox = Sandbox::new(self.memory_bytes);
        let mut store = Store::new(&runtime.wasm, sandbox);
        store.limiter(|sandbox| sandbox);
        store.set_hostcall_fuel(budget.hostcall_bytes);
        store.set_max_component_handles(COMPONENT_HANDLES);
        refill(&mut store, budget);
        store
    }
}

/// Whether instances of a gate's plugins are put back to what they were and asked again.
pub(crate) fn renews(gate: Gate) -> bool {
    match gate {
        Gate::Authorization => true,
        Gate::Targeting | Gate::Rollback => false,
    }
}

/// Sets what is left to use, whatever was used before.
pub(crate) fn refill(store: &mut Store<Sandbox>, budget: Budget) {
    store.set_epoch_deadline(budget.deadline_ms);
    // It fails only where fuel is not configured, and `config` configures it.
    let fuelled = store.set_fuel(budget.fuel);
    debug_assert!(fuelled.is_ok(), "fuel is configured");
}
