//! How the WebAssembly runtime is set up, twice: once for instances that are made for one call, and once for instances
//! that are put back to what they were.

use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OperatorCost, PoolingAllocationConfig};

use crate::limits::{
    CORE_INSTANCES, KEEP_RESIDENT_BYTES, KEEP_RESIDENT_TABLE_BYTES, Limits, MEMORIES, STACK_BYTES, TABLE_ELEMENTS,
    TABLES,
};
use crate::renewal::Memories;
use crate::sandbox::Sandbox;
use crate::v1;

/// Fuel per WebAssembly page that memory grows by.
const PAGE_FUEL: u8 = 255;
/// Core instances that a component has usually: its module and two adapters, with one to spare.
const USUAL_CORE_INSTANCES: u32 = 4;

/// A runtime, and what plugins find in it.
pub(crate) struct Runtime {
    pub(crate) wasm: wasmtime::Engine,
    pub(crate) linker: Linker<Sandbox>,
}

impl Runtime {
    /// Reserves room for the instances: making one is cheap, and so is throwing it away.
    pub(crate) fn pooling(limits: Limits) -> wasmtime::Result<Self> {
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
        let mut config = config();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        Self::new(&config)
    }

    /// Instances are made on demand, on memories that [`Renewal`](crate::renewal::Renewal) knows.
    pub(crate) fn renewing() -> wasmtime::Result<Self> {
        let mut config = config();
        config
            .allocation_strategy(InstanceAllocationStrategy::OnDemand)
            .with_host_memory(Arc::new(Memories))
            // What a memory begins with is mapped into those of the runtime only.
            .memory_init_cow(false);
        Self::new(&config)
    }

    fn new(config: &Config) -> wasmtime::Result<Self> {
        let wasm = wasmtime::Engine::new(config)?;
        let mut linker = Linker::new(&wasm);
        v1::EveryGate::add_to_linker::<_, HasSelf<_>>(&mut linker, |sandbox| sandbox)?;
        Ok(Self { wasm, linker })
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
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
