//! Tests of the whole. Here is what they stand on: the harness around the real server.
#![forbid(unsafe_code)]

pub mod guests;
pub mod harness;
