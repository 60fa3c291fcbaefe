//! Owns the runtime that every test of a binary shares: its threads have the stack that SurrealDB needs.

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

/// Stack of a worker thread, in bytes: SurrealDB's parser and planner recurse deeply.
const STACK_BYTES: usize = 10 * 1024 * 1024;
/// Worker threads for all tests of a binary together.
const WORKERS: usize = 4;

/// Runs a test to its end, on the runtime's own threads. A panic in it is the caller's.
pub fn run<F>(test: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let runtime = runtime();
    match runtime.block_on(runtime.spawn(test)) {
        Ok(output) => output,
        Err(error) => resume_unwind(error.into_panic()),
    }
}

/// One for the whole process: it is never dropped, so that nothing waits for it at the end.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .expect("threads for the tests")
    })
}
