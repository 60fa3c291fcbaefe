//! A plugin for every gate, written against the contract 1.0.0 alone: without the SDK, and over its own copy of the
//! contract. Nothing here may change any more: what was compiled from it once has to be taken for ever.

#[cfg(target_arch = "wasm32")]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package kernex:released;
            world every-gate {
                import kernex:policy/facts@1.0.0;
                import kernex:policy/log@1.0.0;
                export kernex:policy/lifecycle@1.0.0;
                export kernex:policy/authorization@1.0.0;
                export kernex:policy/targeting@1.0.0;
                export kernex:policy/rollback@1.0.0;
            }
        ",
        path: "wit",
        generate_all,
    });
}

#[cfg(target_arch = "wasm32")]
mod released {
    use super::bindings::exports::kernex::policy::{authorization, lifecycle, rollback, targeting};
    use super::bindings::kernex::policy::{facts, log, types};

    struct Released;

    /// Uses both imports, whatever is asked.
    fn reason(code: &str) -> types::Reason {
        log::write(log::Level::Info, "asked");
        let message = match facts::get("season") {
            Some(types::Value::Text(season)) => season,
            Some(_) => "of another type".to_owned(),
            None => "no season".to_owned(),
        };
        types::Reason { code: code.to_owned(), message }
    }

    impl lifecycle::Guest for Released {
        fn describe() -> lifecycle::Manifest {
            lifecycle::Manifest {
                name: "released".to_owned(),
                version: "1.0.0".to_owned(),
                summary: "Answers every question of the contract 1.0.0".to_owned(),
                settings_schema: r#"{"type": "object"}"#.to_owned(),
            }
        }

        fn configure(settings: String) -> Result<(), Vec<types::Diagnostic>> {
            if settings.contains("wrong") {
                return Err(vec![types::Diagnostic { pointer: "/wrong".to_owned(), message: "as asked".to_owned() }]);
            }
            Ok(())
        }
    }

    impl authorization::Guest for Released {
        fn check(requests: Vec<authorization::Request>) -> Vec<authorization::Decision> {
            let decide = |request: authorization::Request| match request.principal.kind {
                authorization::PrincipalKind::Anonymous => authorization::Decision::Deny(reason("anonymous")),
                _ => authorization::Decision::Allow,
            };
            requests.into_iter().map(decide).collect()
        }

        fn scope(principal: authorization::Principal, _: String, _: String) -> authorization::Visible {
            match principal.roles.as_slice() {
                [] => authorization::Visible::Nothing(reason("no-role")),
                [role] if role == "admin" => authorization::Visible::All,
                roles => authorization::Visible::Matching(vec![types::Requirement {
                    key: "site".to_owned(),
                    operator: types::Operator::OneOf,
                    values: roles.to_vec(),
                }]),
            }
        }
    }

    impl targeting::Guest for Released {
        fn survey(_: targeting::Deployment) -> Result<targeting::Plan, types::Reason> {
            let column = |fact: &str, type_| targeting::ColumnRequest { fact: fact.to_owned(), type_ };
            Ok(targeting::Plan {
                candidates: Vec::new(),
                columns: vec![
                    column("model", targeting::ColumnType::Texts),
                    column("fact.cores", targeting::ColumnType::Integers),
                    column("fact.load", targeting::ColumnType::Reals),
                    column("fact.docked", targeting::ColumnType::Booleans),
                ],
                waves: vec!["canary".to_owned(), "all".to_owned()],
                exclusions: vec![reason("busy")],
            })
        }

        fn classify(_: targeting::Deployment, batch: targeting::Batch) -> Vec<u16> {
            let mut classes = Vec::new();
            for (row, hash) in batch.device_hashes.iter().enumerate() {
                let mut class = u16::from(hash % 10 != 0);
                for column in &batch.columns {
                    if let targeting::Column::Reals(loads) = column {
                        // Of devices that say nothing nobody knows that they are busy.
                        class = if loads[row] > 0.9 { 2 } else { class };
                    }
                }
                classes.push(class);
            }
            classes
        }
    }

    impl rollback::Guest for Released {
        fn judge(window: rollback::Window, mut state: Vec<u8>) -> rollback::Outcome {
            state.push(7);
            let action = match (window.in_wave.failed, window.in_wave.verified) {
                (0, 0) => rollback::Action::Hold,
                (0, _) => rollback::Action::Advance,
                (1, _) => rollback::Action::Pause,
                _ => rollback::Action::RollBack(rollback::Extent::Everyone),
            };
            rollback::Outcome { action, reason: reason("judged"), state }
        }

        fn permit(request: rollback::RollbackRequest) -> rollback::Permission {
            if request.from_bundle == request.to_bundle {
                return rollback::Permission::Refused(reason("same-bundle"));
            }
            rollback::Permission::Permitted
        }
    }

    super::bindings::export!(Released with_types_in super::bindings);
}
