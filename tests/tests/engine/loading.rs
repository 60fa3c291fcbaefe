//! What is refused before it decides anything.

use kernex_engine::PrepareError;
use kernex_model::policy::{Fault, Gate};
use kernex_tests::guests::{MISBEHAVING, engine};

fn refused(bytes: &[u8]) -> String {
    let inspected = engine().inspect(bytes).unwrap_err();
    for gate in Gate::ALL {
        assert!(engine().prepare(bytes, gate, "{}").is_err());
    }
    let Fault::Incompatible(detail) = inspected else { panic!("{inspected}") };
    detail
}

#[test]
fn what_is_no_component_is_refused() {
    assert!(refused(b"").contains("no WebAssembly component"));
    assert!(refused(b"MZ this is something else").contains("no WebAssembly component"));
    let core = wat::parse_str("(module)").unwrap();
    assert!(refused(&core).contains("core module"));
    let empty = wat::parse_str("(component)").unwrap();
    assert!(refused(&empty).contains("none of the gates"));
}

#[test]
fn truncated_or_damaged_bytes_are_refused_without_a_panic() {
    for length in [8, 9, 100, MISBEHAVING.len() / 2, MISBEHAVING.len() - 1] {
        refused(&MISBEHAVING[..length]);
    }
    let mut damaged = MISBEHAVING.to_vec();
    for byte in damaged.iter_mut().skip(8).step_by(97) {
        *byte ^= 0xff;
    }
    refused(&damaged);
}

#[test]
fn more_bytes_than_allowed_are_refused() {
    let mut long = MISBEHAVING.to_vec();
    long.resize(engine().limits().component_bytes + 1, 0);
    assert!(refused(&long).contains("allowed"));
}

#[test]
fn imports_beyond_the_contract_are_refused_by_name() {
    for (import, shape) in [
        ("wasi:clocks/monotonic-clock@0.2.0", r#"(instance (export "now" (func (result u64))))"#),
        ("wasi:sockets/tcp@0.2.0", r#"(instance (export "connect" (func)))"#),
        ("env", "(func)"),
    ] {
        let text = format!(r#"(component (import "{import}" {shape}))"#);
        let bytes = wat::parse_str(&text).unwrap();
        assert!(refused(&bytes).contains(import));
        let error = engine().prepare(&bytes, Gate::Targeting, "{}").unwrap_err();
        assert_eq!(error, PrepareError::Refused { imports: vec![import.to_owned()] });
    }
}

#[test]
fn a_function_that_the_contract_lacks_is_refused() {
    let text = r#"(component
        (import "kernex:policy/facts@1.0.0" (instance (export "erase" (func))))
        (instance (export "kernex:policy/rollback@1.0.0")))"#;
    let bytes = wat::parse_str(text).unwrap();
    let fault = engine().inspect(&bytes).unwrap_err();
    assert!(matches!(&fault, Fault::Incompatible(detail) if detail.contains("erase")), "{fault}");
}

#[test]
fn an_export_of_another_shape_is_refused() {
    let text = r#"(component (instance (export "kernex:policy/rollback@1.0.0")))"#;
    let bytes = wat::parse_str(text).unwrap();
    assert!(matches!(engine().inspect(&bytes), Err(Fault::Incompatible(_))));
    let prepared = engine().prepare(&bytes, Gate::Rollback, "{}");
    assert!(matches!(prepared, Err(PrepareError::Fault(Fault::Incompatible(_)))), "{prepared:?}");
}

#[test]
fn a_plugin_is_prepared_for_a_gate_that_it_serves() {
    let error = engine().prepare(kernex_plugins::RBAC.bytes, Gate::Targeting, "{}").unwrap_err();
    let wanted = Gate::Targeting;
    assert_eq!(error, PrepareError::WrongGate { wanted, serves: vec![Gate::Authorization] });
}

#[test]
fn an_inspection_tells_what_a_component_is() {
    let inspection = engine().inspect(MISBEHAVING).unwrap();
    assert_eq!(inspection.gates, Gate::ALL);
    assert_eq!(inspection.manifest.name, "misbehaving");
    assert_eq!(inspection.digest.len(), 64);
    for import in &inspection.imports {
        assert!(import.starts_with("kernex:policy/"), "{import}");
    }
}

#[test]
fn settings_are_checked_before_the_plugin_sees_them() {
    let prepare = |settings: &str| engine().prepare(MISBEHAVING, Gate::Rollback, settings);
    let diagnostics = |settings: &str| match prepare(settings).unwrap_err() {
        PrepareError::Settings(diagnostics) => diagnostics,
        error => panic!("{error}"),
    };
    assert!(diagnostics("{").remove(0).message.contains("no JSON"));
    let long = format!("\"{}\"", "x".repeat(engine().limits().settings_bytes));
    assert!(diagnostics(&long).remove(0).message.contains("allowed"));
    assert!(diagnostics(r#"{"mischief": true}"#).remove(0).message.contains("mischief"));
}

#[test]
fn a_configure_that_does_wrong_is_stopped() {
    for (what, code) in [
        ("panic", "trapped"),
        ("loop", "out_of_fuel"),
        ("bulk", "out_of_fuel"),
        ("recurse", "trapped"),
        ("allocate", "out_of_memory"),
        // Not in `configure` itself: its snapshot needs a page.
        ("hoard", "out_of_memory"),
        ("nonsense", "bad_output"),
        ("wordy", "bad_output"),
        ("giant", "bad_output"),
        ("garbled", "bad_output"),
    ] {
        let settings = format!(r#"{{"configure": "{what}"}}"#);
        match engine().prepare(MISBEHAVING, Gate::Targeting, &settings) {
            Err(PrepareError::Fault(fault)) => assert_eq!(fault.code(), code, "{what}: {fault}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    assert!(engine().prepare(MISBEHAVING, Gate::Targeting, "{}").is_ok());
}
