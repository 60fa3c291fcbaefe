//! Owns revisions that look on: they are asked what the active ones are asked, later and elsewhere, and only compared.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use kernex_model::comparison::{Comparison, Difference};
use kernex_model::id::{DifferenceId, RequestId};
use kernex_model::policy::Fact;
use kernex_model::redaction::SecretFact;
use kernex_model::time::Timestamp;
use poem_openapi::types::Any;
use tokio::sync::mpsc;

use super::ActivePolicy;
use super::again::{Recorded, Told};
use crate::app::Context;

/// Questions that wait for a revision that looks on, at most; further ones are counted as missed.
const WAITING: usize = 4_096;
const WHOLE_PERCENT: u32 = 100;

/// A revision that looks on.
#[derive(Debug)]
pub struct LookingOn {
    /// The revision.
    pub policy: ActivePolicy,
    percent: u8,
    turn: AtomicU32,
    missed: AtomicU64,
}

impl LookingOn {
    pub(super) fn new(policy: ActivePolicy, percent: u8) -> Self {
        Self { policy, percent, turn: AtomicU32::new(0), missed: AtomicU64::new(0) }
    }

    /// The share of questions that it is asked, in percent.
    #[must_use]
    pub fn percent(&self) -> u8 {
        self.percent
    }

    /// Whether it is this question's turn: evenly, the share of them that is wanted.
    fn takes(&self) -> bool {
        let percent = u32::from(self.percent);
        // As a line is drawn in pixels: a step wherever the share of the turns so far passes a whole number.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % WHOLE_PERCENT;
        (turn + 1) * percent / WHOLE_PERCENT > turn * percent / WHOLE_PERCENT
    }
}

/// One question for a revision that looks on.
#[derive(Debug)]
pub struct ShadowJob {
    candidate: Arc<LookingOn>,
    recorded: Recorded,
    facts: Vec<Fact>,
    decided: Told,
    secrets: Arc<[SecretFact]>,
    at: Timestamp,
    request_id: Option<RequestId>,
}

/// What was decided, for those who look on: they are asked the whole question, whatever of it is written down.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The question.
    pub recorded: Recorded,
    /// The facts that were looked up.
    pub facts: Vec<Fact>,
    /// What came of it.
    pub decided: Told,
    /// What those who decided keep secret.
    pub secrets: Arc<[SecretFact]>,
    /// When.
    pub at: Timestamp,
    /// The request that led to it.
    pub request_id: Option<RequestId>,
}

/// The way to those who look on. Nobody waits at it.
#[derive(Debug, Clone)]
pub struct Shadows(mpsc::Sender<ShadowJob>);

/// The other end of it.
pub type ShadowInbox = mpsc::Receiver<ShadowJob>;

/// Both ends.
#[must_use]
pub fn shadows() -> (Shadows, ShadowInbox) {
    let (sender, inbox) = mpsc::channel(WAITING);
    (Shadows(sender), inbox)
}

impl Shadows {
    /// Shows a candidate what was decided, where it is its turn and there is room.
    pub fn show(&self, candidate: &Arc<LookingOn>, shown: impl FnOnce() -> Shown) {
        if !candidate.takes() {
            return;
        }
        let Ok(place) = self.0.try_reserve() else {
            candidate.missed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let Shown { recorded, facts, decided, secrets, at, request_id } = shown();
        place.send(ShadowJob { candidate: candidate.clone(), recorded, facts, decided, secrets, at, request_id });
    }
}

/// What came of asking one candidate.
#[derive(Debug)]
pub struct Seen {
    /// The candidate.
    pub candidate: Arc<LookingOn>,
    /// What is to be counted.
    pub comparison: Comparison,
    /// Where it differed, oldest first.
    pub differences: Vec<Difference>,
}

/// Asks the candidates. Takes as long as they do: away from the async threads.
#[must_use]
pub fn ask(jobs: Vec<ShadowJob>, context: &Context) -> Vec<Seen> {
    let mut seen: Vec<Seen> = Vec::new();
    for job in jobs {
        let again = job.candidate.policy.again(&job.recorded, &job.facts);
        let differs = job.decided.differs(&again);
        let place = seen.iter().position(|known| Arc::ptr_eq(&known.candidate, &job.candidate));
        let place = place.unwrap_or_else(|| {
            let comparison =
                Comparison { missed: job.candidate.missed.swap(0, Ordering::Relaxed), ..Comparison::default() };
            seen.push(Seen { candidate: job.candidate.clone(), comparison, differences: Vec::new() });
            seen.len() - 1
        });
        let known = &mut seen[place];
        known.comparison.count(&job.decided.finding, &again.finding, differs);
        if differs {
            known.differences.push(job.difference(again, context));
        }
    }
    seen
}

impl ShadowJob {
    fn difference(self, again: Told, context: &Context) -> Difference {
        let revision = &self.candidate.policy.revision;
        let mut difference = Difference {
            id: DifferenceId(context.ulid()),
            at: self.at,
            policy: revision.name.clone(),
            revision: revision.revision,
            gate: revision.gate,
            subject: self.recorded.subject().to_owned(),
            question: self.recorded.question().to_owned(),
            decided: self.decided.finding,
            candidate: again.finding,
            input: Any(self.recorded.input()),
            request_id: self.request_id,
        };
        difference.redact(&self.secrets);
        difference.redact(&revision.secret_facts);
        difference
    }
}
