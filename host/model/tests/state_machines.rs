//! Properties of the state machines: whatever happens, in whatever order, these hold.

mod state_machines {
    mod assignment;
    mod deployment;
    mod execution;
    mod sample;
}
