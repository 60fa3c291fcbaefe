//! Owns the process: its allocator, its runtime and its exit code. All else is in the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

/// How long the end waits for what computes without being able to stop, such as a start that was given up.
const PATIENCE: Duration = Duration::from_secs(2);

/// glibc's allocator keeps what RocksDB frees; this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = kernex::cli::Cli::parse();
    let runtime = match kernex::host::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("kernex: cannot start its threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    // Spawned, because only the runtime's own threads have the stack that SurrealDB needs.
    let outcome = runtime.block_on(async { tokio::spawn(kernex::cli::run(cli)).await });
    let code = match outcome {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("kernex: {error}");
            ExitCode::from(error.exit_code())
        }
        Err(_) => ExitCode::FAILURE,
    };
    runtime.shutdown_timeout(PATIENCE);
    code
}
