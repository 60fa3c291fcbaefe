//! Components that nobody wrote, made of random bytes, many of them valid: where one is refused, it is to blame.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arbitrary::Unstructured;
use kernex_engine::PrepareError;
use kernex_model::policy::{Blame, Fault, Gate};
use kernex_tests::guests::{RELEASED, engine, grafted};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use wasm_smith::{Component, Config, Module};

use super::fuzz::{ask, others_go_on};

/// Components of each kind that are tried.
const ROUNDS: u64 = 100;
/// Every so many rounds the module is grafted onto a plugin, all of which has to be compiled.
const GRAFTED_EVERY: usize = 8;
/// Random bytes that one is made of, at most.
const MAX_SEED_BYTES: u64 = 2_048;
/// The largest one that is tried, in bytes: all of them together must not take long.
const MAX_BYTES: usize = 64 << 10;
/// What the engine says of a component that it has compiled and has no use for.
const COMPILED: [&str; 2] = ["it serves none of the gates", "no plugin may import "];

/// What the engine has no use for is left out, so that most of what is made is valid to it.
fn config(max_imports: usize) -> Config {
    Config {
        max_imports,
        max_type_size: 100,
        max_memory32_bytes: 1 << 24,
        max_table_elements: 1_000,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        reference_types_enabled: false,
        threads_enabled: false,
        ..Config::default()
    }
}

/// Random bytes, more of them with every round: the first make something that is nearly empty.
fn dna(round: u64) -> Vec<u8> {
    let length = usize::try_from((round + 1) * MAX_SEED_BYTES / ROUNDS).unwrap();
    let mut bytes = vec![0_u8; length];
    StdRng::seed_from_u64(round).fill(&mut bytes[..]);
    bytes
}

fn module(bytes: &[u8]) -> Option<Vec<u8>> {
    made(|dna| Some(Module::new(config(0), dna).ok()?.to_bytes()), bytes)
}

fn component(bytes: &[u8]) -> Option<Vec<u8>> {
    made(|dna| Some(Component::new(config(10), dna).ok()?.to_bytes()), bytes)
}

/// What the generator makes of random bytes. Not of all of them; and it knows components less well than modules: where
/// it panics, it has made none.
fn made(make: impl FnOnce(&mut Unstructured<'_>) -> Option<Vec<u8>>, bytes: &[u8]) -> Option<Vec<u8>> {
    catch_unwind(AssertUnwindSafe(|| make(&mut Unstructured::new(bytes)))).ok().flatten()
}

/// Fails unless the plugin is to blame, and for not being one.
fn unfit(fault: Fault) -> String {
    assert_eq!(fault.blame(), Blame::Plugin, "{fault}");
    let Fault::Incompatible(detail) = fault else { panic!("{fault}") };
    detail
}

/// Tells whether what was refused was compiled first. It serves no gate, so that it cannot have been taken.
fn compiled(bytes: &[u8], gate: Gate) -> bool {
    let detail = unfit(engine().inspect(bytes).unwrap_err());
    match engine().prepare(bytes, gate, "{}") {
        Err(PrepareError::Fault(fault)) => drop(unfit(fault)),
        Err(PrepareError::Refused { .. } | PrepareError::WrongGate { .. }) => {}
        other => panic!("{other:?}"),
    }
    COMPILED.iter().any(|said| detail.starts_with(said))
}

fn gate(round: u64) -> Gate {
    Gate::ALL[usize::try_from(round).unwrap() % Gate::ALL.len()]
}

/// How many of these were tried, and how many of them were compiled.
fn tried(make: impl Fn(&[u8]) -> Option<Vec<u8>>) -> (usize, usize) {
    let all = (0..ROUNDS).filter_map(|round| Some((round, make(&dna(round))?)));
    let small: Vec<_> = all.filter(|(_, bytes)| bytes.len() <= MAX_BYTES).collect();
    let valid = small.iter().filter(|(round, bytes)| compiled(bytes, gate(*round)));
    (small.len(), valid.count())
}

#[test]
fn generated_components_are_refused() {
    let empty = wat::parse_str("(component)").unwrap();
    let (wrapped, valid) = tried(|bytes| Some(grafted(&empty, &module(bytes)?)));
    assert!(wrapped > 50 && valid * 2 > wrapped, "{valid} of {wrapped} generated modules were compiled");
    let (made, valid) = tried(component);
    assert!(made > 20 && valid > 5, "{valid} of {made} generated components were compiled");
    others_go_on();
}

#[test]
fn generated_modules_are_no_components() {
    let modules: Vec<_> = (0..ROUNDS).filter_map(|round| module(&dna(round))).collect();
    let distinct: std::collections::BTreeSet<_> = modules.iter().collect();
    assert!(distinct.len() > 50, "{} modules", distinct.len());
    for (round, module) in (0..).zip(&modules) {
        assert!(unfit(engine().inspect(module).unwrap_err()).contains("core module"));
        let Err(PrepareError::Fault(fault)) = engine().prepare(module, gate(round), "{}") else { panic!("{round}") };
        assert!(unfit(fault).contains("core module"));
    }
}

/// A generated module starts with every call of a plugin that is otherwise good.
#[test]
fn generated_code_runs_within_the_limits_of_the_plugin_that_has_it() {
    let (mut taken, mut refused) = (0, 0);
    for round in (0..ROUNDS).step_by(GRAFTED_EVERY) {
        let Some(module) = module(&dna(round)) else { continue };
        let bytes = grafted(RELEASED, &module);
        let prepared = engine().inspect(&bytes).and_then(|_| match engine().prepare(&bytes, gate(round), "{}") {
            Ok(policy) => Ok(policy),
            Err(PrepareError::Fault(fault)) => Err(fault),
            Err(other) => panic!("{round}: {other}"),
        });
        match prepared {
            Ok(policy) => {
                ask(&policy, gate(round));
                taken += 1;
            }
            Err(fault) => {
                assert_eq!(fault.blame(), Blame::Plugin, "{round}: {fault}");
                refused += 1;
            }
        }
    }
    assert!(taken > 0, "all {refused} were refused");
    others_go_on();
}
