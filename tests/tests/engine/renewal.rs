//! Instances of an authorization policy are put back to what they were and asked again: no call finds anything of another,
//! whatever a plugin tries to keep.

use kernex_engine::Policy;
use kernex_model::policy::{AuthorizationDecision, Fact, Gate};
use kernex_tests::guests::{engine, misbehaving};

use super::by_hand::{self, MANIFEST, ZEROS};
use super::questions;

/// Calls that are looked at, one after the other.
const CALLS: usize = 300;

/// Memory of 512 KiB, of which 384 are its own to write to. What it is asked is laid down at 64 KiB. Whether anything is
/// left of an earlier call it says in the only letter of a reason: `c` for clean, `s` for seen.
const GUEST: &str = r#"
    (memory (export "memory") 8)
    (global $kept (mut i64) (i64.const 0))
    (global $count (mut i32) (i32.const 7))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
    (data (i32.const 16384) "cs")
    (data (i32.const 16640) "\80\41\00\00\01\00\00\00")
    (data (i32.const 16768) "\01\00\00\00\00\40\00\00\01\00\00\00\00\40\00\00\01\00\00\00")
    (func $sum (result i64)
      (local $at i32)
      (local $sum i64)
      (local.set $at (i32.const 131072))
      (loop $more
        (local.set $sum (i64.or (local.get $sum) (i64.load (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $more (i32.lt_u (local.get $at) (i32.const 524288))))
      (local.get $sum))
    (func $clean (result i32)
      (i32.and
        (i32.and (i64.eqz (call $sum)) (i64.eqz (global.get $kept)))
        (i32.and (i32.eq (global.get $count) (i32.const 7)) (i32.eq (memory.size) (i32.const 8)))))
    (func $answer (result i32)
      (i32.store (i32.const 16772) (i32.sub (i32.const 16385) (call $clean)))
      (call $keep)
      (i32.const 16640))
"#;

fn policy(keep: &str) -> Policy {
    let fields = format!("{GUEST} (func $keep {keep})");
    let plugin = by_hand::plugin(Gate::Authorization, &fields, |function| match function {
        "describe" => format!("(i32.const {MANIFEST})"),
        "configure" => format!("(i32.const {ZEROS})"),
        _ => "(call $answer)".to_owned(),
    });
    engine().prepare(&plugin, Gate::Authorization, "{}").unwrap()
}

fn code(policy: &Policy) -> String {
    let request = questions::request(&["viewer"], "device:read");
    match policy.check(std::slice::from_ref(&request), &[]).outcome.unwrap().remove(0) {
        AuthorizationDecision::Deny(reason) => reason.code,
        AuthorizationDecision::Allow => panic!("it denies"),
    }
}

#[test]
fn nothing_that_a_plugin_keeps_is_there_in_its_next_call() {
    let kept = [
        ("nothing", ""),
        ("a byte behind the others", "(i32.store8 (i32.const 524287) (i32.const 1))"),
        ("all of its memory", "(memory.fill (i32.const 131072) (i32.const 238) (i32.const 393216))"),
        // More places than one look at the memory finds.
        (
            "a byte in every other page",
            "(local $at i32) (local.set $at (i32.const 131072))
             (loop $more
               (i32.store8 (local.get $at) (i32.const 1))
               (local.set $at (i32.add (local.get $at) (i32.const 8192)))
               (br_if $more (i32.lt_u (local.get $at) (i32.const 524288))))",
        ),
        ("a large global", "(global.set $kept (i64.const 0x100000000))"),
        ("a small global", "(global.set $count (i32.const 8))"),
        ("more memory", "(drop (memory.grow (i32.const 1)))"),
    ];
    for (what, keep) in kept {
        let policy = policy(keep);
        for call in 0..CALLS {
            assert_eq!(code(&policy), "c", "{what}, call {call}");
        }
        // It would be, where instances are to remember: the guest does look for it.
        let reused = policy.reusing_instances();
        assert_eq!(code(&reused), "c", "{what}");
        assert_eq!(code(&reused) == "s", what != "nothing", "{what}");
    }
}

#[test]
fn threads_share_instances_and_nothing_else() {
    let policy = policy("(memory.fill (i32.const 131072) (i32.const 238) (i32.const 65536))");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..CALLS).for_each(|call| assert_eq!(code(&policy), "c", "call {call}")));
        }
    });
}

