//! Fleets over HTTP: simulated devices against the real server, from the first offer to the way back.

mod fleet {
    mod approval;
    mod attempts;
    mod bad_bundle;
    mod commander;
    mod configs;
    mod contention;
    mod control;
    mod device_rollback;
    mod explained;
    mod membership;
    mod pinned;
    mod planning;
    mod refusals;
    mod replayed;
    mod restart;
    mod shadowed;
    mod soak;
    mod squad;
    mod watch;
    mod waves;
}
