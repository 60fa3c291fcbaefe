//! What wit-bindgen makes of the contract. A plugin's world is put together from two parts, the
//! lifecycle and its gate, because each interface may be generated only once per crate.

/// The lifecycle part, and the types that every gate shares.
pub mod lifecycle {
    wit_bindgen::generate!({
        inline: "
            package kernex:sdk;
            world lifecycle-part {
                import kernex:policy/facts@1.0.0;
                import kernex:policy/log@1.0.0;
                export kernex:policy/lifecycle@1.0.0;
            }
        ",
        path: "wit/v1",
        pub_export_macro: true,
        export_macro_name: "export_lifecycle_part",
        default_bindings_module: "kernex_sdk::bindings::lifecycle",
        runtime_path: "::kernex_sdk::rt",
        additional_derives: [PartialEq],
        generate_all,
    });
}

/// The authorization gate.
pub mod authorization {
    wit_bindgen::generate!({
        inline: "
            package kernex:sdk;
            world authorization-part { export kernex:policy/authorization@1.0.0; }
        ",
        path: "wit/v1",
        pub_export_macro: true,
        export_macro_name: "export_authorization_part",
        default_bindings_module: "kernex_sdk::bindings::authorization",
        runtime_path: "::kernex_sdk::rt",
        additional_derives: [PartialEq],
        with: {
            "kernex:policy/types@1.0.0": super::lifecycle::kernex::policy::types,
            "kernex:policy/authorization@1.0.0": generate,
        },
    });
}

/// The targeting gate.
pub mod targeting {
    wit_bindgen::generate!({
        inline: "
            package kernex:sdk;
            world targeting-part { export kernex:policy/targeting@1.0.0; }
        ",
        path: "wit/v1",
        pub_export_macro: true,
        export_macro_name: "export_targeting_part",
        default_bindings_module: "kernex_sdk::bindings::targeting",
        runtime_path: "::kernex_sdk::rt",
        additional_derives: [PartialEq],
        with: {
            "kernex:policy/types@1.0.0": super::lifecycle::kernex::policy::types,
            "kernex:policy/targeting@1.0.0": generate,
        },
    });
}

/// The rollback gate.
pub mod rollback {
    wit_bindgen::generate!({
        inline: "
            package kernex:sdk;
            world rollback-part { export kernex:policy/rollback@1.0.0; }
        ",
        path: "wit/v1",
        pub_export_macro: true,
        export_macro_name: "export_rollback_part",
        default_bindings_module: "kernex_sdk::bindings::rollback",
        runtime_path: "::kernex_sdk::rt",
        additional_derives: [PartialEq],
        with: {
            "kernex:policy/types@1.0.0": super::lifecycle::kernex::policy::types,
            "kernex:policy/rollback@1.0.0": generate,
        },
    });
}
