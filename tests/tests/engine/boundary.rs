//! Answers that nobody wrote: a guest of our own hand gives back lengths, pointers and cases at random. Each is read or
//! refused, with the guest to blame, and the engine goes on.

use kernex_engine::{Policy, PrepareError};
use kernex_model::policy::{Blame, Counts, Fault, Gate};
use kernex_tests::guests::{engine, misbehaving};

use super::by_hand::{self, MANIFEST, ZEROS};
use super::questions;

/// Questions that each function is asked.
const ROUNDS: u64 = 1_000;
/// Descriptions and configurations that are tried: each is compiled.
const LIVES: u64 = 100;

/// Memory of 512 KiB. What it is asked is laid down from 128 KiB on. An answer is a pointer into its first 4 KiB, most
/// often, which are filled anew from a seed that depends on the question: with small numbers, with pointers into
/// themselves, with letters; in every other answer also with lengths that are too long, with pointers to where memory
/// ends, and with anything.
const GUEST: &str = r#"
    (memory (export "memory") 8)
    (global $top (mut i32) (i32.const 131072))
    (global $kinds (mut i32) (i32.const 7))
    (func (export "cabi_realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and
        (i32.sub (i32.add (global.get $top) (local.get $align)) (i32.const 1))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.set $top (i32.add (local.get $at) (local.get $new)))
      (local.get $at))
    (func $next (result i64)
      (global.set $seed (i64.xor (global.get $seed) (i64.shl (global.get $seed) (i64.const 13))))
      (global.set $seed (i64.xor (global.get $seed) (i64.shr_u (global.get $seed) (i64.const 7))))
      (global.set $seed (i64.xor (global.get $seed) (i64.shl (global.get $seed) (i64.const 17))))
      (global.get $seed))
    (func $word (result i32)
      (local $some i64)
      (local $value i32)
      (local.set $some (call $next))
      (local.set $value (i32.wrap_i64 (i64.shr_u (local.get $some) (i64.const 8))))
      (block $any
        (block $end
          (block $length
            (block $letters
              (block $place
                (block $small
                  (br_table $small $small $place $letters $length $end $any
                    (i32.and (i32.wrap_i64 (local.get $some)) (global.get $kinds))))
                (return (i32.and (local.get $value) (i32.const 3))))
              (return (i32.and (local.get $value) (i32.const 0xff8))))
            (return (i32.add (i32.and (local.get $value) (i32.const 0x0f0f0f0f)) (i32.const 0x61616161))))
          (return (i32.and (local.get $value) (i32.const 15))))
        (return (i32.add (i32.const 520192) (i32.and (local.get $value) (i32.const 0xfff)))))
      (local.get $value))
    (func $answer (result i32)
      (local $at i32)
      (local.set $at (i32.const 131072))
      (block $read
        (loop $more
          (br_if $read (i32.ge_u (local.get $at) (global.get $top)))
          (global.set $seed (i64.mul
            (i64.xor (global.get $seed) (i64.load8_u (local.get $at)))
            (i64.const 1099511628211)))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $more)))
      (global.set $kinds (select (i32.const 3) (i32.const 7) (i32.wrap_i64 (i64.and (call $next) (i64.const 1)))))
      (local.set $at (i32.const 0))
      (loop $fill
        (i32.store (local.get $at) (call $word))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br_if $fill (i32.lt_u (local.get $at) (i32.const 4096))))
      (if (result i32) (i64.eqz (i64.and (call $next) (i64.const 0xf00)))
        (then (call $word))
        (else (i32.and (i32.wrap_i64 (call $next)) (i32.const 0xff8)))))
"#;

/// A plugin for a gate, all of whose functions answer at random; and so does one function of the lifecycle.
fn guest(gate: Gate, too: Option<&str>, seed: u64) -> Vec<u8> {
    let fields = format!("(global $seed (mut i64) (i64.const {seed})) {GUEST}");
    by_hand::plugin(gate, &fields, |function| {
        let fixed = match function {
            "describe" => Some(MANIFEST),
            "configure" => Some(ZEROS),
            _ => None,
        };
        match fixed.filter(|_| too != Some(function)) {
            Some(place) => format!("(i32.const {place})"),
            None => "(call $answer)".to_owned(),
        }
    })
}

