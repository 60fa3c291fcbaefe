//! Owns what a plugin is asked beyond its cases: whether it is the same every time, and what it does when something
//! is missing.

use kernex_engine::Policy;
use kernex_model::policy::Fault;

use super::ask::{Answer, Heard};
use super::cases::{Case, Inquiry, Question};
use super::opening::opens;
use super::removal::removals;

/// Times that a fresh instance is asked again.
const REPEATS: usize = 2;
/// Times that a reused instance is asked.
const REUSES: usize = 3;
/// Facts that are taken away from one case.
const MAX_REMOVALS: usize = 256;
/// Quarters of the fuel that it needs after which it is stopped.
const FUEL_QUARTERS: [u64; 4] = [0, 1, 2, 3];
/// The least memory that an instance is tried with, in bytes; then it gets twice as much, again and again.
const LEAST_MEMORY_BYTES: usize = 1 << 16;
/// Less memory than this it is tried with, in bytes: so much it has on a server.
const MEMORY_BYTES: usize = 16 << 20;

/// A plugin with settings, both ways.
#[derive(Clone)]
pub(super) struct Prepared {
    /// A new instance for each call.
    pub(super) fresh: Policy,
    /// Instances that answer more than once; the cases of a file share them.
    pub(super) reused: Policy,
}

impl Prepared {
    /// Both ways of running a policy.
    pub(super) fn new(fresh: Policy) -> Self {
        Self { reused: fresh.reusing_instances(), fresh }
    }
}

/// What was found out about one case.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// What must not be.
    pub(super) failures: Vec<String>,
    /// What the author may want to know.
    pub(super) notes: Vec<String>,
    /// How often the plugin was asked.
    pub(super) runs: usize,
}

/// Asks a case's question in all those ways. `first` is what a fresh instance said.
pub(super) fn probe(case: &Case, prepared: &Prepared, first: &Heard) -> Findings {
    let mut probe = Probe { case, prepared, first, findings: Findings::default() };
    probe.repeat();
    if first.outcome.is_ok() {
        probe.reuse();
        probe.cut();
        probe.stop();
        probe.cramp();
        probe.withhold();
    }
    probe.findings
}

struct Probe<'a> {
    case: &'a Case,
    prepared: &'a Prepared,
    first: &'a Heard,
    findings: Findings,
}

