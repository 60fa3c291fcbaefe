//! The clock of deadlines: one thread raises the runtimes' epochs every millisecond.

use std::time::Duration;

use wasmtime::EngineWeak;

/// One epoch.
const TICK: Duration = Duration::from_millis(1);

/// Starts the thread, for runtimes that belong together. It ends by itself after the last clone of one of them is gone.
pub(crate) fn start<const RUNTIMES: usize>(runtimes: [EngineWeak; RUNTIMES]) -> std::io::Result<()> {
    std::thread::Builder::new().name("policy-epochs".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(TICK);
            for runtime in &runtimes {
                match runtime.upgrade() {
                    Some(runtime) => runtime.increment_epoch(),
                    None => return,
                }
            }
        }
    })?;
    Ok(())
}
