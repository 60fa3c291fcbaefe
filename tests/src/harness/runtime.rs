//! Owns the runtime that every test of a binary shares: its threads have the stack that SurrealDB needs.

use std::future::Future;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

/// Stack of a worker thread, in bytes: SurrealDB's parser and planner recurse deeply.
const STACK_BYTES: usize = 10 * 1024 * 1024;
/// Worker threads for all tests of a binary together.
const WORKERS: usize = 4;

/// Runs a test to its end on the thread of the test. What goes deep (the server, the store) the harness puts
/// onto the runtime's own threads; a test that calls such things itself spawns them.
pub fn run<F: Future>(test: F) -> F::Output {
    runtime().block_on(test)
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
