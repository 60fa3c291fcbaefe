//! Tests of the whole. Here is what they stand on: the harness around the real server.

pub mod harness;
