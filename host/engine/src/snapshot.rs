//! Taking a configured instance's memory and globals out, so that decisions start from them.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use kernex_model::policy::Fault;
use wasmtime::Store;
use wasmtime::component::{ComponentNamedList, Instance, Lift, WasmList};
use wasmtime_wizer::{ComponentContext, ComponentInstanceState, Wizer};

use crate::compile::guarded;
use crate::engine::refill;
use crate::fault;
use crate::limits::{Budget, CONFIGURE_DEADLINE_MS, SNAPSHOT_FUEL, SNAPSHOT_HOSTCALL_BYTES};
use crate::sandbox::Sandbox;

/// The component with the instance's state in place of its own initial state.
pub(crate) fn take(
    wizer: &Wizer,
    context: &ComponentContext<'_>,
    mut store: Store<Sandbox>,
    instance: Instance,
) -> Result<Vec<u8>, Fault> {
    store.set_hostcall_fuel(SNAPSHOT_HOSTCALL_BYTES);
    refill(
        &mut store,
        Budget { fuel: SNAPSHOT_FUEL, deadline_ms: CONFIGURE_DEADLINE_MS, hostcall_bytes: SNAPSHOT_HOSTCALL_BYTES },
    );
    let mut reader = Reader { store, instance, failed: None };
    let taken = guarded(|| {
        finished(wizer.snapshot_component(context, &mut reader))
            .ok_or_else(|| Fault::Incompatible("its state could not be read".to_owned()))?
            .map_err(|error| fault::of_loading(&error))
    });
    match reader.failed {
        Some(error) => Err(fault::of_call(&error, reader.store.data())),
        None => taken,
    }
}

/// The result of a future that waits for nothing, as those over [`Reader`] do.
fn finished<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Reads an instance's state by the functions that instrumentation has added to it.
struct Reader {
    store: Store<Sandbox>,
    instance: Instance,
    /// The first error: the trait that asks for the state has no place for one.
    failed: Option<wasmtime::Error>,
}

impl Reader {
    fn read<R>(&mut self, instance: &str, function: &str) -> Option<R>
    where
        R: Lift + 'static,
        (R,): ComponentNamedList,
    {
        match self.call(instance, function) {
            Ok((value,)) => Some(value),
            Err(error) => {
                self.failed.get_or_insert(error);
                None
            }
        }
    }

    fn call<R>(&mut self, instance: &str, function: &str) -> wasmtime::Result<R>
    where
        R: ComponentNamedList + Lift + 'static,
    {
        let missing = || wasmtime::format_err!("the accessor `{function}` is missing");
        let (_, exported) = self.instance.get_export(&mut self.store, None, instance).ok_or_else(missing)?;
        let (_, exported) = self.instance.get_export(&mut self.store, Some(&exported), function).ok_or_else(missing)?;
        let function = self.instance.get_typed_func::<(), R>(&mut self.store, exported)?;
        function.call(&mut self.store, ())
    }
}

impl ComponentInstanceState for Reader {
    async fn call_func_ret_list_u8(&mut self, instance: &str, function: &str, contents: impl FnOnce(&[u8]) + Send) {
        match self.read::<WasmList<u8>>(instance, function) {
            Some(list) => contents(list.as_le_slice(&self.store)),
            None => contents(&[]),
        }
    }

    async fn call_func_ret_s32(&mut self, instance: &str, function: &str) -> i32 {
        self.read(instance, function).unwrap_or_default()
    }

    async fn call_func_ret_s64(&mut self, instance: &str, function: &str) -> i64 {
        self.read(instance, function).unwrap_or_default()
    }

    async fn call_func_ret_f32(&mut self, instance: &str, function: &str) -> u32 {
        self.read::<f32>(instance, function).unwrap_or_default().to_bits()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, function: &str) -> u64 {
        self.read::<f64>(instance, function).unwrap_or_default().to_bits()
    }
}
