//! Whatever a plugin does wrong in a decision is a fault of the right kind, and the engine goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kernex_engine::{Engine, FactSource, Limits, Policy};
use kernex_model::policy::{Blame, Counts, Fact, Fault, Gate, LOG_BYTES, Permission, Value};
use kernex_tests::guests::{MISBEHAVING, misbehaving};

use super::questions;

/// The faults of every function of every gate, by the function's name.
fn faults(decide: &'static str) -> Vec<(&'static str, Option<Fault>)> {
    faults_of(|gate| misbehaving(gate, decide))
}

fn faults_of(policy: impl Fn(Gate) -> Policy) -> Vec<(&'static str, Option<Fault>)> {
    let authorization = policy(Gate::Authorization);
    let targeting = policy(Gate::Targeting);
    let rollback = policy(Gate::Rollback);
    let request = questions::request(&["viewer"], "device:read");
    let principal = questions::principal(&[]);
    let deployment = questions::deployment();
    let window = questions::window(Counts::default());
    let plan = questions::plan();
    let batch = questions::batch(3);
    vec![
        ("check", authorization.check(&[request], &[]).outcome.err()),
        ("scope", authorization.scope(&principal, "device:list", "device", &[]).outcome.err()),
        ("survey", targeting.survey(&deployment, &[]).outcome.err()),
        ("classify", targeting.classify(&deployment, &plan, &batch, &[]).outcome.err()),
        ("judge", rollback.judge(&window, &[1, 2], &[]).outcome.err()),
        ("permit", rollback.permit(&questions::rollback(), &[]).outcome.err()),
    ]
}

/// Every function of every gate gives the fault with this code, and serves on afterwards.
fn every_gate_gives(decide: &'static str, code: &str) {
    for (function, fault) in faults(decide) {
        let fault = fault.unwrap_or_else(|| panic!("{function} did not fail"));
        assert_eq!(fault.code(), code, "{function}: {fault}");
        assert_eq!(fault.blame(), Blame::Plugin, "{function}");
        assert!(!fault.detail().is_empty() && fault.detail().len() <= 1_100, "{function}: {fault}");
    }
    for (function, fault) in faults("none") {
        assert_eq!(fault, None, "{function}");
    }
}

#[test]
fn a_panic_is_a_trap() {
    every_gate_gives("panic", "trapped");
}

#[test]
fn a_loop_runs_out_of_fuel() {
    every_gate_gives("loop", "out_of_fuel");
}

#[test]
fn a_policy_can_be_given_less_memory() {
    let rollback = misbehaving(Gate::Rollback, "makeshift");
    let code = |policy: &Policy| match policy.permit(&questions::rollback(), &[]).outcome {
        Ok(Permission::Refused(reason)) => reason.code,
        Ok(Permission::Permitted) => "permitted".to_owned(),
        Err(fault) => fault.code().to_owned(),
    };
    assert_eq!(code(&rollback), "as-asked");
    assert_eq!(code(&rollback.with_memory_at_most(4 << 20)), "no-room");
    assert_eq!(code(&rollback.with_memory_at_most(0)), "out_of_memory", "there is none to begin with");
    assert_eq!(code(&rollback.with_memory_at_most(usize::MAX)), "as-asked", "never more than the engine's limit");
}

#[test]
fn moving_memory_in_bulk_costs_fuel_too() {
    every_gate_gives("bulk", "out_of_fuel");
}

/// Nothing else than the clock stops these: their fuel lasts for hundreds of times as long. Without the thread that
/// raises the epochs they would run until it is used up.
#[test]
fn what_takes_too_long_is_stopped_by_the_clock_and_the_host_is_to_blame() {
    let lingering = |gate| misbehaving(gate, "linger");
    for (function, fault) in faults_of(|gate| lingering(gate).with_deadline_at_most(1))
        .into_iter()
        .chain(faults_of(|gate| lingering(gate).with_deadline_at_most(1).reusing_instances()))
    {
        let fault = fault.unwrap_or_else(|| panic!("{function} did not fail"));
        assert_eq!(fault, Fault::DeadlineExceeded("it was stopped by the clock".to_owned()), "{function}");
        assert_eq!(fault.blame(), Blame::Host, "{function}");
    }
    // With less fuel, and the deadlines that their gates have, it is the fuel.
    for (function, fault) in faults_of(|gate| lingering(gate).with_fuel_at_most(200_000)) {
        assert!(matches!(fault, Some(Fault::OutOfFuel(_))), "{function}: {fault:?}");
    }
    for (function, fault) in faults("none") {
        assert_eq!(fault, None, "{function}");
    }
}

#[test]
fn recursion_without_an_end_is_a_trap() {
    every_gate_gives("recurse", "trapped");
}

#[test]
fn allocation_without_an_end_is_out_of_memory() {
    every_gate_gives("allocate", "out_of_memory");
}

#[test]
fn an_answer_that_is_too_large_to_cross_is_bad_output() {
    every_gate_gives("giant", "bad_output");
}

#[test]
fn a_text_that_is_too_long_is_bad_output() {
    every_gate_gives("wordy", "bad_output");
}

