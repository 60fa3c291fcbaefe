//! Instances that answer more than once: they agree with fresh ones, and a fault ends the instance, not the policy.

use kernex_model::policy::{AuthorizationDecision, Fault, Gate};
use kernex_tests::guests::{engine, misbehaving};

use super::questions;

/// More calls than one instance answers, several times over.
const CALLS: usize = 1_500;
/// More than it costs to make the memory grow by a page.
const GROWING_FUEL: u64 = 1_000;

#[test]
fn a_reused_instance_agrees_with_fresh_ones() {
    let fresh = engine().prepare(kernex_plugins::RBAC.bytes, Gate::Authorization, questions::ROLES).unwrap();
    let reused = fresh.reusing_instances();
    let roles: [&[&str]; 4] = [&["admin"], &["viewer", "operator"], &["viewer"], &[]];
    let actions = ["device:read", "deployment:create", "user:update", "device:heartbeat"];
    let questions: Vec<_> =
        roles.iter().flat_map(|roles| actions.map(|action| questions::request(roles, action))).collect();
    let wanted: Vec<_> = questions.iter().map(|request| fresh.check(std::slice::from_ref(request), &[])).collect();
    assert!(wanted.iter().any(|run| run.outcome == Ok(vec![AuthorizationDecision::Allow])));
    assert!(wanted.iter().any(|run| matches!(&run.outcome, Ok(answer) if answer[0] != AuthorizationDecision::Allow)));
    for call in 0..CALLS {
        let which = (call * 7) % questions.len();
        let run = reused.check(std::slice::from_ref(&questions[which]), &[]);
        assert_eq!(run.outcome, wanted[which].outcome, "call {call}: {:?}", questions[which]);
        // Memory is not given back between two calls, so one call in many has to make it grow.
        assert!(run.fuel.abs_diff(wanted[which].fuel) < GROWING_FUEL, "call {call}: {} fuel", run.fuel);
    }
}

#[test]
fn threads_do_not_see_each_others_calls() {
    let reused = engine()
        .prepare(kernex_plugins::RBAC.bytes, Gate::Authorization, questions::ROLES)
        .unwrap()
        .reusing_instances();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let reused = &reused;
            scope.spawn(move || {
                let (role, allowed) = if thread % 2 == 0 { ("admin", true) } else { ("viewer", false) };
                let request = questions::request(&[role], "user:update");
                for _ in 0..500 {
                    let answer = reused.check(std::slice::from_ref(&request), &[]).outcome.unwrap();
                    assert_eq!(answer == [AuthorizationDecision::Allow], allowed);
                }
            });
        }
    });
}

#[test]
fn a_fault_ends_the_instance_and_not_the_policy() {
    let request = questions::request(&["viewer"], "device:read");
    for (mischief, code) in [("panic", "trapped"), ("loop", "out_of_fuel"), ("nonsense", "bad_output")] {
        let reused = misbehaving(Gate::Authorization, mischief).reusing_instances();
        for call in 0..3 {
            let fault = reused.check(std::slice::from_ref(&request), &[]).outcome.unwrap_err();
            assert_eq!(fault.code(), code, "{mischief}, call {call}: {fault}");
        }
    }
    let well = misbehaving(Gate::Authorization, "none").reusing_instances();
    assert!(well.check(std::slice::from_ref(&request), &[]).outcome.is_ok());
}

#[test]
fn an_instance_that_is_stopped_answers_no_more() {
    let reused = misbehaving(Gate::Authorization, "remembering").reusing_instances();
    let request = questions::request(&["viewer"], "device:read");
    let code = || match reused.check(std::slice::from_ref(&request), &[]).outcome.unwrap().remove(0) {
        AuthorizationDecision::Deny(reason) => reason.code,
        AuthorizationDecision::Allow => panic!("it denies"),
    };
    assert_eq!([code(), code()], ["as-asked", "asked-before"]);
    let stopped = reused.with_fuel_at_most(10).check(std::slice::from_ref(&request), &[]).outcome;
    assert!(matches!(stopped, Err(Fault::OutOfFuel(_))), "{stopped:?}");
    assert_eq!([code(), code()], ["as-asked", "asked-before"], "another instance answers");
}
