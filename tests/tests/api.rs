//! The API as its callers see it, against the real server: every test looks at what a call did, not only at its status.

mod api {
    mod accounts;
    mod admission;
    mod api_keys;
    mod assertions;
    mod audit;
    mod authorization;
    mod bundles;
    mod clients;
    mod commands;
    mod comparisons;
    mod decisions;
    mod device_edit;
    mod device_list;
    mod doctor;
    mod document;
    mod downloads;
    mod enrolment;
    mod errors;
    mod faults;
    mod fuzz;
    mod heartbeats;
    mod idempotency;
    mod kept_login;
    mod login;
    mod memory;
    mod operations;
    mod page;
    mod plugins;
    mod policies;
    mod presentation;
    mod process;
    mod redaction;
    mod refresh;
    mod rivals;
    mod scope;
    mod setup;
    mod telemetry;
    mod tokens;
    mod watching;
    mod world;
}
