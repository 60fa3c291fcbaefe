//! The policy engine against real components: faults, limits, determinism, and the bundled plugins.

mod engine {
    mod bundled;
    mod determinism;
    mod faults;
    mod loading;
    mod questions;
}