/// Asks both functions of a gate; what each one says depends on the round.
fn asked(policy: &Policy, gate: Gate, round: u64) -> [(&'static str, Option<Fault>); 2] {
    match gate {
        Gate::Authorization => {
            let mut request = questions::request(&["viewer"], "device:list");
            request.principal.id = format!("usr_{round}");
            let checked = policy.check(std::slice::from_ref(&request), &[]).outcome.err();
            let seen = policy.scope(&request.principal, "device:list", "device", &[]).outcome.err();
            [("check", checked), ("scope", seen)]
        }
        Gate::Targeting => {
            let mut deployment = questions::deployment();
            deployment.id = format!("dpl_{round}");
            let surveyed = policy.survey(&deployment, &[]).outcome.err();
            let classified = policy.classify(&deployment, &questions::plan(), &questions::batch(1), &[]).outcome.err();
            [("survey", surveyed), ("classify", classified)]
        }
        Gate::Rollback => {
            let (mut window, mut request) = (questions::window(Counts::default()), questions::rollback());
            window.deployment = format!("dpl_{round}");
            request.device = format!("dev_{round}");
            [
                ("judge", policy.judge(&window, &[1, 2], &[]).outcome.err()),
                ("permit", policy.permit(&request, &[]).outcome.err()),
            ]
        }
    }
}

/// Fails unless the guest is to blame, for its answer.
#[track_caller]
fn refused(fault: &Fault) {
    assert!(matches!(fault, Fault::BadOutput(_) | Fault::Trapped(_)), "{fault}");
    assert_eq!(fault.blame(), Blame::Plugin, "{fault}");
    assert!(!fault.detail().is_empty() && fault.detail().len() <= 1_100, "{fault}");
}

#[test]
fn answers_at_random_are_read_or_refused_at_every_gate() {
    let good = misbehaving(Gate::Authorization, "none");
    for gate in Gate::ALL {
        let policy = engine().prepare(&guest(gate, None, 1), gate, "{}").unwrap();
        let (mut read, mut bad) = (0, 0);
        for round in 0..ROUNDS {
            for (function, fault) in asked(&policy, gate, round) {
                // The same question is answered at random, and alike.
                if round % 100 == 0 {
                    assert!(asked(&policy, gate, round).contains(&(function, fault.clone())), "{function}");
                }
                match fault {
                    None => read += 1,
                    Some(fault) => {
                        refused(&fault);
                        bad += 1;
                    }
                }
            }
            let answer = good.check(&[questions::request(&["viewer"], "device:list")], &[]);
            assert!(answer.outcome.is_ok(), "after round {round} of {gate:?}: {answer:?}");
        }
        assert!(read > 0 && bad > read, "{gate:?}: {read} answers were read, {bad} refused");
    }
}

#[test]
fn what_a_plugin_says_of_itself_at_random_is_read_or_refused() {
    let mut bad = 0;
    for seed in 1..=LIVES {
        if let Err(fault) = engine().inspect(&guest(Gate::Rollback, Some("describe"), seed)) {
            refused(&fault);
            bad += 1;
        }
    }
    assert!(bad > 0, "a manifest at random is hardly ever one");
    let fine = engine().inspect(&guest(Gate::Rollback, None, 1)).unwrap();
    assert_eq!((fine.manifest.name.as_str(), fine.gates), ("random", vec![Gate::Rollback]));
}

#[test]
fn what_a_plugin_says_of_its_settings_at_random_is_read_or_refused() {
    let guest = guest(Gate::Rollback, Some("configure"), 1);
    let (mut taken, mut bad) = (0, 0);
    for settings in 0..LIVES {
        match engine().prepare(&guest, Gate::Rollback, &settings.to_string()) {
            Ok(_) | Err(PrepareError::Settings(_)) => taken += 1,
            Err(PrepareError::Fault(fault)) => {
                refused(&fault);
                bad += 1;
            }
            Err(error) => panic!("{settings}: {error}"),
        }
    }
    assert!(taken > 0 && bad > taken, "{taken} answers were read, {bad} refused");
}
