//! Putting an instance back to what it was before its first call. The next call finds what it would find in a new
//! instance, and costs less.
//!
//! What an instance could keep from one call for the next is in its memories, its mutable globals, its tables and its
//! handles. Memories are put back. Where a global has changed, or a memory has grown, there is no next call. Tables, and
//! segments that can be dropped, do not change: snapshots of plugins that could change them are refused (by
//! wasmtime-wizer). No plugin can have a handle.

mod image;
mod memory;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use kernex_model::policy::Fault;
use wasmparser::{Parser, Payload};
use wasmtime::Store;
use wasmtime::component::types::{ComponentItem, Type};
use wasmtime::component::{Component, ComponentExportIndex, Instance, TypedFunc};
use wasmtime_wizer::Wizer;

use crate::compile::guarded;
use crate::fault;
use crate::sandbox::Sandbox;

use image::{Image, Laid, may_have_written_pages};
use memory::Plot;
pub(crate) use memory::{Memories, collecting};

/// The instance by which wasmtime-wizer shows a component's state.
const ACCESS: &str = "wasmtime:wizer/access";
/// What its functions that tell the value of a mutable global are called, with a number behind it.
const GLOBAL: &str = "global";

/// The component with functions that tell the values of its mutable globals.
pub(crate) fn instrumented(component: &[u8]) -> Result<Vec<u8>, Fault> {
    let hidden = || Fault::Incompatible("one of its modules has state, and exports nothing".to_owned());
    guarded(|| {
        if !shows_its_state(component).map_err(|error| fault::of_loading(&error.into()))? {
            return Err(hidden());
        }
        Wizer::new().instrument_component(component).map_err(|error| fault::of_loading(&error))
    })
    .map(|(_, instrumented)| instrumented)
}

/// Whether the instrumentation reaches all state: it adds to a module's exports, where there are any.
fn shows_its_state(component: &[u8]) -> Result<bool, wasmparser::BinaryReaderError> {
    #[derive(Default)]
    struct Module {
        has_state: bool,
        exports: bool,
    }

    // The component, and the module in it that is being read.
    let mut open: Vec<Module> = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        if let Payload::Version { .. } = payload {
            open.push(Module::default());
        }
        let Some(module) = open.last_mut() else { continue };
        match payload {
            Payload::MemorySection(_) => module.has_state = true,
            Payload::GlobalSection(globals) => {
                for global in globals {
                    module.has_state |= global?.ty.mutable;
                }
            }
            Payload::ExportSection(_) => module.exports = true,
            Payload::End(_) if module.has_state && !module.exports => return Ok(false),
            Payload::End(_) => drop(open.pop()),
            _ => {}
        }
    }
    Ok(true)
}

/// What is the same for all instances of a component: where its globals are found, and what its memories begin with.
#[derive(Default)]
pub(crate) struct Beginning {
    /// None where an instance cannot be put back.
    globals: Option<Vec<(ComponentExportIndex, Width)>>,
    images: OnceLock<Vec<Arc<Image>>>,
}

#[derive(Clone, Copy)]
enum Width {
    Narrow,
    Wide,
}

impl Beginning {
    /// Finds the functions that [`instrumented`] has added.
    pub(crate) fn of(component: &Component, runtime: &wasmtime::Engine) -> Self {
        let kind = component.component_type();
        let access = kind.exports(runtime).find_map(|(name, item)| match item.ty {
            ComponentItem::ComponentInstance(access) if name == ACCESS => Some(access),
            _ => None,
        });
        let globals = access.zip(component.get_export_index(None, ACCESS)).and_then(|(access, place)| {
            let functions = access.exports(runtime).filter(|(name, _)| name.starts_with(GLOBAL));
            let width = |item: ComponentItem| match item {
                ComponentItem::ComponentFunc(function) => match function.results().next()? {
                    Type::S32 => Some(Width::Narrow),
                    Type::S64 => Some(Width::Wide),
                    // Not every bit of a number that is none comes through.
                    _ => None,
                },
                _ => None,
            };
            functions
                .map(|(name, item)| Some((component.get_export_index(Some(&place), name)?, width(item.ty)?)))
                .collect()
        });
        Self { globals, images: OnceLock::new() }
    }

    /// Makes ready to put an instance back that is new: nothing was called yet. None where it cannot be put back, and
    /// may be called once.
    ///
    /// # Errors
    /// It must not be called at all.
    pub(crate) fn settle(
        &self,
        store: &mut Store<Sandbox>,
        instance: &Instance,
        plots: Vec<Arc<Plot>>,
    ) -> Result<Option<Renewal>, Fault> {
        let Some(places) = &self.globals else { return Ok(None) };
        let Some(images) = self.images(store, &plots) else { return Ok(None) };
        let mut memories = Vec::with_capacity(plots.len());
        for (plot, image) in plots.into_iter().zip(images) {
            match image.lay_under(&plot, store) {
                Laid::Under => memories.push(Renewed { plot, image: image.clone(), written: Vec::new() }),
                Laid::Other => return Ok(None),
                Laid::Broken => return Err(Fault::Unavailable("the machine has no memory for a plugin".to_owned())),
            }
        }
        let globals = places.iter().map(|(place, width)| Global::of(store, instance, *place, *width));
        let globals = globals.collect::<wasmtime::Result<_>>().map_err(|error| fault::of_loading(&error))?;
        Ok(Some(Renewal { memories, globals, looked: false }))
    }