/// A byte in another page with every question: which one depends on the text that was laid down last.
const SOMEWHERE: &str = "(i32.store8
    (i32.add (i32.const 131072) (i32.mul (i32.and (i32.load8_u (i32.const 65536)) (i32.const 63)) (i32.const 4096)))
    (i32.const 1))";

#[test]
fn whatever_thread_writes_to_whatever_page_leaves_nothing_there() {
    let policy = policy(SOMEWHERE);
    let ask = |letter: u8| {
        let text = char::from(letter).to_string().repeat(8);
        let mut request = questions::request(&[&text], "device:read");
        (request.principal.id, request.resource.kind) = (text.clone(), text.clone());
        (request.principal.facts, request.resource.facts) = (Vec::new(), Vec::new());
        request.context = vec![Fact::text(&text, &text)];
        match policy.check(std::slice::from_ref(&request), &[]).outcome.unwrap().remove(0) {
            AuthorizationDecision::Deny(reason) => reason.code,
            AuthorizationDecision::Allow => panic!("it denies"),
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            scope.spawn(move || {
                for call in 0..CALLS {
                    // Runs of the same letter, so that threads also meet pages that another thread has written to first.
                    let letter = b'a' + (u8::try_from(call / 7 % 26).unwrap() + thread * 5) % 26;
                    assert_eq!(ask(letter), "c", "thread {thread}, call {call}");
                }
            });
        }
    });
    // The guest does write there: a reused instance finds it.
    assert_eq!([code(&policy.reusing_instances()), code(&policy)], ["c", "c"]);
    let reused = policy.reusing_instances();
    assert_eq!([code(&reused), code(&reused)], ["c", "s"]);
}

#[test]
fn every_call_costs_what_the_first_one_did() {
    let policy = misbehaving(Gate::Authorization, "remembering");
    let request = questions::request(&["viewer"], "device:read");
    let first = policy.check(std::slice::from_ref(&request), &[]);
    for call in 0..CALLS {
        let run = policy.check(std::slice::from_ref(&request), &[]);
        assert_eq!((&run.outcome, run.fuel), (&first.outcome, first.fuel), "call {call}");
    }
}

#[test]
fn a_batch_that_makes_memory_grow_leaves_nothing_to_a_single_question() {
    let policy = engine().prepare(kernex_plugins::RBAC.bytes, Gate::Authorization, questions::ROLES).unwrap();
    let requests: Vec<_> = (0..500).map(|_| questions::request(&["viewer"], "device:read")).collect();
    let first = policy.check(&requests[..1], &[]);
    let many = policy.check(&requests, &[]);
    for _ in 0..10 {
        let again = policy.check(&requests, &[]);
        assert_eq!((&again.outcome, again.fuel), (&many.outcome, many.fuel));
        let one = policy.check(&requests[..1], &[]);
        assert_eq!((&one.outcome, one.fuel), (&first.outcome, first.fuel));
    }
}

#[test]
fn a_call_that_fails_leaves_nothing_either() {
    let request = questions::request(&["viewer"], "device:read");
    let policy = misbehaving(Gate::Authorization, "remembering");
    let first = policy.check(std::slice::from_ref(&request), &[]);
    for fuel in [1, 50, 500, first.fuel / 2] {
        let stopped = policy.with_fuel_at_most(fuel).check(std::slice::from_ref(&request), &[]);
        assert!(stopped.outcome.is_err(), "{fuel}");
        let _ = policy.check(std::slice::from_ref(&request), &[Fact::text("season", "summer")]);
        let after = policy.check(std::slice::from_ref(&request), &[]);
        assert_eq!((&after.outcome, after.fuel), (&first.outcome, first.fuel), "{fuel}");
    }
}
