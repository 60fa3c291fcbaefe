//! Looking at a component before it is trusted with anything.

use kernex_model::policy::{Fault, Gate, Manifest};

use crate::compile::{self, Surface};
use crate::engine::Engine;
use crate::limits::Budget;
use crate::{fault, v1};

/// What a component is and wants.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Inspection {
    /// SHA-256 of the bytes, in lower case hex: the plugin's identity.
    pub digest: String,
    /// The gates that it can serve; at least one.
    pub gates: Vec<Gate>,
    /// What it imports, by full name: all that it can touch.
    pub imports: Vec<String>,
    /// What it exports, by full name.
    pub exports: Vec<String>,
    /// What it says about itself.
    pub manifest: Manifest,
}

impl Engine {
    /// Compiles a component, checks its imports and asks it to describe itself. Blocks for as long
    /// as compiling takes: hundreds of milliseconds.
    ///
    /// # Errors
    ///
    /// [`Fault::Incompatible`] where it is no component, imports what no plugin may, or serves no
    /// gate; any other fault where `describe` fails.
    pub fn inspect(&self, bytes: &[u8]) -> Result<Inspection, Fault> {
        compile::admit(self, bytes)?;
        match &self.workshop().compiler {
            Some(compiler) => compiler.inspect(bytes),
            None => self.inspected(bytes),
        }
    }

    /// Inspects a component that comes with this program: in this process, and once.
    ///
    /// # Errors
    ///
    /// As [`Engine::inspect`].
    pub fn inspect_trusted(&self, bytes: &[u8]) -> Result<Inspection, Fault> {
        compile::admit(self, bytes)?;
        let digest = compile::digest(bytes);
        self.shelf().inspected_once(&digest, || self.inspected(bytes))
    }

    /// Inspects in this process.
    pub(crate) fn inspected(&self, bytes: &[u8]) -> Result<Inspection, Fault> {
        let component = compile::compile(self, bytes)?;
        let surface = Surface::of(self, &component);
        let refused = surface.refused();
        if !refused.is_empty() {
            let refused = refused.join(", ");
            return Err(Fault::Incompatible(format!("no plugin may import {refused}")));
        }
        if surface.gates.is_empty() {
            return Err(Fault::Incompatible("it serves none of the gates".to_owned()));
        }
        let pre = self.runtime().linker.instantiate_pre(&component).map_err(|error| fault::of_loading(&error))?;
        let lifecycle = v1::lifecycle::Indices::new(&pre).map_err(|error| fault::of_loading(&error))?;
        let mut store = self.store(self.runtime(), Budget::describe());
        let described = pre
            .instantiate(&mut store)
            .and_then(|instance| lifecycle.load(&mut store, &instance)?.call_describe(&mut store));
        let manifest = match described {
            Ok(manifest) => v1::lifecycle::manifest(manifest)?,
            Err(error) => return Err(fault::of_call(&error, store.data())),
        };
        let Surface { gates, imports, exports } = surface;
        Ok(Inspection { digest: compile::digest(bytes), gates, imports, exports, manifest })
    }
}
