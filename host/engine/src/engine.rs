//! The process's one runtime: how it compiles and allocates, and the stores it makes.

use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OperatorCost, PoolingAllocationConfig, Store};

use crate::cache::Cache;
use crate::child::Compiler;
use crate::limits::{
    Budget, COMPONENT_HANDLES, CORE_INSTANCES, KEEP_RESIDENT_BYTES, KEEP_RESIDENT_TABLE_BYTES, Limits, MEMORIES,
    STACK_BYTES, TABLE_ELEMENTS, TABLES,
};
use crate::sandbox::Sandbox;
use crate::shelf::Shelf;
use crate::{ticker, v1};

/// Fuel per WebAssembly page that memory grows by.
const PAGE_FUEL: u8 = 255;
/// Core instances that a component has usually: its module and two adapters, with one to spare.
const USUAL_CORE_INSTANCES: u32 = 4;

/// Runs plugins. Cheap to clone; there is one runtime per process.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    workshop: Arc<Workshop>,
    /// WebAssembly memory of one instance, in bytes: as the limits say, or less.
    memory_bytes: usize,
}

struct Shared {
    runtime: wasmtime::Engine,
    linker: Linker<Sandbox>,
    limits: Limits,
    shelf: Shelf,
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
        let runtime = wasmtime::Engine::new(&config(limits)).map_err(failed)?;
        let mut linker = Linker::new(&runtime);
        v1::EveryGate::add_to_linker::<_, HasSelf<_>>(&mut linker, |sandbox| sandbox).map_err(failed)?;
        ticker::start(runtime.weak())?;
        let shared = Arc::new(Shared { runtime, linker, limits, shelf: Shelf::default() });
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

    pub(crate) fn runtime(&self) -> &wasmtime::Engine {
        &self.shared.runtime
    }

    pub(crate) fn linker(&self) -> &Linker<Sandbox> {
        &self.shared.linker
    }

    pub(crate) fn workshop(&self) -> &Workshop {
        &self.workshop
    }

    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shared.shelf
    }

    /// A store for one call: nothing of it outlives the call. There are no facts until it is told what there are.
    pub(crate) fn store(&self, budget: Budget) -> Store<Sandbox> {
        let sandbox = Sandbox::new(self.memory_bytes);
        let mut store = Store::new(&self.shared.runtime, sandbox);
        store.limiter(|sandbox| sandbox);
        store.set_hostcall_fuel(budget.hostcall_bytes);
        store.set_max_component_handles(COMPONENT_HANDLES);
        refill(&mut store, budget);
        store
    }
}

/// Sets what is left to use, whatever was used before.
pub(crate) fn refill(store: &mut Store<Sandbox>, budget: Budget) {
    store.set_epoch_deadline(budget.deadline_ms);
    // It fails only where fuel is not configured, and `config` configures it.
    let fuelled = store.set_fuel(budget.fuel);
    debug_assert!(fuelled.is_ok(), "fuel is configured");
}

fn config(limits: Limits) -> Config {
    let mut pool = PoolingAllocationConfig::default();
    let instances = limits.concurrent_instances;
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(USUAL_CORE_INSTANCES))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(USUAL_CORE_INSTANCES))
        // For asynchronous calls, of which there are none; the default reserves 2 GiB for them.
        .total_stacks(1)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(limits.memory_bytes)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_TABLE_BYTES)
        .pagemap_scan(Enabled::Auto);

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .wasm_component_model(true)
        // What no plugin needs is not there to be attacked: threads and exceptions are not even compiled in.
        .wasm_memory64(false)
        .wasm_gc(false)
        .concurrency_support(false)
        .consume_fuel(true)
        .operator_cost(operator_cost())
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .max_wasm_stack(STACK_BYTES)
        .wasm_backtrace_max_frames(None);
    config
}

/// Bulk operations cost by what they move: otherwise one instruction could keep the host busy for
/// milliseconds.
fn operator_cost() -> OperatorCost {
    let mut cost = OperatorCost::new();
    cost.variable.memory_copy_per_byte = 1;
    cost.variable.memory_fill_per_byte = 1;
    cost.variable.memory_init_per_byte = 1;
    cost.variable.memory_grow_per_page = PAGE_FUEL;
    cost.variable.table_copy_per_element = 1;
    cost.variable.table_fill_per_element = 1;
    cost.variable.table_init_per_element = 1;
    cost.variable.table_grow_per_element = 1;
    cost
}
