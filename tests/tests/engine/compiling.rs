//! Native code: compiled by the real program in a process of its own, and cached on disk.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use kernex_engine::{Cache, CompileLimits, Compiler, Engine, Limits, MAC_BYTES, Policy, PrepareError};
use kernex_model::policy::{Blame, Fault, Gate};
use kernex_tests::guests::{MISBEHAVING, engine, grafted};
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

/// What an engine says of a plugin when it is uploaded, and when a policy is made of it.
fn refusals(engine: &Engine, bytes: &[u8]) -> [Fault; 2] {
    let prepared = engine.prepare(bytes, Gate::Authorization, ROLES).unwrap_err();
    let PrepareError::Fault(prepared) = prepared else { panic!("{prepared}") };
    [engine.inspect(bytes).unwrap_err(), prepared]
}

#[test]
fn a_compiler_that_cannot_be_used_is_the_hosts_fault() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("kernex");
    fs::write(&text, "no program, and nobody may run it").unwrap();
    for (program, says) in [
        (Path::new("/nowhere/kernex"), "it does not start (exit status: 127)"),
        (text.as_path(), "it does not start (exit status: 126)"),
        (directory.path(), "it does not start (exit status: 126)"),
        // It ends well, and is no compiler.
        (Path::new("/bin/true"), "it said nothing"),
    ] {
        let engine = fresh().compiled_by(Compiler::new(program.to_owned(), kernex::host::COMPILE));
        for fault in refusals(&engine, kernex_plugins::RBAC.bytes) {
            assert_eq!(fault, Fault::Unavailable(format!("the compiler could not be used: {says}")));
            assert_eq!(fault.blame(), Blame::Host);
        }
    }
}

#[test]
fn what_breaks_the_compiler_is_the_plugins_fault() {
    let engine = fresh().compiled_by(Compiler::new("/bin/false".into(), kernex::host::COMPILE));
    for fault in refusals(&engine, kernex_plugins::RBAC.bytes) {
        assert!(matches!(fault, Fault::Incompatible(_)), "{fault}");
        assert!(fault.detail().ends_with("or breaks the compiler (exit status: 1)"), "{fault}");
    }
}

/// What is said of a plugin that is otherwise good, by a compiler within these limits.
fn refused_within(limits: CompileLimits, bytes: &[u8]) -> [String; 2] {
    let engine = fresh().compiled_by(compiler().limited_to(limits));
    refusals(&engine, bytes).map(|fault| match fault {
        Fault::Incompatible(detail) => detail,
        fault => panic!("{fault}"),
    })
}

#[test]
fn each_limit_of_a_compilation_holds() {
    let (good, usual) = (kernex_plugins::RBAC.bytes, CompileLimits::default());
    // The same plugin within the usual limits.
    assert!(fresh().compiled_by(compiler().limited_to(usual)).inspect(good).is_ok());
    // With less the program does not even start, or hangs while it does; with four times as much it compiles this plugin.
    for said in refused_within(CompileLimits { memory_mib: 64, ..usual }, good) {
        assert!(said.starts_with("compiling it takes more than 64 MiB of memory or 60 s of computing"), "{said}");
        assert!(!said.contains("SIGKILL"), "it ran out of memory, not of time: {said}");
    }
    for said in refused_within(CompileLimits { cpu_s: 0, ..usual }, good) {
        assert!(said.starts_with("compiling it takes more than 1024 MiB of memory or 0 s of computing"), "{said}");
        assert!(said.ends_with("(signal: 9 (SIGKILL))"), "{said}");
    }
    for said in refused_within(CompileLimits { wall_ms: 1, ..usual }, good) {
        assert_eq!(said, "compiling it takes more than 1ms");
    }
}

/// A good plugin with many functions more, each of which is long: small as a file, expensive to compile.
fn bomb() -> Vec<u8> {
    let body = "(local.set 0 (i32.mul (local.get 0) (i32.add (local.get 0) (local.get 1))))".repeat(2_000);
    let function = format!("(func (param i32 i32) (result i32) {body} (local.get 0))");
    let module = wat::parse_str(format!("(module {})", function.repeat(300))).unwrap();
    grafted(kernex_plugins::RBAC.bytes, &module)
}

