//! Native code: made by the compiler, taken up without being checked again. What makes a [`Native`] vouches for it.
#![expect(unsafe_code, reason = "the runtime takes native code on trust")]

use std::hash::{DefaultHasher, Hash, Hasher};

use kernex_model::policy::Fault;
use wasmtime::component::Component;

use crate::compile::guarded;
use crate::fault;
use crate::runtime::Runtime;

/// Code that this program compiled: here, in a child process, or in an earlier run and kept under a MAC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Native(Vec<u8>);

impl Native {
    /// Compiles a component.
    pub(crate) fn compile(runtime: &Runtime, component: &[u8]) -> Result<Self, Fault> {
        let made = || runtime.wasm.precompile_component(component).map_err(|error| fault::of_loading(&error));
        guarded(made).map(Self)
    }

    /// Takes bytes for native code. To be called with what [`Native::bytes`] gave, in this program or one with the
    /// same compiler, and nobody could have changed since.
    pub(crate) fn vouched_for(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The component, ready to be instantiated. What another version of the runtime or another machine compiled is
    /// refused.
    pub(crate) fn load(&self, runtime: &Runtime) -> Result<Component, Fault> {
        // SAFETY: `deserialize` must be given what `precompile_component` made. The three places that make a `Native`
        // see to it: `compile` above; `child`, which reads it from a process of this very program over a pipe that
        // nobody else has; and `cache`, which checks a MAC whose key only hosts of this database have. That it fits
        // this runtime (version, settings, processor) is checked by `deserialize` itself.
        unsafe { Component::deserialize(&runtime.wasm, &self.0) }.map_err(|error| fault::of_loading(&error))
    }
}

/// What is done with a component before it is compiled, and what is refused: to be raised where that changes, so that
/// native code from before is not taken up.
const PREPARATION: u32 = 2;

/// What native code depends on beside its source: the runtime's version and settings, and this machine's processor.
pub(crate) fn compatibility(runtime: &Runtime) -> u64 {
    let mut hasher = DefaultHasher::new();
    runtime.wasm.precompile_compatibility_hash().hash(&mut hasher);
    std::env::consts::ARCH.hash(&mut hasher);
    PREPARATION.hash(&mut hasher);
    hasher.finish()
}
