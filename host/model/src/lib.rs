//! The nouns of Kernex, their state machines and codecs. Pure: no async, no IO, no clock, no randomness.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[macro_use]
pub mod codec;
pub mod comparison;

pub mod action;
pub mod assignment;
pub mod attribute;
pub mod bundle;
pub mod count;
pub mod deployment;
pub mod device;
pub mod digest;
pub mod document;
pub mod id;
pub mod kept;
pub mod name;
pub mod operation;
pub mod pin;
pub mod plan;
pub mod plugin;
pub mod policy;
pub mod principal;
pub mod record;
pub mod redaction;
pub mod report;
pub mod selector;
pub mod signature;
pub mod time;
pub mod trace;
pub mod user;
pub mod wave;
