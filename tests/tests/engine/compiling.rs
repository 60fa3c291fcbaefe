//! Native code: compiled by the real program in a process of its own, and cached on disk.

use std::fs;
use std::path::Path;
use std::time::Duration;

use kernex_engine::{Cache, Compiler, Engine, Limits, MAC_BYTES, Policy, PrepareError};
use kernex_model::policy::{Fault, Gate};
use kernex_tests::guests::{MISBEHAVING, engine};
use kernex_tests::harness::ServerProcess;

use super::questions;

const ROLES: &str = r#"{"roles": {"admin": {"grants": ["*"]}}}"#;

/// An engine of its own: the test process's keeps in memory what it prepared.
fn fresh() -> Engine {
    Engine::new(Limits { concurrent_instances: 8, ..Limits::default() }).unwrap()
}

fn compiler() -> Compiler {
    Compiler::new(ServerProcess::program(), kernex::host::COMPILE)
}

fn rbac(engine: &Engine) -> Policy {
    engine.prepare(kernex_plugins::RBAC.bytes, Gate::Authorization, ROLES).unwrap()
}

#[test]
fn another_process_compiles_what_this_one_runs() {
    let engine = fresh().compiled_by(compiler());
    let here = engine.inspect(MISBEHAVING).unwrap();
    assert_eq!(here, self::engine().inspect(MISBEHAVING).unwrap());
    let question = [questions::request(&["admin"], "device:list")];
    let (theirs, ours) = (rbac(&engine).check(&question, &[]), rbac(self::engine()).check(&question, &[]));
    assert_eq!((theirs.outcome, theirs.fuel), (ours.outcome, ours.fuel));
}

#[test]
fn what_is_wrong_is_told_as_if_it_were_compiled_here() {
    let engine = fresh().compiled_by(compiler());
    let prepare = |bytes: &[u8], settings: &str| engine.prepare(bytes, Gate::Rollback, settings).unwrap_err();
    let here = |bytes: &[u8], settings: &str| self::engine().prepare(bytes, Gate::Rollback, settings).unwrap_err();
    for (bytes, settings) in [
        (kernex_plugins::RBAC.bytes, ROLES),
        (kernex_plugins::GUARDIAN.bytes, r#"{"max_failure_share": 7}"#),
        (MISBEHAVING, r#"{"configure": "trap"}"#),
        (MISBEHAVING, r#"{"configure": "loop"}"#),
        (&MISBEHAVING[..MISBEHAVING.len() / 2], "{}"),
    ] {
        assert_eq!(prepare(bytes, settings), here(bytes, settings));
    }
}

#[test]
fn a_compiler_that_is_not_there_or_breaks_is_the_hosts_fault_or_the_plugins() {
    let missing = fresh().compiled_by(Compiler::new("/nowhere/kernex".into(), "compile-plugin"));
    let silent = fresh().compiled_by(Compiler::new("/bin/true".into(), "compile-plugin"));
    for engine in [missing, silent] {
        let error = engine.prepare(kernex_plugins::RBAC.bytes, Gate::Authorization, ROLES).unwrap_err();
        assert!(matches!(error, PrepareError::Fault(Fault::Incompatible(_))), "{error:?}");
    }
}

/// Many functions, each of which is long: small as a file, expensive to compile.
fn bomb() -> Vec<u8> {
    let body = "(local.set 0 (i32.mul (local.get 0) (i32.add (local.get 0) (local.get 1))))".repeat(2_000);
    let function = format!("(func (param i32 i32) (result i32) {body} (local.get 0))");
    let text = format!("(component (core module {}))", function.repeat(400));
    wat::parse_str(text).unwrap()
}

#[test]
fn a_compile_bomb_ends_the_child_and_not_the_server() {
    let engine = fresh().compiled_by(compiler());
    let bomb = bomb();
    assert!(bomb.len() < engine.limits().component_bytes, "{} bytes", bomb.len());
    let begun = std::time::Instant::now();
    // It may be too much for the limits, or done within them: then it serves no gate.
    let fault = engine.inspect(&bomb).unwrap_err();
    assert!(matches!(fault, Fault::Incompatible(_)), "{fault}");
    // Not a measurement: the limit of the wall clock is the point, and a stuck child would be here for ever.
    assert!(begun.elapsed() < Duration::from_secs(120));
    assert!(rbac(&engine).check(&[questions::request(&["admin"], "device:list")], &[]).outcome.is_ok());
}

fn cached(directory: &Path, key: u8) -> Engine {
    fresh().cached_in(Cache::new(directory.to_owned(), [key; MAC_BYTES]))
}

fn only_file(directory: &Path) -> std::path::PathBuf {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

#[test]
fn a_second_start_compiles_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let before = rbac(&cached(directory.path(), 1));
    let question = [questions::request(&["admin"], "device:list")];
    // Whatever had to be compiled would fail.
    let no_compiler = cached(directory.path(), 1).compiled_by(Compiler::new("/nowhere/kernex".into(), "compile"));
    let after = rbac(&no_compiler);
    let (before, after) = (before.check(&question, &[]), after.check(&question, &[]));
    assert_eq!((before.outcome, before.fuel), (after.outcome, after.fuel));
}

#[test]
fn a_damaged_cache_is_repaired() {
    let directory = tempfile::tempdir().unwrap();
    rbac(&cached(directory.path(), 1));
    let file = only_file(directory.path());
    let whole = fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    for content in [damaged, whole[..100].to_vec(), Vec::new()] {
        fs::write(&file, content).unwrap();
        rbac(&cached(directory.path(), 1));
        assert!(fs::read(&file).unwrap() == whole, "it is there again");
    }
    // Code under somebody else's key is not run either.
    rbac(&cached(directory.path(), 2));
    assert!(fs::read(only_file(directory.path())).unwrap() != whole);
}
