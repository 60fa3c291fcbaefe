//! Owns the areas that the documentation sorts operations into.

use poem_openapi::Tags;

/// An area of the API.
#[derive(Debug, Clone, Copy, Tags)]
pub enum Tag {
    /// Logging in and out, passwords, sessions.
    Auth,
    /// Accounts.
    Users,
    /// Keys of services.
    #[oai(rename = "API keys")]
    ApiKeys,
    /// Devices, as operators see them.
    Devices,
    /// What devices call.
    Device,
    /// Immutable content for devices.
    Bundles,
    /// Configs of devices.
    Configs,
    /// Bringing bundles and configs to devices, in waves.
    Deployments,
    /// Policies and their plugins.
    Policies,
    /// What policies decided.
    Decisions,
    /// Who did what.
    Audit,
    /// Whether the server is well.
    Operating,
}
