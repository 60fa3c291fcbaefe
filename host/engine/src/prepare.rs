//! Making a policy of a plugin and its settings: configure, snapshot, compile.

use std::sync::Arc;

use kernex_model::policy::{Diagnostic, Fault, Gate};
use wasmtime_wizer::Wizer;

use crate::compile::{self, Surface};
use crate::engine::{Engine, Workshop, renews};
use crate::instances::Instances;
use crate::limits::Budget;
use crate::native::{self, Native};
use crate::policy::{Exports, Policy, Prepared};
use crate::renewal::{self, Beginning};
use crate::shelf::{Compiled, Label};
use crate::{fault, snapshot, v1};

/// Why there is no policy.
#[derive(Debug, Clone, PartialEq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrepareError {
    /// The plugin imports what no plugin may.
    #[error("no plugin may import {}", imports.join(", "))]
    Refused {
        /// Full names of the imports.
        imports: Vec<String>,
    },
    /// The plugin does not serve the gate.
    #[error("the plugin does not serve the {wanted} gate")]
    WrongGate {
        /// The gate that was asked for.
        wanted: Gate,
        /// The gates that it serves.
        serves: Vec<Gate>,
    },
    /// The settings are wrong.
    #[error("the settings are wrong: {}", listed(.0))]
    Settings(Vec<Diagnostic>),
    /// The plugin failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

fn listed(diagnostics: &[Diagnostic]) -> String {
    let lines = diagnostics.iter().map(|diagnostic| {
        let place = if diagnostic.pointer.is_empty() { "(all)" } else { &diagnostic.pointer };
        format!("{place}: {}", diagnostic.message)
    });
    lines.collect::<Vec<_>>().join("; ")
}

impl Engine {
    /// Configures a plugin with settings (the text of a JSON document), snapshots it and compiles
    /// the snapshot. Blocks for as long as compiling takes: hundreds of milliseconds, unless the same
    /// was prepared lately or its native code is cached.
    ///
    /// # Errors
    ///
    /// [`PrepareError`].
    pub fn prepare(&self, bytes: &[u8], gate: Gate, settings: &str) -> Result<Policy, PrepareError> {
        compile::admit(self, bytes)?;
        self.admit_settings(settings)?;
        let label = Label {
            plugin_digest: compile::digest(bytes),
            settings_digest: compile::digest(settings.as_bytes()),
            gate,
        };
        let compiled = match self.shelf().find(&label) {
            Some(compiled) => compiled,
            None => {
                let compiled = Arc::new(self.compiled(bytes, &label, settings)?);
                self.shelf().keep(label.clone(), compiled.clone());
                compiled
            }
        };
        Ok(Policy::new(Prepared {
            engine: self.clone(),
            label,
            compiled,
            instances: Instances::separate(gate),
            fuel_at_most: u64::MAX,
            deadline_at_most_ms: u64::MAX,
        }))
    }

    /// From the cache, or compiled and then cached.
    fn compiled(&self, bytes: &[u8], label: &Label, settings: &str) -> Result<Compiled, PrepareError> {
        let Workshop { cache, compiler } = self.workshop();
        let name = label.file_name(native::compatibility(self.runtime_of(label.gate)));
        if let Some(found) = cache.as_ref().and_then(|cache| cache.find(&name)) {
            match self.ready(&found, label.gate) {
                Ok(compiled) => return Ok(compiled),
                Err(fault) => tracing::warn!(%fault, "cached native code does not load; compiling it again"),
            }
        }
        let native = match compiler {
            Some(compiler) => compiler.prepare(bytes, label.gate, settings)?,
            None => self.native(bytes, label.gate, settings)?,
        };
        if let Some(cache) = cache {
            cache.keep(&name, &native);
        }
        Ok(self.ready(&native, label.gate)?)
    }

    /// Native code of the configured plugin, made in this process.
    pub(crate) fn native(&self, bytes: &[u8], gate: Gate, settings: &str) -> Result<Native, PrepareError> {
        compile::admit(self, bytes)?;
        self.admit_settings(settings)?;
        let mut component = self.configured(bytes, gate, settings)?;
        if renews(gate) {
            component = renewal::instrumented(&component)?;
        }
        Ok(Native::compile(self.runtime_of(gate), &component)?)
    }

    /// Links native code and finds the gate's functions in it.
    fn ready(&self, native: &Native, gate: Gate) -> Result<Compiled, Fault> {
        let runtime = self.runtime_of(gate);
        let component = native.load(runtime)?;
        let pre = runtime.linker.instantiate_pre(&component).map_err(|error| fault::of_loading(&error))?;
        let mut store = self.store(runtime, Budget::describe());
        let exports = pre
            .instantiate(&mut store)
            .and_then(|instance| Exports::find(&mut store, &instance, gate))
            .map_err(|error| fault::of_loading(&error))?;
        let beginning = if renews(gate) { Beginning::of(&component, &runtime.wasm) } else { Beginning::default() };
        Ok(Compiled { pre, exports, beginning })
    }

    fn admit_settings(&self, settings: &str) -> Result<(), PrepareError> {
        let limit = self.limits().settings_bytes;
        let wrong = |message: String| Err(PrepareError::Settings(vec![Diagnostic { pointer: String::new(), message }]));
        if settings.len() > limit {
            return wrong(format!("{} bytes are more than the {limit} allowed", settings.len()));
        }
        match serde_json::from_str::<serde::de::IgnoredAny>(settings) {
            Ok(_) => Ok(()),
            Err(error) => wrong(format!("this is no JSON: {error}")),
        }
    }

    /// The component as it is after `configure`.
    fn configured(&self, bytes: &[u8], gate: Gate, settings: &str) -> Result<Vec<u8>, PrepareError> {
        let wizer = Wizer::new();
        let (context, instrumented) =
            compile::guarded(|| wizer.instrument_component(bytes).map_err(|error| fault::of_loading(&error)))?;
        let component = compile::compile(self, &instrumented)?;
        let surface = Surface::of(self, &component);
        let refused = surface.refused();
        if !refused.is_empty() {
            return Err(PrepareError::Refused { imports: refused });
        }
        if !surface.gates.contains(&gate) {
            return Err(PrepareError::WrongGate { wanted: gate, serves: surface.gates });
        }
        let pre = self.runtime().linker.instantiate_pre(&component).map_err(|error| fault::of_loading(&error))?;
        let lifecycle = v1::lifecycle::Indices::new(&pre).map_err(|error| fault::of_loading(&error))?;
        let mut store = self.store(self.runtime(), Budget::configure());
        let answered = pre.instantiate(&mut store).and_then(|instance| {
            let guest = lifecycle.load(&mut store, &instance)?;
            Ok((instance, guest.call_configure(&mut store, settings)?))
        });
        let (instance, answer) = answered.map_err(|error| fault::of_call(&error, store.data()))?;
        if let Err(diagnostics) = answer {
            return Err(PrepareError::Settings(v1::lifecycle::diagnostics(diagnostics)?));
        }
        Ok(snapshot::take(&wizer, &context, store, instance)?)
    }
}
