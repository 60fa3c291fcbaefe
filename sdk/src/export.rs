//! From the generated bindings to the traits: what the export macros put into a plugin.

use std::mem::ManuallyDrop;
use std::sync::OnceLock;

use crate::bindings::authorization::exports::kernex::policy::authorization as authorization_world;
use crate::bindings::lifecycle::exports::kernex::policy::lifecycle as lifecycle_world;
use crate::bindings::rollback::exports::kernex::policy::rollback as rollback_world;
use crate::bindings::targeting::exports::kernex::policy::targeting as targeting_world;
use crate::targeting::{Batch, Layout, Rows};
use crate::{Authorization, Diagnostic, Plugin, Reason, Rollback, Targeting};

/// What the macro knows of the plugin that it exports.
pub trait Export {
    /// The plugin.
    type Plugin: Plugin;
    /// Version of the plugin's crate.
    const VERSION: &'static str;
    /// Where the configured plugin is kept. It is part of the host's snapshot.
    fn slot() -> &'static OnceLock<Self::Plugin>;
}

/// Implements the generated traits by means of the plugin's.
pub struct Adapter<E>(std::marker::PhantomData<E>);

/// What was given is never taken apart: the instance ends with the call, and its memory with it.
fn kept<T>(given: T) -> ManuallyDrop<T> {
    ManuallyDrop::new(given)
}

/// How many diagnostics the host takes.
const DIAGNOSTICS: usize = 100;
/// How long a pointer may be, in bytes.
const POINTER_BYTES: usize = 512;
/// How long a message may be, in bytes.
const MESSAGE_BYTES: usize = 1_024;

/// Cuts what quotes the settings: otherwise a long mistake would be reported as bad output.
fn within_limits(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.truncate(DIAGNOSTICS);
    for Diagnostic { pointer, message } in &mut diagnostics {
        if pointer.len() > POINTER_BYTES {
            pointer.clear();
        }
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
    }
    diagnostics
}

fn configured<E: Export>() -> &'static E::Plugin {
    E::slot().get().expect("the host configures a plugin before it asks for a decision")
}

impl<E: Export> lifecycle_world::Guest for Adapter<E> {
    fn describe() -> lifecycle_world::Manifest {
        let schema = schemars::schema_for!(<E::Plugin as Plugin>::Settings);
        lifecycle_world::Manifest {
            name: E::Plugin::NAME.to_owned(),
            version: E::VERSION.to_owned(),
            summary: E::Plugin::SUMMARY.to_owned(),
            settings_schema: schema.as_value().to_string(),
        }
    }

    fn configure(settings: String) -> Result<(), Vec<Diagnostic>> {
        let plugin = E::Plugin::from_json(&settings).map_err(within_limits)?;
        E::slot().set(plugin).map_err(|_| vec![Diagnostic::new("", "a plugin is configured only once")])?;
        #[cfg(target_arch = "wasm32")]
        crate::allocator::leave_room();
        Ok(())
    }
}

impl<E: Export<Plugin: Authorization>> authorization_world::Guest for Adapter<E> {
    fn check(requests: Vec<authorization_world::Request>) -> Vec<authorization_world::Decision> {
        let plugin = configured::<E>();
        let requests = kept(requests);
        requests.iter().map(|request| plugin.check(request)).collect()
    }

    fn scope(
        principal: authorization_world::Principal,
        action: String,
        resource_kind: String,
    ) -> authorization_world::Visible {
        configured::<E>().scope(&kept(principal), &kept(action), &kept(resource_kind))
    }
}

impl<E: Export<Plugin: Targeting>> targeting_world::Guest for Adapter<E> {
    fn survey(deployment: targeting_world::Deployment) -> Result<targeting_world::Plan, Reason> {
        let plugin = configured::<E>();
        let candidates = plugin.candidates(&deployment)?;
        let layout = plugin.layout();
        Ok(targeting_world::Plan {
            candidates,
            columns: layout.columns,
            waves: layout.waves,
            exclusions: layout.exclusions,
        })
    }

    fn classify(deployment: targeting_world::Deployment, batch: targeting_world::Batch) -> Vec<u16> {
        let plugin = configured::<E>();
        let layout = kept(plugin.layout());
        let (deployment, batch) = (kept(deployment), kept(batch));
        let mut job = kept(plugin.begin(&deployment));
        classes(plugin, &mut job, &layout, &batch)
    }
}

/// The loop over a batch's devices, alone in its function: all of a plugin that has room in registers is there.
#[inline(never)]
fn classes<T: Targeting>(plugin: &T, job: &mut T::Job, layout: &Layout, batch: &Batch) -> Vec<u16> {
    let mut classes = vec![0; batch.device_hashes.len()];
    for (class, row) in classes.iter_mut().zip(Rows::new(layout, batch)) {
        *class = plugin.classify(job, &row).number(layout);
    }
    classes
}

impl<E: Export<Plugin: Rollback>> rollback_world::Guest for Adapter<E> {
    fn judge(window: rollback_world::Window, state: Vec<u8>) -> rollback_world::Outcome {
        configured::<E>().judge(&kept(window), &kept(state))
    }

