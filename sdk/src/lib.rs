//! Write policy plugins for Kernex in plain Rust.
//!
//! A plugin is a type that implements [`Plugin`] and the trait of one gate ([`Authorization`],
//! [`Targeting`] or [`Rollback`]), and one macro line that exports it:
//!
//! ```
//! use kernex_sdk::authorization::{Decision, Principal, Request, Visible};
//! use kernex_sdk::{Authorization, Diagnostic, Plugin, Reason};
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     /// The one person who may do anything.
//!     owner: String,
//! }
//!
//! struct OwnerOnly(Settings);
//!
//! impl Plugin for OwnerOnly {
//!     const NAME: &'static str = "owner-only";
//!     const SUMMARY: &'static str = "One person may do everything, others nothing";
//!     type Settings = Settings;
//!
//!     fn configure(settings: Settings) -> Result<Self, Vec<Diagnostic>> {
//!         Ok(Self(settings))
//!     }
//! }
//!
//! impl Authorization for OwnerOnly {
//!     fn check(&self, request: &Request) -> Decision {
//!         if request.principal.id == self.0.owner {
//!             return Decision::Allow;
//!         }
//!         Decision::Deny(Reason::new("not-the-owner", "only the owner may"))
//!     }
//!
//!     fn scope(&self, _: &Principal, _: &str, _: &str) -> Visible {
//!         Visible::All
//!     }
//! }
//!
//! kernex_sdk::export_authorization!(OwnerOnly);
//! ```
//!
//! The settings' JSON Schema is derived from [`Plugin::Settings`]; what [`Plugin::configure`]
//! returns is kept, and every decision starts from it. A plugin sees what it is given,
//! [`facts::get`] and nothing else: no clock, no randomness, no network. All of it can be tested
//! natively, with `cargo test`; [`testing`] has what such tests need.
//!
//! Compiled for `wasm32-unknown-unknown`, a plugin has a stack of 64 KiB and an allocator that
//! frees little: an instance begins anew with every decision, or with every few where its policy asks for that.
#![deny(missing_docs)]

// The bindings name this crate from within and from a plugin by the same path.
extern crate self as kernex_sdk;

#[cfg(target_arch = "wasm32")]
mod allocator;
pub mod authorization;
#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod export;
pub mod facts;
pub mod grants;
pub mod log;
mod plugin;
pub mod pointer;
pub mod rollback;
pub mod selector;
pub mod targeting;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod values;
pub mod words;

pub use authorization::Authorization;
pub use bindings::lifecycle::kernex::policy::types::{
    Diagnostic, Fact, Operator, Reason, Requirement, Selector, Value,
};
pub use plugin::Plugin;
pub use rollback::Rollback;
pub use targeting::Targeting;
pub use values::Facts;
#[doc(hidden)]
pub use wit_bindgen::rt;