impl Probe<'_> {
    fn ask(&mut self, inquiry: &Inquiry, policy: &Policy) -> Heard {
        self.findings.runs += 1;
        inquiry.ask(policy)
    }

    fn fail(&mut self, failure: String) {
        self.findings.failures.push(failure);
    }

    /// The same question to another fresh instance: the same answer for the same fuel.
    fn repeat(&mut self) {
        for _ in 0..REPEATS {
            let again = self.ask(&self.case.inquiry, &self.prepared.fresh);
            if again.outcome != self.first.outcome {
                let (now, before) = (said(&again), said(self.first));
                return self.fail(format!("it is not deterministic: asked again it answers {now} after {before}"));
            }
            if again.fuel != self.first.fuel {
                let (now, before) = (again.fuel, self.first.fuel);
                return self.fail(format!("it is not deterministic: asked again it uses {now} fuel after {before}"));
            }
        }
    }

    /// To an instance that has answered before, also other cases: the same answer.
    fn reuse(&mut self) {
        for _ in 0..REUSES {
            let reused = self.ask(&self.case.inquiry, &self.prepared.reused);
            if reused.outcome != self.first.outcome {
                let (now, fresh) = (said(&reused), said(self.first));
                return self.fail(format!(
                    "it keeps something between two calls: a reused instance answers {now}, a fresh one {fresh}"
                ));
            }
        }
    }

    /// Devices in other batches: the same classes.
    fn cut(&mut self) {
        let (Question::Classify { deployment, devices }, Ok(Answer::Classify(whole))) =
            (&self.case.inquiry.question, &self.first.outcome)
        else {
            return;
        };
        let part = |devices: Vec<_>| Inquiry {
            question: Question::Classify { deployment: deployment.clone(), devices },
            facts: self.case.inquiry.facts.clone(),
        };
        let mut cuts = vec![("reversed".to_owned(), vec![part(devices.iter().rev().cloned().collect())])];
        let mut sizes = vec![1, 2, devices.len().div_ceil(2)];
        sizes.sort_unstable();
        sizes.dedup();
        for size in sizes.into_iter().filter(|size| (1..devices.len()).contains(size)) {
            cuts.push((format!("in batches of {size}"), devices.chunks(size).map(|cut| part(cut.to_vec())).collect()));
        }
        for (how, parts) in cuts {
            let mut classes = Vec::new();
            for part in &parts {
                let heard = self.ask(part, &self.prepared.fresh);
                match heard.outcome {
                    Ok(Answer::Classify(found)) => classes.extend(found.named),
                    _ => return self.fail(format!("with the devices {how} it answers {}", said(&heard))),
                }
            }
            if how == "reversed" {
                classes.reverse();
            }
            if let Some(at) = (0..whole.named.len()).find(|at| classes.get(*at) != whole.named.get(*at)) {
                let (now, before) = (classes.get(at).map_or("nothing", String::as_str), &whole.named[at]);
                return self.fail(format!("with the devices {how}, device {at} is {now} instead of {before}"));
            }
        }
    }

    /// Trapped in its middle, for want of fuel: a fault, never another answer; and of an instance to which that
    /// happened, nothing is left in the next answer.
    fn stop(&mut self) {
        let Prepared { fresh, reused } = self.prepared;
        for quarters in FUEL_QUARTERS {
            let fuel = self.first.fuel.saturating_mul(quarters) / 4;
            for policy in [fresh, reused] {
                let stopped = self.ask(&self.case.inquiry, &policy.with_fuel_at_most(fuel));
                if let Some(wrong) = wrong_in_want(self.first, &stopped) {
                    return self.fail(format!("with {fuel} of the {} fuel that it needs it {wrong}", self.first.fuel));
                }
            }
            let after = self.ask(&self.case.inquiry, reused);
            if after.outcome != self.first.outcome {
                let (now, before) = (said(&after), said(self.first));
                return self.fail(format!("after it was stopped, a reused instance answers {now} instead of {before}"));
            }
        }
    }

    /// With little memory, and then twice as much: a fault, never another answer, until there is enough.
    fn cramp(&mut self) {
        let mut bytes = LEAST_MEMORY_BYTES;
        while bytes < MEMORY_BYTES {
            let cramped = self.ask(&self.case.inquiry, &self.prepared.fresh.with_memory_at_most(bytes));
            if let Some(wrong) = wrong_in_want(self.first, &cramped) {
                return self.fail(format!("with {bytes} bytes of memory it {wrong}"));
            }
            if cramped.outcome.is_ok() {
                return;
            }
            bytes *= 2;
        }
    }

    /// Without one of its facts: a fault or an answer in time, and never one that opens the gate.
    fn withhold(&mut self) {
        let all = removals(&self.case.inquiry);
        if all.len() > MAX_REMOVALS {
            self.findings.notes.push(format!("{MAX_REMOVALS} of {} facts were taken away", all.len()));
        }
        for removal in all.iter().take(MAX_REMOVALS) {
            let heard = self.ask(&removal.from(&self.case.inquiry), &self.prepared.fresh);
            let without = removal.described();
            match &heard.outcome {
                Err(Fault::DeadlineExceeded(_)) => self.fail(format!("without {without} it does not end")),
                Err(_) => self.findings.notes.push(format!("without {without} it answers {}", said(&heard))),
                Ok(answer) => {
                    let meant = self.case.absent_allows.contains(removal.name());
                    if !meant && self.first.outcome.as_ref().is_ok_and(|first| opens(first, answer)) {
                        let (now, before) = (said(&heard), said(self.first));
                        self.fail(format!(
                            "a missing fact opens the gate: without {without} it answers {now} instead of {before}; \
                             a fact that is itself a reason to refuse is listed in `absent_allows`"
                        ));
                    }
                }
            }
        }
    }
}

/// What is wrong with what was said where something was wanting: a fault is right, and where there was just enough,
/// or where the end is too short to be stopped in, the answer as before.
fn wrong_in_want(first: &Heard, wanting: &Heard) -> Option<String> {
    match &wanting.outcome {
        Err(Fault::DeadlineExceeded(_)) => Some("does not end".to_owned()),
        Err(_) => None,
        Ok(answer) if Ok(answer) == first.outcome.as_ref() => None,
        Ok(answer) => Some(format!("answers {} instead of {}", answer.described(), said(first))),
    }
}

fn said(heard: &Heard) -> String {
    match &heard.outcome {
        Ok(answer) => answer.described(),
        Err(fault) => format!("a fault: {fault}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kernex_model::policy::{Log, Permission, Reason};

    use super::*;

    fn heard(outcome: Result<Answer, Fault>) -> Heard {
        Heard { outcome, fuel: 0, duration: Duration::ZERO, log: Log::default(), facts_read: Vec::new() }
    }

    #[test]
    fn where_something_is_wanting_only_a_fault_or_the_same_answer_is_right() {
        let refused = |code: &str| Answer::Permit(Permission::Refused(Reason::new(code, "no")));
        let first = heard(Ok(refused("no")));
        let wrong = |outcome: Result<Answer, Fault>| wrong_in_want(&first, &heard(outcome));
        assert_eq!(wrong(Err(Fault::OutOfFuel("it stopped".to_owned()))), None);
        assert_eq!(wrong(Ok(refused("no"))), None);
        assert_eq!(wrong(Err(Fault::DeadlineExceeded("late".to_owned()))).as_deref(), Some("does not end"));
        for (answer, says) in [
            (Answer::Permit(Permission::Permitted), "answers permitted instead of refused no"),
            (refused("other"), "answers refused other instead of refused no"),
        ] {
            assert_eq!(wrong(Ok(answer)).as_deref(), Some(says));
        }
    }
}