#[test]
fn an_answer_outside_of_the_contract_is_bad_output() {
    every_gate_gives("nonsense", "bad_output");
}

#[test]
fn a_text_that_is_no_utf8_is_bad_output() {
    // A classification carries no text.
    for (function, fault) in faults("garbled") {
        match (function, fault) {
            ("classify", None) | (_, Some(Fault::BadOutput(_))) => {}
            (function, fault) => panic!("{function}: {fault:?}"),
        }
    }
}

#[test]
fn a_policy_serves_one_gate_only() {
    let policy = misbehaving(Gate::Rollback, "none");
    let run = policy.check(&[questions::request(&[], "device:read")], &[]);
    assert!(matches!(run.outcome, Err(Fault::Incompatible(_))), "{run:?}");
}

#[test]
fn facts_read_and_log_lines_are_kept_within_limits() {
    let facts = [Fact::text("season", "winter"), Fact::text("weather", "snow")];
    let policy = misbehaving(Gate::Authorization, "chatty");
    let run = policy.check(&[questions::request(&[], "device:read")], &facts);
    assert!(run.outcome.is_ok(), "{run:?}");
    assert_eq!(run.facts_read, facts[..1]);
    let kept: usize = run.log.lines().iter().map(|line| line.message.len()).sum();
    assert!((8_192..=LOG_BYTES).contains(&kept) && run.log.is_truncated(), "{kept}");
}

#[test]
fn what_is_not_sent_along_is_looked_up_at_every_function() {
    let source = FactSource::new(|name| (name == "season").then(|| Value::Text("winter".to_owned())));
    let policy = |gate| misbehaving(gate, "none").with_facts_from(source.clone());
    let (authorization, targeting) = (policy(Gate::Authorization), policy(Gate::Targeting));
    let rollback = policy(Gate::Rollback);
    let request = questions::request(&["viewer"], "device:read");
    let (deployment, window) = (questions::deployment(), questions::window(Counts::default()));
    let read = [
        authorization.check(std::slice::from_ref(&request), &[]).facts_read,
        authorization.scope(&request.principal, "device:list", "device", &[]).facts_read,
        targeting.survey(&deployment, &[]).facts_read,
        targeting.classify(&deployment, &questions::plan(), &questions::batch(3), &[]).facts_read,
        rollback.judge(&window, &[], &[]).facts_read,
        rollback.permit(&questions::rollback(), &[]).facts_read,
    ];
    let winter = [Fact::text("season", "winter")];
    assert!(read.iter().all(|facts| *facts == winter), "{read:?}");
    // An instance that answers again finds what belongs to the call; and what is sent along comes first.
    let (reused, summer) = (authorization.reusing_instances(), [Fact::text("season", "summer")]);
    for (sent, found) in [(&[][..], &winter), (&summer[..], &summer), (&[][..], &winter)] {
        assert_eq!(reused.check(std::slice::from_ref(&request), sent).facts_read, found);
    }
    let alone = misbehaving(Gate::Authorization, "none").check(&[request], &[]);
    assert!(alone.facts_read.is_empty(), "{alone:?}");
}

#[test]
fn a_faulting_policy_does_not_disturb_others_that_run_beside_it() {
    let good = misbehaving(Gate::Authorization, "none");
    let bad = ["panic", "loop", "allocate", "recurse"].map(|what| misbehaving(Gate::Authorization, what));
    let request = questions::request(&["viewer"], "device:read");
    std::thread::scope(|scope| {
        for policy in &bad {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert!(policy.check(std::slice::from_ref(&request), &[]).outcome.is_err());
                }
            });
        }
        for _ in 0..200 {
            let run = good.check(std::slice::from_ref(&request), &[]);
            assert!(run.outcome.is_ok(), "{run:?}");
        }
    });
}

#[test]
fn a_host_without_room_is_to_blame_itself() {
    let engine = Engine::new(Limits { concurrent_instances: 1, ..Limits::default() }).unwrap();
    let prepare = |settings: &str| engine.prepare(MISBEHAVING, Gate::Authorization, settings).unwrap();
    let (good, busy) = (prepare("{}"), prepare(r#"{"decide": "loop"}"#));
    let request = questions::request(&[], "device:read");
    let (seen, until) = (AtomicBool::new(false), Instant::now() + Duration::from_secs(30));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !seen.load(Ordering::Relaxed) && Instant::now() < until {
                let _ = busy.check(std::slice::from_ref(&request), &[]);
            }
        });
        while !seen.load(Ordering::Relaxed) && Instant::now() < until {
            if let Err(fault) = good.check(std::slice::from_ref(&request), &[]).outcome {
                assert!(matches!(fault, Fault::Unavailable(_)), "{fault}");
                assert_eq!(fault.blame(), Blame::Host);
                seen.store(true, Ordering::Relaxed);
            }
        }
    });
    assert!(seen.load(Ordering::Relaxed), "one instance was never in the other's way");
    assert!(good.check(std::slice::from_ref(&request), &[]).outcome.is_ok());
}
