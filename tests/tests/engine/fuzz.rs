//! Damaged components. Whatever is left of them, they are refused, or they run within their limits; the engine goes on.

use kernex_engine::Policy;
use kernex_model::policy::{AuthorizationDecision, Counts, Gate};
use kernex_tests::guests::{MISBEHAVING, RELEASED, engine};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::questions;

/// Components that are tried.
const ROUNDS: u64 = 60;
/// Bytes of a component that are damaged, at most: of more, nearly every component is refused.
const MAX_DAMAGED: usize = 2;

/// Asks everything that a gate is asked; what comes of it does not matter here.
pub(super) fn ask(policy: &Policy, gate: Gate) {
    match gate {
        Gate::Authorization => {
            let request = questions::request(&["admin"], "device:list");
            let _ = policy.check(std::slice::from_ref(&request), &[]);
            let _ = policy.scope(&request.principal, "device:list", "device", &[]);
        }
        Gate::Targeting => {
            let deployment = questions::deployment();
            if let Ok(Ok(plan)) = policy.survey(&deployment, &[]).outcome {
                let columns = plan.columns.len();
                let mut batch = questions::batch(16);
                batch.columns.truncate(columns);
                let _ = policy.classify(&deployment, &plan, &batch, &[]);
            }
        }
        Gate::Rollback => {
            let _ = policy.judge(&questions::window(Counts::default()), &[], &[]);
        }
    }
}

/// Tells whether it was taken.
fn tried(bytes: &[u8]) -> bool {
    let inspected = engine().inspect(bytes);
    for gate in Gate::ALL {
        if let Ok(policy) = engine().prepare(bytes, gate, "{}") {
            assert!(inspected.is_ok(), "what cannot be inspected must not run");
            ask(&policy, gate);
        }
    }
    inspected.is_ok()
}

pub(super) fn others_go_on() {
    let policy = engine().prepare(RELEASED, Gate::Authorization, "{}").unwrap();
    let answer = policy.check(&[questions::request(&["admin"], "device:list")], &[]);
    assert_eq!(answer.outcome.unwrap(), [AuthorizationDecision::Allow]);
}

#[test]
fn damaged_components_are_refused_or_run_within_their_limits() {
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..ROUNDS {
        let mut random = StdRng::seed_from_u64(seed);
        let mut bytes = if seed % 2 == 0 { MISBEHAVING.to_vec() } else { RELEASED.to_vec() };
        for _ in 0..random.random_range(1..=MAX_DAMAGED) {
            let place = random.random_range(8..bytes.len());
            bytes[place] = random.random();
        }
        if tried(&bytes) { taken += 1 } else { refused += 1 }
    }
    // Damage in data and code is often not to be seen.
    assert!(taken > 0 && refused > 0, "{taken} were taken, {refused} refused");
    others_go_on();
}
