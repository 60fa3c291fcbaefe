//! Owns revisions that look on: they are asked what the active ones are asked, later and elsewhere, and only compared.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use kernex_model::comparison::{Comparison, Difference};
use kernex_model::id::{DifferenceId, RequestId};
use kernex_model::policy::Fact;
use kernex_model::record::Decision;
use kernex_model::redaction::SecretFact;
use kernex_model::time::Timestamp;
use poem_openapi::types::Any;
use tokio::sync::mpsc;

use super::ActivePolicy;
use super::again::{Recorded, Told, Unrepeatable, facts_of};
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
    shown: Shown,
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

impl Shown {
    /// What a recorded decision was about.
    ///
    /// # Errors
    /// Where it cannot be asked again.
    pub fn of(decision: &Decision) -> Result<Self, Unrepeatable> {
        Ok(Self {
            recorded: Recorded::of(decision)?,
            facts: facts_of(decision),
            decided: Told::of(decision),
            // They were left out when it was recorded.
            secrets: Arc::default(),
            at: decision.at,
            request_id: decision.request_id,
        })
    }
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
        place.send(ShadowJob { candidate: candidate.clone(), shown: shown() });
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
    for ShadowJob { candidate, shown } in jobs {
        let place = seen.iter().position(|known| Arc::ptr_eq(&known.candidate, &candidate)).unwrap_or_else(|| {
            let missed = candidate.missed.swap(0, Ordering::Relaxed);
            let comparison = Comparison { missed, ..Comparison::default() };
            seen.push(Seen { candidate: candidate.clone(), comparison, differences: Vec::new() });
            seen.len() - 1
        });
        let known = &mut seen[place];
        let difference = compare(&candidate.policy, shown, &mut known.comparison, context);
        known.differences.extend(difference);
    }
    seen
}

/// Asks a revision once more what was decided, and counts the answer; gives what would have been decided otherwise.
pub(in crate::app) fn compare(
    candidate: &ActivePolicy,
    shown: Shown,
    comparison: &mut Comparison,
    context: &Context,
) -> Option<Difference> {
    let Shown { recorded, facts, decided, secrets, at, request_id } = shown;
    let again = candidate.again(&recorded, &facts);
    let differs = decided.differs(&again);
    comparison.count(&decided.finding, &again.finding, differs);
    let revision = &candidate.revision;
    differs.then(|| {
        let mut difference = Difference {
            id: DifferenceId(context.ulid()),
            at,
            policy: revision.name.clone(),
            revision: revision.revision,
            gate: revision.gate,
            subject: recorded.subject().to_owned(),
            question: recorded.question().to_owned(),
            decided: decided.finding,
            candidate: again.finding,
            input: Any(recorded.input()),
            request_id,
        };
        // Either may keep more secret than the other.
        difference.redact(&secrets);
        difference.redact(&revision.secret_facts);
        difference
    })
}
