//! What a plugin may use. Fuel is deterministic: about one unit per instruction, or per byte that
//! is moved in bulk. Deadlines are the backstop, generous because they depend on the machine.

/// WebAssembly memory of one instance, in bytes.
const MEMORY_BYTES: usize = 16 << 20;
/// Instances that may run at the same time; more are refused, not queued.
const CONCURRENT_INSTANCES: u32 = 128;
/// Size of a component, in bytes. A JavaScript plugin with its interpreter has 1.6 MB.
const COMPONENT_BYTES: usize = 8 << 20;
/// Size of a policy's settings, in bytes of JSON.
const SETTINGS_BYTES: usize = 256 << 10;
/// Bytes that a plugin may hand to the host in one call.
const HOSTCALL_BYTES: usize = 1 << 20;
/// Bytes that a plugin may hand to the host for each device that it classifies, on top.
const HOSTCALL_BYTES_PER_DEVICE: usize = 16;
/// Bytes of memory that may be copied out of an instance for its snapshot: all of it, and globals.
pub(crate) const SNAPSHOT_HOSTCALL_BYTES: usize = 2 * MEMORY_BYTES;
/// Component handles of one instance: the contract has no resources, and a plugin's own would be a place to keep things.
pub(crate) const COMPONENT_HANDLES: usize = 0;
/// WebAssembly's call stack, in bytes. The plugin's own stack is part of its memory.
pub(crate) const STACK_BYTES: usize = 256 << 10;
/// How much of an instance's memory stays mapped for the next one, in bytes: what a batch of devices needs. Only what was
/// written to is put back, where the kernel can tell.
pub(crate) const KEEP_RESIDENT_BYTES: usize = 512 << 10;
/// How much of an instance's tables stays mapped for the next one, in bytes.
pub(crate) const KEEP_RESIDENT_TABLE_BYTES: usize = 64 << 10;
/// Core instances in one component: a module, the adapters around it, and the snapshot's accessor.
pub(crate) const CORE_INSTANCES: u32 = 12;
/// Memories in one component.
pub(crate) const MEMORIES: u32 = 2;
/// Tables in one component.
pub(crate) const TABLES: u32 = 8;
/// Elements in one table.
pub(crate) const TABLE_ELEMENTS: usize = 20_000;

/// Fuel for answering one call of `check`, `scope` or `permit`.
const QUESTION_FUEL: u64 = 5_000_000;
/// Fuel for each further question of one `check`.
const FURTHER_QUESTION_FUEL: u64 = 100_000;
/// Fuel for one `survey` or `judge`.
const VERDICT_FUEL: u64 = 20_000_000;
/// Fuel for each device that is classified, on top of a verdict's.
const DEVICE_FUEL: u64 = 20_000;
/// Fuel for one `describe`.
const DESCRIBE_FUEL: u64 = 100_000_000;
/// Fuel for one `configure`.
const CONFIGURE_FUEL: u64 = 2_000_000_000;
/// Fuel for copying a snapshot out of an instance, one short call per global and memory.
pub(crate) const SNAPSHOT_FUEL: u64 = 10_000_000;

/// Deadline of a question, in milliseconds.
const QUESTION_DEADLINE_MS: u64 = 500;
/// Deadline of a verdict, in milliseconds.
const VERDICT_DEADLINE_MS: u64 = 2_000;
/// How many devices add a millisecond to the deadline of a `classify`.
const DEVICES_PER_MS: u64 = 50;
/// Deadline of `describe`, in milliseconds.
const DESCRIBE_DEADLINE_MS: u64 = 5_000;
/// Deadline of `configure` and of its snapshot, in milliseconds.
pub(crate) const CONFIGURE_DEADLINE_MS: u64 = 20_000;

/// Limits that hold for every plugin of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// WebAssembly memory of one instance, in bytes.
    pub memory_bytes: usize,
    /// Instances that may run at the same time; more are refused, not queued.
    pub concurrent_instances: u32,
    /// Size of a component, in bytes.
    pub component_bytes: usize,
    /// Size of a policy's settings, in bytes of JSON.
    pub settings_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: MEMORY_BYTES,
            concurrent_instances: CONCURRENT_INSTANCES,
            component_bytes: COMPONENT_BYTES,
            settings_bytes: SETTINGS_BYTES,
        }
    }
}

/// What one call may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) fuel: u64,
    pub(crate) deadline_ms: u64,
    pub(crate) hostcall_bytes: usize,
}

impl Budget {
    pub(crate) fn questions(count: usize) -> Self {
        let further = FURTHER_QUESTION_FUEL.saturating_mul(as_u64(count.saturating_sub(1)));
        Self {
            fuel: QUESTION_FUEL.saturating_add(further),
            deadline_ms: QUESTION_DEADLINE_MS,
            hostcall_bytes: HOSTCALL_BYTES,
        }
    }

    pub(crate) fn verdict() -> Self {
        Self { fuel: VERDICT_FUEL, deadline_ms: VERDICT_DEADLINE_MS, hostcall_bytes: HOSTCALL_BYTES }
    }

    pub(crate) fn devices(count: usize) -> Self {
        let devices = as_u64(count);
        Self {
            fuel: VERDICT_FUEL.saturating_add(DEVICE_FUEL.saturating_mul(devices)),
            deadline_ms: VERDICT_DEADLINE_MS + devices / DEVICES_PER_MS,
            hostcall_bytes: count.saturating_mul(HOSTCALL_BYTES_PER_DEVICE).saturating_add(HOSTCALL_BYTES),
        }
    }

    pub(crate) fn describe() -> Self {
        Self { fuel: DESCRIBE_FUEL, deadline_ms: DESCRIBE_DEADLINE_MS, hostcall_bytes: HOSTCALL_BYTES }
    }

    pub(crate) fn configure() -> Self {
        Self { fuel: CONFIGURE_FUEL, deadline_ms: CONFIGURE_DEADLINE_MS, hostcall_bytes: HOSTCALL_BYTES }
    }
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
