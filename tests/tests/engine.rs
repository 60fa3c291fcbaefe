//! The policy engine against real components: faults, limits, determinism, and the bundled plugins.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands, its helpers too")]

mod engine {
    mod boundary;
    mod bundled;
    mod by_hand;
    mod compiling;
    mod contract;
    mod determinism;
    mod faults;
    mod fuzz;
    mod generated;
    mod loading;
    mod questions;
    mod renewal;
    mod reuse;
}
