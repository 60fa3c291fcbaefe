//! From bytes to native code, and what a component imports and exports.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kernex_model::policy::{Fault, Gate};
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::engine::Engine;
use crate::fault;

/// Package of the contract, before the interface's name.
const PACKAGE: &str = "kernex:policy/";
/// Major version of the contract, after the interface's name.
const MAJOR: &str = "@1.";
/// Interfaces that a plugin may import.
const IMPORTS: [&str; 3] = ["types", "facts", "log"];

/// Imports and exports of a component.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Surface {
    pub(crate) gates: Vec<Gate>,
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

impl Surface {
    pub(crate) fn of(engine: &Engine, component: &Component) -> Self {
        let kind = component.component_type();
        let imports = kind.imports(&engine.runtime().wasm).map(|(name, _)| name.to_owned()).collect();
        let exports: Vec<String> = kind.exports(&engine.runtime().wasm).map(|(name, _)| name.to_owned()).collect();
        let serves = |gate: &Gate| exports.iter().any(|name| interface(name) == Some(gate.as_str()));
        Self { gates: Gate::ALL.into_iter().filter(serves).collect(), imports, exports }
    }

    /// The imports that no plugin may have.
    pub(crate) fn refused(&self) -> Vec<String> {
        let allowed = |name: &&String| interface(name).is_some_and(|name| IMPORTS.contains(&name));
        self.imports.iter().filter(|name| !allowed(name)).cloned().collect()
    }
}

/// The contract's interface that a full name such as `kernex:policy/facts@1.0.0` stands for.
fn interface(name: &str) -> Option<&str> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
    format!("@{version}").starts_with(MAJOR).then_some(interface)
}

/// SHA-256 of the bytes, in lower case hex.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Whether the bytes can be a component at all: neither too long nor something else.
pub(crate) fn admit(engine: &Engine, bytes: &[u8]) -> Result<(), Fault> {
    let limit = engine.limits().component_bytes;
    if bytes.len() > limit {
        let size = bytes.len();
        return Err(Fault::Incompatible(format!("{size} bytes are more than the {limit} allowed")));
    }
    // The third number tells a component (0x0d, layer 1) from a core module (1, layer 0).
    match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => Ok(()),
        Some(b"\0asm\x01\0\0\0") => Err(Fault::Incompatible("it is a core module; wrap it as a component".to_owned())),
        Some(_) | None => Err(Fault::Incompatible("it is no WebAssembly component".to_owned())),
    }
}

/// Compiles a component.
pub(crate) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component, Fault> {
    guarded(|| Component::from_binary(&engine.runtime().wasm, bytes).map_err(|error| fault::of_loading(&error)))
}

/// Runs code that reads a stranger's bytes: where it panics, the bytes are at fault.
pub(crate) fn guarded<T>(read: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(Fault::Incompatible("it uses something that cannot be prepared".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_contract_may_be_imported() {
        let surface = |imports: &[&str]| Surface {
            imports: imports.iter().map(ToString::to_string).collect(),
            ..Surface::default()
        };
        let fine = surface(&["kernex:policy/types@1.0.0", "kernex:policy/facts@1.2.0"]);
        assert!(fine.refused().is_empty());
        let names = [
            "wasi:clocks/wall-clock@0.2.0",
            "kernex:policy/facts@2.0.0",
            "kernex:policy/lifecycle@1.0.0",
            "kernex:policy/facts",
            "facts",
        ];
        assert_eq!(surface(&names).refused(), names);
    }
}