    /// What memories of a new instance begin with: found out by the first one, where that was possible.
    fn images(&self, store: &mut Store<Sandbox>, plots: &[Arc<Plot>]) -> Option<&[Arc<Image>]> {
        if self.images.get().is_none() {
            let images: Vec<_> =
                plots.iter().map(|plot| Image::of(plot, store).map(Arc::new)).collect::<Option<_>>()?;
            // Somebody else may have been first: it is the same.
            let _ = self.images.set(images);
        }
        self.images.get().map(Vec::as_slice).filter(|images| images.len() == plots.len())
    }
}

/// What one instance is put back to.
pub(crate) struct Renewal {
    memories: Vec<Renewed>,
    globals: Vec<Global>,
    /// Whether it was looked where its memories have pages of their own.
    looked: bool,
}

/// A memory, and what is put back where.
struct Renewed {
    plot: Arc<Plot>,
    image: Arc<Image>,
    /// Where it had pages of its own when it was last looked, counted from its beginning.
    written: Vec<Range<usize>>,
}

impl Renewal {
    /// Whether the instance can be put back: nothing has changed but what is in its memories.
    pub(crate) fn is_possible(&self, store: &mut Store<Sandbox>) -> bool {
        self.memories.iter().all(|memory| memory.image.fits(&memory.plot))
            && self.globals.iter().all(|global| global.is_unchanged(store))
    }

    /// Puts an instance back for which that is possible, on the thread that has called it last; `once` where that was its
    /// only call since it was new or put back. Where it fails all the same, it must not be called again.
    #[must_use]
    pub(crate) fn renew(&mut self, store: &mut Store<Sandbox>, once: bool) -> bool {
        // In this order: each thread must say after each call whether it may have written to more.
        let maybe_more = may_have_written_pages() || !once || !self.looked;
        self.looked = true;
        self.memories
            .iter_mut()
            .all(|Renewed { plot, image, written }| image.put_back(plot, written, maybe_more, store))
    }
}

/// A mutable global, and what it began with.
enum Global {
    Narrow(TypedFunc<(), (i32,)>, i32),
    Wide(TypedFunc<(), (i64,)>, i64),
}

impl Global {
    fn of(
        store: &mut Store<Sandbox>,
        instance: &Instance,
        place: ComponentExportIndex,
        width: Width,
    ) -> wasmtime::Result<Self> {
        Ok(match width {
            Width::Narrow => {
                let function = instance.get_typed_func::<(), (i32,)>(&mut *store, place)?;
                Self::Narrow(function, function.call(store, ())?.0)
            }
            Width::Wide => {
                let function = instance.get_typed_func::<(), (i64,)>(&mut *store, place)?;
                Self::Wide(function, function.call(store, ())?.0)
            }
        })
    }

    fn is_unchanged(&self, store: &mut Store<Sandbox>) -> bool {
        match self {
            Self::Narrow(function, begun) => function.call(store, ()).is_ok_and(|(value,)| value == *begun),
            Self::Wide(function, begun) => function.call(store, ()).is_ok_and(|(value,)| value == *begun),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::limits::{Budget, Limits};

    #[test]
    fn a_module_that_hides_its_state_is_refused() {
        let component =
            |module: &str| wat(&format!("(component (core module {module}) (core instance (instantiate 0)))"));
        for hidden in ["(global (mut i32) (i32.const 0))", "(memory 1)", "(global i64 (i64.const 0)) (memory 0)"] {
            let refused = instrumented(&component(hidden));
            assert!(
                matches!(&refused, Err(Fault::Incompatible(why)) if why.contains("exports nothing")),
                "{refused:?}"
            );
        }
        for shown in ["(memory (export \"m\") 1)", "(func (export \"f\")) (global (mut i32) (i32.const 0))", "(func)"] {
            assert!(instrumented(&component(shown)).is_ok(), "{shown}");
        }
    }

    #[test]
    fn no_plugin_has_a_handle_to_keep() {
        let component = wat(r#"(component
                (type $kept (resource (rep i32)))
                (core func $new (canon resource.new $kept))
                (core module $m
                    (import "" "new" (func $new (param i32) (result i32)))
                    (func (export "keep") (result i32) (call $new (i32.const 7))))
                (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))
                (func (export "keep") (result u32) (canon lift (core func $i "keep"))))"#);
        let engine = Engine::new(Limits { concurrent_instances: 2, ..Limits::default() }).expect("it starts");
        for gate in kernex_model::policy::Gate::ALL {
            let runtime = engine.runtime_of(gate);
            let component = Component::new(&runtime.wasm, &component).expect("a component");
            let mut store = engine.store(runtime, Budget::describe());
            let instance = runtime.linker.instantiate(&mut store, &component).expect("an instance");
            let keep = instance.get_typed_func::<(), (u32,)>(&mut store, "keep").expect("a function");
            assert!(keep.call(&mut store, ()).is_err(), "{gate}");
        }
    }

    fn wat(text: &str) -> Vec<u8> {
        wat::parse_str(text).expect("WebAssembly text")
    }
}