    fn permit(request: rollback_world::RollbackRequest) -> rollback_world::Permission {
        configured::<E>().permit(&kept(request))
    }
}

/// Exports a type that implements `Plugin` and `Authorization` as the component's policy.
///
/// ```
/// use kernex_sdk::authorization::{Decision, Principal, Request, Visible};
/// use kernex_sdk::{Authorization, Diagnostic, Plugin};
///
/// struct Anybody;
///
/// # impl Plugin for Anybody {
/// #     const NAME: &'static str = "anybody";
/// #     const SUMMARY: &'static str = "An example";
/// #     type Settings = ();
/// #
/// #     fn configure(_: ()) -> Result<Self, Vec<Diagnostic>> {
/// #         Ok(Self)
/// #     }
/// # }
///
/// impl Authorization for Anybody {
///     fn check(&self, _: &Request) -> Decision {
///         Decision::Allow
///     }
///
///     fn scope(&self, _: &Principal, _: &str, _: &str) -> Visible {
///         Visible::All
///     }
/// }
///
/// kernex_sdk::export_authorization!(Anybody);
/// ```
#[macro_export]
macro_rules! export_authorization {
    ($plugin:ty) => {
        $crate::__export!($plugin, authorization, export_authorization_part);
    };
}

/// Exports a type that implements `Plugin` and `Targeting` as the component's policy.
///
/// ```
/// use kernex_sdk::targeting::{Class, Deployment, Layout, Row};
/// use kernex_sdk::{Diagnostic, Plugin, Reason, Selector, Targeting};
///
/// struct AtOnce;
///
/// # impl Plugin for AtOnce {
/// #     const NAME: &'static str = "at-once";
/// #     const SUMMARY: &'static str = "An example";
/// #     type Settings = ();
/// #
/// #     fn configure(_: ()) -> Result<Self, Vec<Diagnostic>> {
/// #         Ok(Self)
/// #     }
/// # }
///
/// impl Targeting for AtOnce {
///     type Job = ();
///
///     fn layout(&self) -> Layout {
///         Layout { columns: Vec::new(), waves: vec!["all".to_owned()], exclusions: Vec::new() }
///     }
///
///     fn candidates(&self, _: &Deployment) -> Result<Selector, Reason> {
///         Ok(Vec::new())
///     }
///
///     fn begin(&self, _: &Deployment) {}
///
///     fn classify(&self, _: &mut (), _: &Row<'_>) -> Class {
///         Class::Wave(0)
///     }
/// }
///
/// kernex_sdk::export_targeting!(AtOnce);
/// ```
#[macro_export]
macro_rules! export_targeting {
    ($plugin:ty) => {
        $crate::__export!($plugin, targeting, export_targeting_part);
    };
}

/// Exports a type that implements `Plugin` and `Rollback` as the component's policy.
///
/// ```
/// use kernex_sdk::rollback::{Action, Outcome, Permission, RollbackRequest, Window};
/// use kernex_sdk::{Diagnostic, Plugin, Reason, Rollback};
///
/// struct NextPlease;
///
/// # impl Plugin for NextPlease {
/// #     const NAME: &'static str = "next-please";
/// #     const SUMMARY: &'static str = "An example";
/// #     type Settings = ();
/// #
/// #     fn configure(_: ()) -> Result<Self, Vec<Diagnostic>> {
/// #         Ok(Self)
/// #     }
/// # }
///
/// impl Rollback for NextPlease {
///     fn judge(&self, _: &Window, _: &[u8]) -> Outcome {
///         Outcome { action: Action::Advance, reason: Reason::new("always", "it always goes on"), state: Vec::new() }
///     }
///
///     fn permit(&self, _: &RollbackRequest) -> Permission {
///         Permission::Permitted
///     }
/// }
///
/// kernex_sdk::export_rollback!(NextPlease);
/// ```
#[macro_export]
macro_rules! export_rollback {
    ($plugin:ty) => {
        $crate::__export!($plugin, rollback, export_rollback_part);
    };
}

/// Natively only the types are checked: exported symbols of two plugins in one test would clash.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($plugin:ty, $gate:ident, $part:ident) => {
        const _: () = {
            static SLOT: ::std::sync::OnceLock<$plugin> = ::std::sync::OnceLock::new();

            struct Exported;

            impl $crate::export::Export for Exported {
                type Plugin = $plugin;
                const VERSION: &'static str = env!("CARGO_PKG_VERSION");

                fn slot() -> &'static ::std::sync::OnceLock<$plugin> {
                    &SLOT
                }
            }

            const fn serves_its_gate<
                T: $crate::bindings::lifecycle::exports::kernex::policy::lifecycle::Guest
                    + $crate::bindings::$gate::exports::kernex::policy::$gate::Guest,
            >() {
            }
            const _: () = serves_its_gate::<Adapter>();

            type Adapter = $crate::export::Adapter<Exported>;

            #[cfg(target_arch = "wasm32")]
            $crate::bindings::lifecycle::export_lifecycle_part!(
                Adapter with_types_in $crate::bindings::lifecycle
            );
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::$gate::$part!(
                Adapter with_types_in $crate::bindings::$gate
            );
        };
    };
}
