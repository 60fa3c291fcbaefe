//! The bundled plugins as components, built from source by the build script.

/// A plugin that comes with the host.
#[derive(Debug, Clone, Copy)]
pub struct BundledPlugin {
    /// Its name, the one in its manifest.
    pub name: &'static str,
    /// The component.
    pub bytes: &'static [u8],
}

/// Authorization by roles.
pub const RBAC: BundledPlugin =
    BundledPlugin { name: "rbac", bytes: include_bytes!(concat!(env!("OUT_DIR"), "/rbac.wasm")) };
/// Targeting by waves.
pub const RINGS: BundledPlugin =
    BundledPlugin { name: "rings", bytes: include_bytes!(concat!(env!("OUT_DIR"), "/rings.wasm")) };
/// Rollback by failure share.
pub const GUARDIAN: BundledPlugin =
    BundledPlugin { name: "guardian", bytes: include_bytes!(concat!(env!("OUT_DIR"), "/guardian.wasm")) };
/// Authorization by the time of the week, and change freezes.
pub const FREEZE: BundledPlugin =
    BundledPlugin { name: "freeze", bytes: include_bytes!(concat!(env!("OUT_DIR"), "/freeze.wasm")) };
/// Authorization by the site of a device.
pub const SITES: BundledPlugin =
    BundledPlugin { name: "sites", bytes: include_bytes!(concat!(env!("OUT_DIR"), "/sites.wasm")) };
/// Authorization by a second person.
pub const FOUR_EYES: BundledPlugin =
    BundledPlugin { name: "four-eyes", bytes: include_bytes!(concat!(env!("OUT_DIR"), "/four-eyes.wasm")) };
/// Targeting by compatibility, in waves.
pub const COMPAT: BundledPlugin =
    BundledPlugin { name: "compat", bytes: include_bytes!(concat!(env!("OUT_DIR"), "/compat.wasm")) };
/// Rollback by a ramp: so many devices a minute.
pub const RAMP: BundledPlugin =
    BundledPlugin { name: "ramp", bytes: include_bytes!(concat!(env!("OUT_DIR"), "/ramp.wasm")) };
/// Rollback by a sequential test of the failure rate.
pub const SEQUENTIAL: BundledPlugin =
    BundledPlugin { name: "sequential", bytes: include_bytes!(concat!(env!("OUT_DIR"), "/sequential.wasm")) };
/// All of them.
pub const ALL: [BundledPlugin; 9] = [RBAC, RINGS, GUARDIAN, FREEZE, SITES, FOUR_EYES, COMPAT, RAMP, SEQUENTIAL];

/// The component of the bundled plugin of this name.
#[must_use]
pub fn component(name: &str) -> Option<&'static [u8]> {
    ALL.into_iter().find(|plugin| plugin.name == name).map(|plugin| plugin.bytes)
}
