//! The clock of deadlines: one thread per engine raises its epoch every millisecond.

use std::time::Duration;

use wasmtime::EngineWeak;

/// One epoch.
const TICK: Duration = Duration::from_millis(1);

/// Starts the thread. It ends by itself after the last clone of the engine is gone.
pub(crate) fn start(engine: EngineWeak) -> std::io::Result<()> {
    std::thread::Builder::new().name("policy-epochs".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(TICK);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    })?;
    Ok(())
}
