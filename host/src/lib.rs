//! Owns nothing but the list of the server's parts; `host` puts them together, `cli` is how people reach it.
#![forbid(unsafe_code)]

pub mod app;
pub mod cli;
pub mod config;
pub mod host;
pub mod http;
pub mod signature;
pub mod telemetry;
pub mod worker;
