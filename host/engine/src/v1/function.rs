//! A function of the contract in one component: its type is checked when the component is loaded, and not in every call.
#![expect(unsafe_code, reason = "comparing the types again is work of every decision, and comes to the same each time")]

use std::marker::PhantomData;

use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, TypedFunc};

use crate::sandbox::Sandbox;

/// What a function of the contract is called, takes and gives.
pub(crate) trait Signature {
    /// Full name of its interface.
    const INTERFACE: &'static str;
    /// Its name.
    const NAME: &'static str;
    /// What it takes.
    type Params<'a>: ComponentNamedList + Lower;
    /// What it gives.
    type Results: ComponentNamedList + Lift + 'static;
}

/// Where a function is in a component.
pub(crate) struct Function<S> {
    index: ComponentExportIndex,
    signature: PhantomData<fn() -> S>,
}

impl<S: Signature> Function<S> {
    /// Finds it in an instance and checks its type.
    pub(crate) fn find(store: &mut Store<Sandbox>, instance: &Instance) -> wasmtime::Result<Self> {
        let missing = || wasmtime::format_err!("it does not export `{}` of `{}`", S::NAME, S::INTERFACE);
        let found = instance.get_export_index(&mut *store, None, S::INTERFACE).ok_or_else(missing)?;
        let index = instance.get_export_index(&mut *store, Some(&found), S::NAME).ok_or_else(missing)?;
        instance.get_typed_func::<S::Params<'_>, S::Results>(store, &index)?;
        Ok(Self { index, signature: PhantomData })
    }

    /// The same function of any instance of the component in which it was found.
    pub(crate) fn of<'a>(
        &self,
        store: &mut Store<Sandbox>,
        instance: &Instance,
    ) -> wasmtime::Result<TypedFunc<S::Params<'a>, S::Results>> {
        let another = || wasmtime::format_err!("`{}` was found in another component", S::NAME);
        let function = instance.get_func(store, self.index).ok_or_else(another)?;
        // SAFETY: the function must have these parameters and results. `find`, which alone makes a `Function`, compared
        // them with the component's types, which are the same for all of its instances; and of an instance of another
        // component `get_func` gives nothing, because an index belongs to one component.
        Ok(unsafe { TypedFunc::new_unchecked(function) })
    }
}