#[test]
fn a_compile_bomb_ends_the_child_and_not_the_server() {
    let engine = fresh().compiled_by(compiler().limited_to(CompileLimits { cpu_s: 1, ..CompileLimits::default() }));
    let bomb = bomb();
    assert!(bomb.len() < engine.limits().component_bytes, "{} bytes", bomb.len());
    let begun = Instant::now();
    let fault = engine.inspect(&bomb).unwrap_err();
    assert!(fault.detail().ends_with("(signal: 9 (SIGKILL))"), "{fault}");
    // Not a measurement: a child that were not stopped would take many times as long.
    assert!(begun.elapsed() < Duration::from_secs(30));
    let unhurried = engine.compiled_by(compiler());
    assert!(rbac(&unhurried).check(&[questions::request(&["admin"], "device:list")], &[]).outcome.is_ok());
}

/// A program in the place of the compiler: it leaves a file where it runs, and ends when it finds one called `go`.
fn waiting(directory: &Path) -> Compiler {
    let (script, place) = (directory.join("wait"), directory.display());
    let text = format!(": > '{place}/'$$.runs\nwhile [ ! -e '{place}/go' ]; do /bin/sleep 0.02; done\nexit 1\n");
    fs::write(&script, text).unwrap();
    Compiler::new("/bin/sh".into(), script.display().to_string().leak())
}

/// How many of them have started.
fn started(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "runs")).count()
}

#[test]
fn two_plugins_are_compiled_at_once_and_others_wait_or_are_refused() {
    const PATIENCE: Duration = Duration::from_secs(30);
    let directory = tempfile::tempdir().unwrap();
    let (engine, compiler) = (fresh(), waiting(directory.path()));
    let usual = CompileLimits::default();
    let hasty = engine.compiled_by(compiler.clone().limited_to(CompileLimits { wait_ms: 100, ..usual }));
    let patient = engine.compiled_by(compiler);
    let inspect = |engine: &Engine| engine.inspect(kernex_plugins::RBAC.bytes).unwrap_err();
    let ended = std::thread::scope(|scope| {
        let compiling = [&patient; 3].map(|engine| scope.spawn(move || inspect(engine)));
        let until = Instant::now() + PATIENCE;
        while started(directory.path()) < 2 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let refused = inspect(&hasty);
        assert_eq!(refused, Fault::Unavailable("2 plugins are compiled at the same time already".to_owned()));
        assert_eq!((refused.blame(), started(directory.path())), (Blame::Host, 2));
        fs::write(directory.path().join("go"), "").unwrap();
        compiling.map(|compiling| compiling.join().unwrap())
    });
    // The third had its turn when one of the first two had ended; and so has whoever comes now.
    assert!(ended.iter().all(|fault| fault.detail().contains("exit status: 1")), "{ended:?}");
    assert!(inspect(&hasty).detail().contains("exit status: 1"));
    assert_eq!(started(directory.path()), 4);
}

fn cached(directory: &Path, key: u8) -> Engine {
    fresh().cached_in(Cache::new(directory.to_owned(), [key; MAC_BYTES]))
}

fn only_file(directory: &Path) -> std::path::PathBuf {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

/// Whatever had to be compiled would fail.
fn compiling_nothing(directory: &Path) -> Engine {
    cached(directory, 1).compiled_by(Compiler::new("/nowhere/kernex".into(), "compile"))
}

#[test]
fn a_second_start_compiles_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let before = rbac(&cached(directory.path(), 1));
    let question = [questions::request(&["admin"], "device:list")];
    let after = rbac(&compiling_nothing(directory.path()));
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
        // It is there again.
        rbac(&compiling_nothing(directory.path()));
    }
    // Code under somebody else's key is not run either.
    let ours = fs::read(&file).unwrap();
    rbac(&cached(directory.path(), 2));
    assert!(fs::read(only_file(directory.path())).unwrap() != ours);
}
