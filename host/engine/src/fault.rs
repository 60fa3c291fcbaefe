//! From what the runtime reports to a fault.

use kernex_model::policy::Fault;
use wasmtime::{PoolConcurrencyLimitError, Trap};

use crate::sandbox::Sandbox;

/// How much of an error's text a fault keeps, in bytes.
const DETAIL_BYTES: usize = 1_024;

/// The fault behind an error of a call.
pub(crate) fn of_call(error: &wasmtime::Error, sandbox: &Sandbox) -> Fault {
    if sandbox.memory_refused {
        return Fault::OutOfMemory("it asked for more than its limit".to_owned());
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return match trap {
            Trap::OutOfFuel => Fault::OutOfFuel("it executed more than its gate allows".to_owned()),
            Trap::Interrupt => Fault::DeadlineExceeded("it was stopped by the clock".to_owned()),
            // The runtime's enum is open; every other trap is the plugin's own.
            trap => Fault::Trapped(trap.to_string()),
        };
    }
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return crowded();
    }
    // What is left is a result that cannot be read: a pointer outside of memory, a text that is no
    // UTF-8, an unknown case, or more bytes than may cross.
    Fault::BadOutput(shortened(error))
}

/// The fault behind an error of loading.
pub(crate) fn of_loading(error: &wasmtime::Error) -> Fault {
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return crowded();
    }
    Fault::Incompatible(shortened(error))
}

/// The fault where there is no room for another instance.
pub(crate) fn crowded() -> Fault {
    Fault::Unavailable("too many plugins run at the same time".to_owned())
}

fn shortened(error: &wasmtime::Error) -> String {
    let mut text = format!("{error:#}");
    text.truncate(text.floor_char_boundary(DETAIL_BYTES));
    text
}
