//! The three gates: an ordinary answer, or the wrong that the settings ask for.

use std::sync::atomic::{AtomicBool, Ordering};

use kernex_sdk::Reason;
use kernex_sdk::bindings::authorization::exports::kernex::policy::authorization as a;
use kernex_sdk::bindings::rollback::exports::kernex::policy::rollback as r;
use kernex_sdk::bindings::targeting::exports::kernex::policy::targeting as t;
use kernex_sdk::{Operator, Requirement, facts};

use crate::mischief::{GIANT_BYTES, WORDY_BYTES, has_room};
use crate::{Misbehaving, Mischief, allows, mischief};

/// A selector whose key nobody could write.
fn unfit() -> Vec<Requirement> {
    vec![Requirement { key: "a b".to_owned(), operator: Operator::Exists, values: Vec::new() }]
}

/// Whether this instance has answered before.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Does the wrong that a function is to do. Gives which one it is, and the reason for an answer.
fn asked(function: &str) -> (Mischief, Reason) {
    let wrong = mischief(function);
    wrong.happen();
    // Whatever is asked, one fact is read: tests look for it in the record.
    let _ = facts::get("season");
    let again = ASKED.swap(true, Ordering::Relaxed);
    let code = match wrong {
        Mischief::Remembering if again => "asked-before",
        Mischief::Makeshift if !has_room() => "no-room",
        _ => "as-asked",
    };
    let text = match wrong {
        Mischief::Curious => format!("{:?} {:?}", facts::get("host.now_ms"), facts::get("host.version")),
        _ => wrong.text(),
    };
    (wrong, Reason::new(code, text))
}

/// Whether the fact is there that a trusting plugin refuses for.
fn is_told() -> bool {
    facts::get("season").is_some()
}

impl a::Guest for Misbehaving {
    fn check(requests: Vec<a::Request>) -> Vec<a::Decision> {
        let (wrong, reason) = asked("check");
        match wrong {
            Mischief::Nonsense => vec![a::Decision::Allow; requests.len() + 1],
            Mischief::None if allows() => vec![a::Decision::Allow; requests.len()],
            Mischief::Trusting if !is_told() => vec![a::Decision::Allow; requests.len()],
            _ => vec![a::Decision::Deny(reason); requests.len()],
        }
    }

    fn scope(_: a::Principal, _: String, _: String) -> a::Visible {
        let (wrong, reason) = asked("scope");
        match wrong {
            Mischief::None if allows() => a::Visible::All,
            Mischief::Nonsense => a::Visible::Matching(vec![Requirement {
                key: "site".to_owned(),
                operator: Operator::Equals,
                values: Vec::new(),
            }]),
            Mischief::Unfit => a::Visible::Matching(unfit()),
            _ => a::Visible::Nothing(reason),
        }
    }
}

impl t::Guest for Misbehaving {
    fn survey(_: t::Deployment) -> Result<t::Plan, Reason> {
        let (wrong, reason) = asked("survey");
        let count = if wrong == Mischief::Nonsense { 65 } else { 2 };
        let waves = (0..count).map(|wave| format!("wave-{wave}")).collect();
        let candidates = if wrong == Mischief::Unfit { unfit() } else { Vec::new() };
        Ok(t::Plan { candidates, columns: Vec::new(), waves, exclusions: vec![reason] })
    }

    fn classify(_: t::Deployment, batch: t::Batch) -> Vec<u16> {
        let (wrong, _) = asked("classify");
        let devices = batch.device_hashes.len();
        match wrong {
            Mischief::Nonsense => vec![3; devices],
            Mischief::Wordy => vec![0; devices + WORDY_BYTES],
            Mischief::Giant => vec![0; GIANT_BYTES],
            Mischief::Counting => [0, 1].into_iter().cycle().take(devices).collect(),
            Mischief::Trusting if is_told() => vec![2; devices],
            _ => vec![0; devices],
        }
    }
}

impl r::Guest for Misbehaving {
    fn judge(_: r::Window, state: Vec<u8>) -> r::Outcome {
        let (wrong, reason) = asked("judge");
        let state = match wrong {
            Mischief::Nonsense => vec![0; 4_097],
            _ => state,
        };
        let action = match wrong {
            Mischief::Trusting if !is_told() => r::Action::Advance,
            _ => r::Action::Hold,
        };
        r::Outcome { action, reason, state }
    }

    fn permit(_: r::RollbackRequest) -> r::Permission {
        let (wrong, reason) = asked("permit");
        match wrong {
            Mischief::Nonsense => r::Permission::Refused(Reason::new("Not A Code", "")),
            Mischief::Trusting if !is_told() => r::Permission::Permitted,
            _ => r::Permission::Refused(reason),
        }
    }
}
