//! Owns revisions that look on: they are asked what the active ones are asked, later and elsewhere, and only compared.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kernex_model::comparison::{Comparison, Difference, Finding};
use kernex_model::id::{DifferenceId, RequestId};
use kernex_model::policy::Fact;
use kernex_model::record::Decision;
use kernex_model::redaction::SecretFact;
use kernex_model::time::Timestamp;
use poem_openapi::types::Any;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::ActivePolicy;
use super::again::{Recorded, Told, Unrepeatable, facts_of};
use super::replanning::{MadePlan, RecordedPlan, Replanned};
use crate::app::Context;
use crate::app::share::Share;

/// Questions that wait for a revision that looks on, at most; further ones are counted as missed.
const WAITING: usize = 4_096;
/// Plans among them, at most: each has up to 3 MiB of devices.
const PLANS_WAITING: usize = 8;
/// Differences of one plan that are kept, at most; further ones are counted.
const KEPT_OF_A_PLAN: usize = 1_000;

/// A revision that looks on.
#[derive(Debug)]
pub struct LookingOn {
    /// The revision.
    pub policy: ActivePolicy,
    share: Share,
    /// What lists show has turns of its own: it is asked right behind the question whether somebody may list them, so
    /// that half of both together would always be the same one.
    share_of_lists: Share,
    missed: AtomicU64,
}

impl LookingOn {
    pub(super) fn new(policy: ActivePolicy, percent: u8) -> Self {
        Self { policy, share: Share::of(percent), share_of_lists: Share::of(percent), missed: AtomicU64::new(0) }
    }

    /// The share of questions that it is asked, in percent.
    #[must_use]
    pub fn percent(&self) -> u8 {
        self.share.percent()
    }
}

/// One question for a revision that looks on.
#[derive(Debug)]
pub struct ShadowJob {
    candidate: Arc<LookingOn>,
    about: About,
}

#[derive(Debug)]
enum About {
    Question(Box<Shown>),
    /// With its place among the plans that wait.
    Plan(Box<ShownPlan>, OwnedSemaphorePermit),
}

/// A plan that was just made, for those who look on.
#[derive(Debug, Clone)]
pub struct ShownPlan {
    /// The decision, as it is written down.
    pub decision: Decision,
    /// The question and the answer, with the devices.
    pub made: MadePlan,
    /// What those who decided keep secret.
    pub secrets: Arc<[SecretFact]>,
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
pub struct Shadows {
    jobs: mpsc::Sender<ShadowJob>,
    plans: Arc<Semaphore>,
}

/// The other end of it.
pub type ShadowInbox = mpsc::Receiver<ShadowJob>;

/// Both ends.
#[must_use]
pub fn shadows() -> (Shadows, ShadowInbox) {
    let (jobs, inbox) = mpsc::channel(WAITING);
    (Shadows { jobs, plans: Arc::new(Semaphore::new(PLANS_WAITING)) }, inbox)
}

impl Shadows {
    /// Questions and plans that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    /// Shows a candidate what was decided, where it is its turn and there is room.
    pub fn show(&self, candidate: &Arc<LookingOn>, shown: impl FnOnce() -> Shown) {
        if candidate.share.takes() {
            self.hand_over(candidate, shown);
        }
    }

    /// Shows a candidate what a list was decided to show.
    pub fn show_scope(&self, candidate: &Arc<LookingOn>, shown: impl FnOnce() -> Shown) {
        if candidate.share_of_lists.takes() {
            self.hand_over(candidate, shown);
        }
    }

    fn hand_over(&self, candidate: &Arc<LookingOn>, shown: impl FnOnce() -> Shown) {
        let Ok(place) = self.jobs.try_reserve() else {
            candidate.missed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        place.send(ShadowJob { candidate: candidate.clone(), about: About::Question(Box::new(shown())) });
    }

    /// Shows a candidate a plan that was made.
    pub fn show_plan(&self, candidate: &Arc<LookingOn>, shown: impl FnOnce() -> ShownPlan) {
        if !candidate.share.takes() {
            return;
        }
        let (Ok(room), Ok(place)) = (self.plans.clone().try_acquire_owned(), self.jobs.try_reserve()) else {
            candidate.missed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        place.send(ShadowJob { candidate: candidate.clone(), about: About::Plan(Box::new(shown()), room) });
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
    for ShadowJob { candidate, about } in jobs {
        let place = seen.iter().position(|known| Arc::ptr_eq(&known.candidate, &candidate)).unwrap_or_else(|| {
            let missed = candidate.missed.swap(0, Ordering::Relaxed);
            let comparison = Comparison { missed, ..Comparison::default() };
            seen.push(Seen { candidate: candidate.clone(), comparison, differences: Vec::new() });
            seen.len() - 1
        });
        let known = &mut seen[place];
        match about {
            About::Question(shown) => {
                let difference = compare(&candidate.policy, *shown, &mut known.comparison, context);
                known.differences.extend(difference);
            }
            About::Plan(shown, room) => {
                let differences = compare_plans(&candidate.policy, *shown, &mut known.comparison, context);
                known.differences.extend(differences);
                drop(room);
            }
        }
    }
    seen
}

/// Asks a revision once more for a plan, and counts it device by device; gives the first that would have gone elsewhere.
fn compare_plans(
    candidate: &ActivePolicy,
    shown: ShownPlan,
    comparison: &mut Comparison,
    context: &Context,
) -> Vec<Difference> {
    let again = RecordedPlan::made(&shown.decision, shown.made).and_then(|then| candidate.plan_again(&then, context));
    let Ok(Replanned { comparison: counted, mut differences, .. }) = again else {
        comparison.unrepeatable += 1;
        return Vec::new();
    };
    comparison.add(&counted);
    differences.truncate(KEPT_OF_A_PLAN);
    differences.iter_mut().for_each(|difference| difference.redact(&shown.secrets));
    differences
}

/// Asks a revision once more what was decided, and counts the answer; gives what would have been decided otherwise.
pub(in crate::app) fn compare(
    candidate: &ActivePolicy,
    shown: Shown,
    comparison: &mut Comparison,
    context: &Context,
) -> Option<Difference> {
    let Shown { recorded, facts, decided, secrets, at, request_id } = shown;
    let Ok(again) = candidate.again(&recorded, &facts) else {
        comparison.unrepeatable += 1;
        return None;
    };
    let differs = decided.differs(&again);
    comparison.count(&decided.finding, &again.finding, differs);
    differs.then(|| {
        let question = recorded.question();
        let about = (recorded.subject().to_owned(), &*question);
        let findings = (decided.finding, again.finding);
        let mut difference = candidate.difference(about, findings, recorded.input(), (at, request_id), context);
        // Either may keep more secret than the other.
        difference.redact(&secrets);
        difference
    })
}

impl ActivePolicy {
    /// What this revision says otherwise than was decided `at` a moment, for a request; without what it keeps secret.
    pub(super) fn difference(
        &self,
        (subject, question): (String, &str),
        (decided, candidate): (Finding, Finding),
        input: Value,
        (at, request_id): (Timestamp, Option<RequestId>),
        context: &Context,
    ) -> Difference {
        let revision = &self.revision;
        let mut difference = Difference {
            id: DifferenceId(context.ulid()),
            at,
            policy: revision.name.clone(),
            revision: revision.revision,
            gate: revision.gate,
            subject,
            question: question.to_owned(),
            decided,
            candidate,
            input: Any(input),
            request_id,
        };
        difference.redact(&revision.secret_facts);
        difference
    }
}
